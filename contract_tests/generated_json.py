"""Changes of a JSON payload: of one value, of an object's keys, of its depth, of its text. Pure.

Owns: the table of odd values, and an encoder that writes what `json` would not. Must not know:
what the model takes. A payload is first made smaller as a whole (fewer entries, fewer keys), so
that a case can shrink to the few bytes that matter.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contract_tests.generated import MOST_BYTES, Case, Draw, Family, case, mostly
from contract_tests.payload import Payload

NOTHING: Final = object()
MOST_SITES = 200
CUTS = (64, 16, 8, 4, 2, 1)
DEPTHS = (1, 10, 100, 1_000, 5_000, 20_000, 60_000)
"""Interpreters stop at about a thousand; stacks overflow at tens of thousands."""

OTHERS = (1, 10, 100, 2_000)
LONG = 2_000
"""Characters of a long text; more would be minutes of honest work for some models."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that stand where a value should."""

    text: bytes


ODD: Mapping[str, Any] = {
    "null": None,
    "an empty list": [],
    "an empty object": {},
    "an empty text": "",
    "true": True,
    "zero": 0,
    "minus one": -1,
    "a text": "x",
    "a number in a text": "1",
    "a list in a list": [[]],
    "an object in a list": [{}],
    "2 to the 63rd": 2**63,
    "the largest float": 1.7976931348623157e308,
    "1e999": Raw(b"1e999"),
    "a number of 400 digits": Raw(b"9" * 400),
    "a number of 5,000 digits": Raw(b"9" * 5_000),  # more than Python converts
    "NaN": Raw(b"NaN"),
    "-Infinity": Raw(b"-Infinity"),
    "a NUL in a text": "\0",
    "half a surrogate pair": Raw(b'"\\ud800"'),
    "a text that is no UTF-8": Raw(b'"\xff\xfe"'),
    "a bare word": Raw(b"undefined"),
    "nothing at all": Raw(b""),
    f"a text of {LONG:,} characters": "a" * LONG,
    "a text of quotes": '"' * 20,
}

PLAIN = 8
"""So many of the first are what programs send by mistake; the others are for parsers."""

PUT_IN = (b",", b"]", b"}", b"[", b"{", b":", b"'", b'"', b"\\", b"/**/", b"#", b"\x00", b"-", b"e")
AFTER = (b"}", b"]", b",", b"x", b"\x00", b"\n{}", b"\xff", b"//", b" null")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7")
OPENERS = ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"))


def parsed(payload: Payload) -> Any:
    """Its value, cut until it is small enough to be sent; NOTHING when it is no JSON."""
    if not payload.is_json:
        return NOTHING
    try:
        value = json.loads(payload.body)
        for most in CUTS:
            if len(encoded(value)) <= MOST_BYTES:
                return value
            value = shorter(value, most)
    except (ValueError, RecursionError):
        return NOTHING
    return value if len(encoded(value)) <= MOST_BYTES else NOTHING


def families(payload: Payload, value: Any) -> Mapping[str, Family]:
    makers = {"one value": _value, "keys": _keys, "depth": _depth, "text": _text}
    return {
        "whole": functools.partial(_whole, payload=payload),
        **{
            n: functools.partial(maker, payload=payload, value=value) for n, maker in makers.items()
        },
    }


def encoded(value: Any) -> bytes:
    match value:
        case Raw():
            return value.text
        case dict():
            pairs = (json.dumps(key).encode() + b": " + encoded(v) for key, v in value.items())
            return b"{" + b", ".join(pairs) + b"}"
        case list():
            return b"[" + b", ".join(map(encoded, value)) + b"]"
        case _:
            return json.dumps(value).encode()


def shorter(value: Any, entries: int, keys: int | None = None) -> Any:
    """At most that many entries of each list, keys of each object."""
    match value:
        case dict():
            kept = list(value.items())[:keys]
            return {key: shorter(v, entries, keys) for key, v in kept}
        case list():
            return [shorter(v, entries, keys) for v in value[:entries]]
        case _:
            return value


