"""Owns: the claims of the control plane's tables and of the page that is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.control import coverage, page
from emulator.control.coverage import TABLE, VALIDATED, Standing, paths, rows
from emulator.control.rules import ACCEPTED, RULES
from emulator.control.service_model import input_shape
from tests.control_values import OPERATIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "control-plane.md"


def test_the_page_is_made_of_the_tables() -> None:
    assert PAGE.read_text() == page.page(), "renew it with: make catalog"


def test_every_operation_that_is_judged_is_in_the_table() -> None:
    assert set(TABLE) == set(OPERATIONS)
    assert {name for rule in RULES for name in rule.operations} <= set(TABLE)


@pytest.mark.parametrize("operation", TABLE)
def test_every_member_of_the_service_model_stands_in_the_table_once(operation: str) -> None:
    told: list[str] = []
    for row in rows():
        if row.operation == operation:
            dot = "" if row.holds and row.holds[0].startswith("[]") else "."
            told += [f"{row.member}{dot}{path}" for path in row.holds] or [row.member]
    assert sorted(told) == sorted(paths(input_shape(operation)))


def test_nothing_is_claimed_that_is_not_there() -> None:
    assert {row.stands for row in rows()} == {VALIDATED}
    assert "No call is emulated yet" in page.page()


def test_an_operation_that_is_switched_on_tells_what_becomes_of_each_member(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coverage, "EMULATED_TODAY", frozenset({"CreateModel"}))
    stands = {row.member: row.stands for row in rows() if row.operation == "CreateModel"}
    assert stands["PrimaryContainer.Image"] == Standing.EMULATED.value
    assert stands["Tags"] == Standing.STORED.value
    assert stands["Containers"] == Standing.REFUSED.value
    assert {row.stands for row in rows() if row.operation == "CreateEndpoint"} == {VALIDATED}
    monkeypatch.setattr(page, "EMULATED_TODAY", coverage.EMULATED_TODAY)
    assert "No call is emulated yet" not in page.page()


def test_every_rule_is_on_the_page_with_its_source() -> None:
    text = page.page()
    for rule in RULES:
        assert f"| `{rule.name}` |" in text
        assert f"[{rule.source.row}]({rule.source.url})" in text
    assert all(what in text for what, _ in ACCEPTED)


def test_every_row_of_the_page_has_as_many_cells_as_its_header() -> None:
    width = 0
    for line in page.page().splitlines():
        cells = line.replace("\\|", "").count("|")
        if line.startswith("|---"):
            assert cells == width
        elif cells and width == 0:
            width = cells
        assert cells in (0, width), line
        width = width if cells else 0
