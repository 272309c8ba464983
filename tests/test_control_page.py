"""Owns: the claims of the control plane's tables and of the page that is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.api.operations import OPERATIONS as OPERATIONS_DONE
from emulator.control import page
from emulator.control.coverage import TABLE, Standing, paths, rows
from emulator.control.not_emulated import HARMLESS, VALUES
from emulator.control.rules import ACCEPTED, RULES
from emulator.control.service_model import input_shape, service
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


def test_every_operation_in_the_table_is_done_and_no_other() -> None:
    assert set(OPERATIONS_DONE) == set(TABLE)


def test_the_page_tells_what_becomes_of_each_member() -> None:
    stands = {row.member: row.stands for row in rows() if row.operation == "CreateModel"}
    assert stands["PrimaryContainer.Image"] == Standing.EMULATED.value
    assert stands["Containers[].ModelDataSource"] == Standing.REFUSED.value
    assert stands["Tags"] == Standing.STORED.value
    text = page.page()
    assert "| `CreateModel` | `PrimaryContainer.Image` | emulated |" in text
    assert "not emulated yet" not in text


@pytest.mark.parametrize("operation", ["CreateModel", "CreateEndpointConfig"])
def test_what_is_stored_of_a_creation_can_be_told_again(operation: str) -> None:
    told = service().operation_model(operation.replace("Create", "Describe")).output_shape
    assert told is not None
    stored = {m.partition(".")[0].removesuffix("[]") for m, standing in TABLE[operation].items()
              if standing is not Standing.REFUSED} - {"Tags"}  # fmt: skip
    assert stored <= set(told.members)


def test_every_value_that_is_refused_is_on_the_page() -> None:
    text = page.page()
    assert all(f"| `{value.member}` | {value.says} |" in text for value in VALUES)
    assert all(f"| `{off.member}` |" in text for off in HARMLESS)
    assert {value.operation for value in VALUES} <= set(TABLE)
    for off in HARMLESS:
        assert TABLE[off.operation][off.member] is Standing.REFUSED


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