def sites(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of each value in it, its own (the empty path) first."""
    yield path
    within: Any = ()
    match value:
        case dict():
            within = value.items()
        case list():
            within = enumerate(value)
    for key, inner in within:
        yield from sites(inner, (*path, key))


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """A copy with another value in that place."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {k: replaced(v, rest, new) if k == key else v for k, v in value.items()}
    return [replaced(v, rest, new) if k == key else v for k, v in enumerate(value)]


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def named(path: tuple[str | int, ...]) -> str:
    """As JSONPath writes it."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


def _smaller(draw: Draw, value: Any) -> Any:
    inner = [at(value, path) for path in _some_sites(value)]
    entries = max((len(v) for v in inner if isinstance(v, list)), default=0)
    keys = max((len(v) for v in inner if isinstance(v, dict)), default=0)
    return shorter(value, mostly(draw, entries), mostly(draw, keys))


def _some_sites(value: Any) -> list[tuple[str | int, ...]]:
    return [path for path, _ in zip(sites(value), range(MOST_SITES), strict=False)]


def _odd(draw: Draw) -> str:
    """The name of one of them, every other time of the plain ones."""
    names = tuple(ODD)
    return draw.one_of(names[:PLAIN] if draw.number(0, 1) == 0 else names)


def _value(draw: Draw, payload: Payload, value: Any) -> Case:
    value = _smaller(draw, value)
    # First how deep: else a long list's numbers would leave the list itself hardly a chance.
    by_depth = itertools.groupby(sorted(_some_sites(value), key=len), len)
    levels: list[list[tuple[str | int, ...]]] = [list(same) for _, same in by_depth]
    level = draw.one_of(levels[1:] or levels)  # the whole is another family's
    path, name = draw.one_of(level), _odd(draw)
    body = encoded(replaced(value, path, ODD[name]))
    return case(payload, body, f"{name} at {named(path)}")


def _keys(draw: Draw, payload: Payload, value: Any) -> Case:
    objects = [path for path in _some_sites(value) if isinstance(at(value, path), dict)]
    if not objects:
        key = draw.one_of(("instances", "inputs", "a"))
        return case(payload, encoded({key: value}), f"put into an object as {key}")
    path = draw.one_of(objects)
    pairs = list(at(value, path).items())
    where = draw.number(0, max(0, len(pairs) - 1))
    name, inner = pairs[where] if pairs else ("a", None)
    match draw.number(0, 4):
        case 0:
            done, made = "left out", [*pairs[:where], *pairs[where + 1 :]]
        case 1:
            done, made = "written twice", [*pairs, (name, ODD[_odd(draw)])]
        case 2:
            done, made = "in capitals", [*pairs[:where], (name.upper(), inner), *pairs[where + 1 :]]
        case 3:
            new = draw.one_of(("", "a", "__proto__", "__class__", "\0", "k" * LONG, name + " "))
            done, made = f"with {new[:20]!r} beside it", [*pairs, (new, inner)]
        case _:
            count = draw.one_of(OTHERS)
            done, made = f"with {count} others", [*pairs, *((f"k{i}", i) for i in range(count))]
    members = (json.dumps(key).encode() + b": " + encoded(v) for key, v in made)
    body = encoded(replaced(value, path, Raw(b"{" + b", ".join(members) + b"}")))
    return case(payload, body, f"{name} of {named(path)} {done}")


def _whole(draw: Draw, payload: Payload) -> Case:
    name = _odd(draw)
    wrapped = draw.number(0, 2)
    body = encoded(ODD[name])
    how = f"replaced by {name}"
    if wrapped:
        body, how = b"[" * wrapped + body + b"]" * wrapped, f"{how} in {wrapped} list(s)"
    return case(payload, body, how)


def _depth(draw: Draw, payload: Payload, value: Any) -> Case:
    value = _smaller(draw, value)
    path = draw.one_of(_some_sites(value))
    opener, closer = draw.one_of(OPENERS)
    closed = draw.number(0, 1)
    room = MOST_BYTES - len(encoded(value)) - 100
    most = max(1, room // (len(opener) + closed * len(closer)))
    depth = min(draw.one_of(DEPTHS), most)
    nested = opener * depth + (b"1" + closer * depth) * closed
    body = encoded(replaced(value, path, Raw(nested)))
    words = "closed" if closed else "never closed"
    return case(payload, body, f"{depth:,} times {opener.decode()} at {named(path)}, {words}")


def _text(draw: Draw, payload: Payload, value: Any) -> Case:
    body = encoded(_smaller(draw, value))
    match draw.number(0, 4):
        case 0:
            kept = draw.number(0, max(0, len(body) - 1))
            return case(payload, body[:kept], f"cut after {kept} characters")
        case 1:
            where, what = draw.number(0, len(body)), draw.one_of(PUT_IN)
            return case(payload, body[:where] + what + body[where:], f"{what!r} put in at {where}")
        case 2:
            what = draw.one_of(AFTER)
            return case(payload, body + what, f"{what!r} after it")
        case 3:
            return case(payload, body.replace(b'"', b"'"), "with single quotes")
        case _:
            encoding = draw.one_of(ENCODINGS)
            text = body.decode("utf-8", errors="replace")
            return case(payload, text.encode(encoding), f"in {encoding}")
