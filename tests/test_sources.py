"""Owns: the claims of emulator/sources.py and of the texts of emulator/errors.py that cite it:
every row is public, and nothing cites a row that is not there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from emulator import errors, sources
from emulator.errors import PlatformText
from emulator.sources import Evidence, Source, contract, failures

ROOT = Path(__file__).resolve().parent.parent
PUBLIC_HOSTS = {"docs.aws.amazon.com", "github.com"}
BOTH = [(contract, row) for row in sources._CONTRACT] + [
    (failures, row) for row in sources._FAILURES
]
ROWS = [cite(row) for cite, row in BOTH]
TEXTS = {name: text for name, text in vars(errors).items() if isinstance(text, PlatformText)}


@pytest.mark.parametrize("source", ROWS, ids=str)
def test_every_source_is_a_public_page(source: Source) -> None:
    address = urlsplit(source.url)
    assert address.scheme == "https"
    assert address.hostname in PUBLIC_HOSTS
    assert len(address.path) > 1
    assert "{" not in source.url


@pytest.mark.parametrize("source", ROWS, ids=str)
def test_documented_is_what_aws_itself_publishes(source: Source) -> None:
    if source.evidence is Evidence.DOCUMENTED:
        assert urlsplit(source.url).hostname == "docs.aws.amazon.com"


@pytest.mark.parametrize("source", ROWS, ids=str)
def test_a_discussion_is_cited_by_its_number(source: Source) -> None:
    address = urlsplit(source.url)
    if address.hostname == "github.com":
        assert re.fullmatch(r"/[\w.-]+/[\w.-]+/(issues|pull|discussions)/\d+", address.path)


def test_a_source_tells_its_row_and_how_well_it_is_known() -> None:
    assert str(contract("2.3")) == "contract 2.3 (documented)"
    assert str(failures("3.3")) == "failures 3.3 (reproduced)"
    assert contract("2.3").url.startswith("https://docs.aws.amazon.com/sagemaker/")


@pytest.mark.parametrize("cite", [contract, failures])
@pytest.mark.parametrize("row", ["", "0.0", "99.1", "2.3 "])
def test_a_row_that_is_not_there_cannot_be_cited(cite: object, row: str) -> None:
    with pytest.raises(KeyError):
        cite(row)  # type: ignore[operator]


def test_rows_are_in_order_so_that_a_double_is_seen() -> None:
    for table in (sources._CONTRACT, sources._FAILURES):
        numbers = [tuple(map(int, row.split("."))) for row in table]
        assert numbers == sorted(numbers)


def cited() -> Iterator[tuple[str, str, str]]:
    """Every `contract("...")` and `failures("...")` of the two packages."""
    for package in ("emulator", "contract_tests"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in ("contract", "failures")
                    and node.args
                    and isinstance(node.args[0], ast.Constant)
                ):
                    yield str(path.relative_to(ROOT)), node.func.id, str(node.args[0].value)


def mentioned() -> Iterator[tuple[str, str]]:
    """Every "contract 2.3" in a comment or a text of the emulator."""
    for path in sorted((ROOT / "emulator").rglob("*.py")):
        yield from re.findall(r"\b(contract|failures) (\d+\.\d+)", path.read_text())


def test_everything_that_is_cited_is_in_the_table() -> None:
    tables = {"contract": sources._CONTRACT, "failures": sources._FAILURES}
    missing = [(where, kind, row) for where, kind, row in cited() if row not in tables[kind]]
    assert list(cited())
    assert missing == []


def test_everything_that_is_mentioned_is_in_the_table() -> None:
    tables = {"contract": sources._CONTRACT, "failures": sources._FAILURES}
    assert sorted({(kind, row) for kind, row in mentioned() if row not in tables[kind]}) == []


def test_there_are_texts_of_the_platform() -> None:
    assert len(TEXTS) >= 10


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_of_the_platform_has_a_place_words_and_a_source(text: PlatformText) -> None:
    assert text.where
    assert text.text
    assert text.source in ROWS
    assert str(text) == f"{text.where}: {text.text}"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_of_the_platform_has_no_doubled_or_missing_space(text: PlatformText) -> None:
    # The texts are written in pieces; a piece without its space would join two words.
    assert "  " not in text.text
    assert re.search(r"[a-z][.,][A-Z]", text.text) is None


def named_in_both_packages(room: str) -> set[str]:
    """Rows named in code, docstrings and comments of the two packages."""
    found: set[str] = set()
    for package in ("emulator", "contract_tests"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "sources.py":
                found |= set(re.findall(rf"{room}\W{{0,3}}(\d+\.\d+)", path.read_text()))
    return found


@pytest.mark.parametrize("room", ["contract", "failures"])
def test_every_cited_row_is_in_the_table_and_every_row_is_cited(room: str) -> None:
    table = {"contract": sources._CONTRACT, "failures": sources._FAILURES}[room]
    assert named_in_both_packages(room) == set(table)
