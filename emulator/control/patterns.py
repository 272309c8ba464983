r"""The service model's regular expressions, as Java reads them, in Python.

Owns: one pattern's translation and its time. Must not know: shapes, members, sentences.

The patterns are written for Java: `\d`, `\w` and `\s` mean ASCII only, `.` stops at every line
terminator, and classes like `\p{L}` exist. Two more things are corrected: a typing error of the
model (`$` before a count) and a pattern whose time grows with the square of the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

_DOT = r"[^\n\r\x85\u2028\u2029]"
_SPACES = r" \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # \p{Z}, all nineteen
_VISIBLE = rf"[^\x00-\x1f\x7f-\x9f{_SPACES}]"

REWRITTEN = (
    (r"(https|s3)://([^/]+)/?(.*)", r"(https|s3)://[^/]++/?+.*"),
    (r")${1,256}", r"){1,256}"),
    (r")${1,128}", r"){1,128}"),
    (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"),
    (r"\p{Alnum}", r"a-zA-Z0-9"),
    (r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]", r"[^\x00-\x1f\x7f-\x9f]"),
    (r"[\p{L}\p{M}\p{Z}\p{N}\p{P}]", r"[^\x00-\x1f\x7f-\x9f]"),
    (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]", _VISIBLE),
    (r"\p{L}\p{Z}\p{N}", rf"\w{_SPACES}"),  # stands before an underscore, which \w has too
)
"""What is in the model, and the same for `re`. Letters and digits are what Python calls `\\w`."""


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """One of the model's patterns, for `fullmatch`."""
    unicode = r"\p{L}" in pattern
    for java, python in REWRITTEN:
        pattern = pattern.replace(java, python)
    return re.compile("".join(_dots(pattern)), re.NOFLAG if unicode else re.ASCII)


def _dots(pattern: str) -> Iterator[str]:
    """The pattern with every dot that means "any character" spelled out."""
    in_class = False
    for part in re.findall(r"\\.|.", pattern, re.DOTALL):
        if part == "." and not in_class:
            yield _DOT
            continue
        if part in "[]":
            in_class = part == "["
        yield part
