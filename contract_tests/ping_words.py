"""What the body of a 200 on /ping may say against it.

Owns: the words, and where they count. Must not know: requests, verdicts. Only whole values count:
"no errors" and {"error": null} are good news. That a model is still to be loaded is not in the
list: containers that load it with the first request say so, and work.
"""

from __future__ import annotations

import json

SHOWN_BYTES = 4096

ILL = frozenset(
    [
        "unhealthy", "not healthy", "not ready", "notready", "not_ready", "unavailable", "error",
        "fail", "failed", "failure", "down",
    ]
)  # fmt: skip
STATE_KEYS = frozenset({"status", "state", "health", "health_status", "healthstatus"})
TRUTH_KEYS = frozenset({"healthy", "ready", "is_healthy", "is_ready", "ishealthy", "isready"})


def complaint(body: bytes) -> str:
    """The words by which a /ping body says that the container is ill; empty when it does not."""
    text = body[:SHOWN_BYTES].decode("utf-8", "replace").strip()
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = text
    if isinstance(told, str):
        return repr(told) if told.strip(" .!").lower() in ILL else ""
    for key, value in told.items() if isinstance(told, dict) else ():
        name = key.lower()
        ill = isinstance(value, str) and value.strip(" .!").lower() in ILL
        if (name in STATE_KEYS and ill) or (name in TRUTH_KEYS and value is False):
            return json.dumps({key: value})
    return ""
