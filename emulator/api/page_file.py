"""The page as one file, of the three that it is written in.

Owns: how they are put together, and which of their script and styles a browser may run. Must not
know: what the page shows, HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from importlib import resources

PARTS = ("page.css", "page.js")
"""Each stands in page.html as a comment of this name."""


def html() -> bytes:
    """Without what is there for those who write it: indentation, comments, spaces in styles."""
    there = resources.files("emulator.api")
    text = there.joinpath("page.html").read_text(encoding="utf-8")
    for name in PARTS:
        part = there.joinpath(name).read_text(encoding="utf-8")
        if name.endswith(".css"):
            part = re.sub(r" *([;:,{}]) +", r"\1", part)
        text = text.replace(f"/* {name} */", part)
    return "".join(f"{line}\n" for line in _told(text)).encode()


def _told(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if told := re.sub(r"(^|\s{2,})// .*", "", line.strip()):
            yield told


def content_security_policy(page: bytes) -> str:
    """Only the script and the styles that stand in the file run; nothing is loaded."""

    def hashes(tag: bytes) -> str:
        found = re.findall(rb"<%s>(.*?)</%s>" % (tag, tag), page, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(one).digest()).decode() for one in found)
        return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"

    return (
        f"default-src 'none'; script-src {hashes(b'script')}; style-src {hashes(b'style')};"
        " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
