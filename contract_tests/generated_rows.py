"""Changes of a payload that is lines of text, as CSV: of a cell, of the rows' shape. Pure.

Owns: the table of odd cells. Must not know: what the columns mean.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from contract_tests.generated import MOST_BYTES, Case, Draw, Family, case, mostly
from contract_tests.payload import Payload

DELIMITERS = (",", "\t", ";", "|", " ")
TIMES = (1, 10, 100, 1_000, 20_000)

CELLS: Mapping[str, bytes] = {
    "an empty cell": b"",
    "a word": b"x",
    "minus one": b"-1",
    "a quote that is not closed": b'"a',
    "a quote alone": b'"',
    "a quoted line end": b'"a\nb"',
    "1e999": b"1e999",
    "a number of 400 digits": b"9" * 400,
    "a number of 5,000 digits": b"9" * 5_000,
    "nan": b"nan",
    "-inf": b"-inf",
    "a NUL": b"\x00",
    "bytes that are no UTF-8": b"\xff\xfe",
    "spaces": b"   ",
    "a decimal comma": b"1,5",
    "a hexadecimal number": b"0x10",
    "a formula": b"=1+1",
    "2,000 letters": b"a" * 2_000,
    "true": b"true",
}

REPEATED = (b",", b"\n", b"\r", b'"', b"1,", b"\t")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7")


def text_of(payload: Payload) -> str | None:
    """Its text; None when it is binary."""
    try:
        text = payload.body[:MOST_BYTES].decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def families(payload: Payload, text: str) -> Mapping[str, Family]:
    lines = text.splitlines() or [""]
    delimiter = next((d for d in DELIMITERS if d in lines[0]), ",")
    table = [line.encode().split(delimiter.encode()) for line in lines]
    makers = {"one cell": _cell, "shape": _shape, "lines": _lines}
    return {
        name: functools.partial(maker, payload=payload, table=table, delimiter=delimiter.encode())
        for name, maker in makers.items()
    }


def _written(table: list[list[bytes]], delimiter: bytes, end: bytes = b"\n") -> bytes:
    return b"".join(delimiter.join(row) + end for row in table)


def _rows(draw: Draw, table: list[list[bytes]]) -> list[list[bytes]]:
    """Some of them, at least one, as lists of our own."""
    return [list(row) for row in table[: max(1, mostly(draw, len(table)))]]


def _cell(draw: Draw, payload: Payload, table: list[list[bytes]], delimiter: bytes) -> Case:
    rows = _rows(draw, table)
    row = draw.number(0, len(rows) - 1)
    column = draw.number(0, len(rows[row]) - 1)
    name = draw.one_of(tuple(CELLS))
    rows[row][column] = CELLS[name]
    how = f"{name} in line {row + 1}, column {column + 1}"
    return case(payload, _written(rows, delimiter), how)


def _shape(draw: Draw, payload: Payload, table: list[list[bytes]], delimiter: bytes) -> Case:
    rows = _rows(draw, table)
    row = draw.number(0, len(rows) - 1)
    line = f"line {row + 1}"
    match draw.number(0, 4):
        case 0:
            kept = draw.number(0, len(rows[row]))
            rows[row], how = rows[row][:kept], f"{line} with {kept} column(s)"
        case 1:
            more = draw.one_of(TIMES[:4])
            rows[row], how = rows[row] + [b"1"] * more, f"{line} with {more} columns more"
        case 2:
            rows.insert(row, [b""])
            how = f"an empty line before {line}"
        case 3:
            rows.insert(0, [b"c%d" % number for number in range(len(rows[0]))])
            how = "with a line of names"
        case _:
            rows, how = [], "without lines"
    return case(payload, _written(rows, delimiter), how)


def _lines(draw: Draw, payload: Payload, table: list[list[bytes]], delimiter: bytes) -> Case:
    rows = _rows(draw, table)
    match draw.number(0, 4):
        case 0:
            times, what = draw.one_of(TIMES), draw.one_of(REPEATED)
            return case(payload, what * times, f"replaced by {times} times {what!r}")
        case 1:
            end = draw.one_of((b"\r", b"\r\n", b"", b"\x00", b"\n\n", b"\x0b"))
            return case(payload, _written(rows, delimiter, end), f"with lines that end in {end!r}")
        case 2:
            other = draw.one_of((b";", b"\t", b"|", b" ", b",,", b""))
            return case(payload, _written(rows, other), f"with {other!r} between the columns")
        case 3:
            encoding = draw.one_of(ENCODINGS)
            text = _written(rows, delimiter).decode("utf-8", errors="replace")
            return case(payload, text.encode(encoding), f"in {encoding}")
        case _:
            kept = draw.number(0, 200)
            return case(payload, _written(rows, delimiter)[:kept], f"cut after {kept} characters")
