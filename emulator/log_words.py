"""The line of a container's log that tells why it did not start.

Owns: which of its last lines that is. Must not know: containers, exit codes, what to do about it.
PURE. The last line seldom is: a server goes on writing after the exception that ended it.
"""

from __future__ import annotations

import re

LONGEST = 240

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

TRACEBACK = "Traceback (most recent call last):"
EXCEPTION = re.compile(r"^(?:\|\s*)?([A-Za-z_][\w.]*)(?::\s|$)")
"""A line of a Python traceback that stands at its left edge: the exception."""

FOLLOWS = re.compile(r"HaltServer|^SystemExit\b|^KeyboardInterrupt\b")
"""Exceptions that only follow from the one that tells."""

NAMED = re.compile(
    r"exec format error"
    r"|^Caused by: "  # Java
    r"|^(?:\S+ )?(?:panic|fatal error): "  # Go
    r"|panicked at"  # Rust
    r"|\[(?:emerg|alert|crit)\]"  # nginx
    r"|^(?:Uncaught )?\w*(?:Error|Exception)(?: \[\w+\])?: "  # Node.js, and Python without a stack
    r'|^Exception in thread "'
    r"|error while loading shared libraries"
)
"""What runtimes and servers write as the reason of their end, and nowhere else."""

ILL = re.compile(
    r"\b(?:error|fatal|critical|exception|failed|failure|cannot|can't|could not|unable|refused"
    r"|denied|not found|no such file|unrecognized|usage|invalid|killed|out of memory|timed out)\b",
    re.IGNORECASE,
)

NETWORK = re.compile(
    r"connection (?:refused|reset|timed out)|connect(?:ion)? ?time(?:d )?out|timed out"
    r"|(?:name or service|node ?name nor servname) .*not known|temporary failure in name resolution"
    r"|could not resolve|no address associated|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT"
    r"|network is unreachable|no route to host|max retries exceeded|failed to (?:resolve|connect)"
    r"|(?:could|can) ?not connect|unable to connect|unknown ?host",
    re.IGNORECASE,
)
"""What programs write of a peer that they cannot reach."""


def lines(log: str) -> list[str]:
    """Without what would steer a terminal, and without empty ones."""
    clean = (_ESCAPES.sub("", line.expandtabs(4)).rstrip() for line in log.splitlines())
    return ["".join(c if c.isprintable() else "\ufffd" for c in line) for line in clean if line]


def telling(log: str) -> str:
    """The line that most likely tells why, shortened; empty for an empty log."""
    found = lines(log)
    for choose in (_exception, _named, _ill):
        if line := choose(found):
            return shorten(line)
    return last(log)


def last(log: str) -> str:
    """The last line, shortened; empty for an empty log."""
    found = lines(log)
    return shorten(found[-1]) if found else ""


def network(log: str) -> str:
    """The last line if it tells of a peer that is not reached, or one of the few before it."""
    ill = [line for line in lines(log)[-6:] if NETWORK.search(line)]
    return shorten(ill[-1]) if ill else ""


def _exception(found: list[str]) -> str:
    """Of the last traceback that tells by itself."""
    told = ""
    inside = False
    for line in found:
        if line.strip(" |").endswith(TRACEBACK):
            inside = True
        elif inside and not line.startswith((" ", "|  ")):
            inside = False
            if EXCEPTION.match(line) and not FOLLOWS.search(line):
                told = line
    return told


def _named(found: list[str]) -> str:
    named = [line for line in found if NAMED.search(line.strip())]
    # Of a chain of causes the last tells; of several servers' complaints, too.
    return named[-1] if named else ""


def _ill(found: list[str]) -> str:
    ill = [line for line in found if ILL.search(line)]
    return ill[-1] if ill else ""


def shorten(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
