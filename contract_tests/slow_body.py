"""A request that costs more processor time than the user's: the same one, many times over.

Owns: making a body longer in its own format. Must not know: containers, verdicts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from contract_tests.payload import Payload

BY_LINES = frozenset(
    {"text/csv", "application/csv", "application/jsonlines", "application/x-ndjson",
     "application/jsonl", "text/x-libsvm", "text/libsvm", "text/plain"}
)  # fmt: skip


def grown(payload: Payload, times: int) -> bytes | None:
    """The body with its rows so many times; None for a format that has none, or none we know."""
    kind = payload.content_type.partition(";")[0].strip().lower()
    if kind in BY_LINES:
        # A header line comes again as a row, which a container that minds it refuses.
        return (payload.body.rstrip(b"\r\n") + b"\n") * times
    if payload.is_json:
        try:
            value = json.loads(payload.body)
        except (ValueError, RecursionError):
            return None
        larger = _longer_lists(value, times) or _longer_texts(value, times)
        return None if larger is None else json.dumps(larger[0]).encode()
    return None


def _longer_lists(value: Any, times: int) -> tuple[Any] | None:
    """Repeats the outermost lists: rows, not their columns."""
    if isinstance(value, list):
        return (value * times,) if value else None
    return _in_object(value, times, _longer_lists)


def _longer_texts(value: Any, times: int) -> tuple[Any] | None:
    """Repeats the texts, of a request that is one text for a language model."""
    if isinstance(value, str):
        return (" ".join([value] * times),) if value else None
    return _in_object(value, times, _longer_texts)


def _in_object(
    value: Any, times: int, longer: Callable[[Any, int], tuple[Any] | None]
) -> tuple[Any] | None:
    if not isinstance(value, dict):
        return None
    found = {key: longer(inner, times) for key, inner in value.items()}
    if not any(found.values()):
        return None
    return ({key: new[0] if (new := found[key]) else value[key] for key in value},)
