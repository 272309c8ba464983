"""How a model's files lie in their archive, and what of it people do not mean.

Owns: the odd layouts. Must not know: checks, containers, how an archive is unpacked. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

EXPECTED_DIRECTORIES = frozenset({"code"})
"""SageMaker's own frameworks look for the user's code there (`code/inference.py`)."""

SHOWN = 3


def odd_layout(names: Sequence[str]) -> str:
    """What is unusual about relative names of files; empty when nothing is."""
    mac = [name for name in names if _of_a_mac(name)]
    kept = [name for name in names if not _of_a_mac(name)]
    found = []
    tops = {name.partition("/")[0] for name in kept}
    if len(tops) == 1 and all("/" in name for name in kept) and not tops & EXPECTED_DIRECTORIES:
        found.append(f"everything lies in one directory, {tops.pop()}/")
    if mac:
        found.append(f"it holds files of a Mac: {listed(mac)}")
    return "; ".join(found)


def _of_a_mac(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or any(part.startswith("._") for part in parts)


def listed(names: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
