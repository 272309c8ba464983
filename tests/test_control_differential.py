"""Owns: the claim that every difference between bare moto and the front is known, and is one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.control.differences import ANSWERS
from emulator.control.differences_page import page
from emulator.control.differences_refused import REFUSALS
from tests.control_values import OPERATIONS
from tests.control_world import control_world
from tests.deployed_world import image
from tests.differential import CASES, Sides, sides

PAGE = Path(__file__).resolve().parent.parent / "docs" / "differences-from-moto.md"
KNOWN = [case for row in (*ANSWERS, *REFUSALS) for case in row.cases]


@pytest.fixture(scope="module")
def both() -> Iterator[Sides]:
    # A traceback for each operation that moto has not.
    loggers = [logging.getLogger(name) for name in ("moto.server", "moto")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    never = image("never", listens_after=99999.0)
    refuses = image("refuses", refuses="exec format error")
    with control_world(never=never, refuses=refuses) as world:
        opened = sides(world)
        yield opened
        opened.clear()
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("case", CASES)
def test_every_difference_is_known_and_is_one(both: Sides, case: str) -> None:
    both.clear()
    known = {one.partition(": ")[2] for one in KNOWN if one.partition(": ")[0] == case}
    assert both.differences(case) == known


def test_the_table_knows_no_case_that_there_is_not() -> None:
    assert {one.partition(": ")[0] for one in KNOWN} <= set(CASES)
    assert [one for one, times in Counter(KNOWN).items() if times > 1] == []


def test_every_operation_is_compared() -> None:
    compared = {operation for steps in CASES.values() for operation, _ in steps}
    assert set(OPERATIONS) <= compared


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text() == page(), "renew it with: make catalog"
    lines = [line for line in page().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {6}
