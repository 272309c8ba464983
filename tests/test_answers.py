"""Owns: the claims of lists and their pages, whatever happens between two pages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.control.answers import BadToken, Listed, listed, paged

ROWS = st.lists(
    st.builds(
        Listed,
        name=st.text("abc", min_size=1, max_size=3),
        arn=st.just("arn"),
        created=st.sampled_from([1.0, 2.0, 2.5]),
        modified=st.just(3.0),
        status=st.sampled_from(["InService", "Failed"]),
    ),
    max_size=12,
    unique_by=lambda row: row.name,
)
QUERIES = st.fixed_dictionaries(
    {"MaxResults": st.integers(1, 4)},
    optional={
        "SortBy": st.sampled_from(["Name", "CreationTime", "Status"]),
        "SortOrder": st.sampled_from(["Ascending", "Descending"]),
        "NameContains": st.sampled_from(["a", ""]),
        "StatusEquals": st.just("Failed"),
    },
)


def pages(rows: list[Listed], query: dict[str, Any], *, deletes: bool = False) -> list[str]:
    """All names, page by page; with `deletes` each page's rows are gone before the next."""
    told: list[str] = []
    answer = listed("Endpoint", rows, query)
    while True:
        page = [row["EndpointName"] for row in answer["Endpoints"]]
        assert len(page) <= query["MaxResults"]
        told += page
        if "NextToken" not in answer:
            return told
        if deletes:
            rows = [row for row in rows if row.name not in page]
        answer = listed("Endpoint", rows, {**query, "NextToken": answer["NextToken"]})


@given(ROWS, QUERIES)
def test_pages_tell_each_row_once_in_the_order_of_the_whole(
    rows: list[Listed], query: dict[str, Any]
) -> None:
    whole = listed("Endpoint", rows, {**query, "MaxResults": 100})
    names = [row["EndpointName"] for row in whole["Endpoints"]]
    assert "NextToken" not in whole
    assert pages(rows, query) == names
    assert pages(rows, query, deletes=True) == names
    wanted = {row.name for row in rows if query.get("NameContains", "") in row.name
              and query.get("StatusEquals", row.status) == row.status}  # fmt: skip
    assert set(names) == wanted


@given(ROWS)
def test_without_a_wish_the_newest_comes_first(rows: list[Listed]) -> None:
    times = [row["CreationTime"] for row in listed("Model", rows, {})["Models"]]
    assert times == sorted(times, reverse=True)


@given(st.lists(st.integers(), max_size=9), st.integers(1, 4))
def test_pages_of_tags_tell_each_once(tags: list[int], most: int) -> None:
    told: list[int] = []
    token = ""
    while True:
        page, token = paged(tags, {"MaxResults": most, "NextToken": token}, 50)
        told += page
        if not token:
            break
    assert told == tags


@given(st.text(max_size=20) | st.binary(max_size=12).map(lambda raw: raw.hex()))
def test_a_token_of_nobody_is_told_so(token: str) -> None:
    if token:
        with pytest.raises(BadToken):
            listed("Model", [], {"NextToken": token})


def test_a_token_of_another_order_is_told_so() -> None:
    rows = [Listed(name=name, arn="arn", created=1.0) for name in "ab"]
    token = listed("Model", rows, {"MaxResults": 1, "SortBy": "Name"})["NextToken"]
    with pytest.raises(BadToken):
        listed("Model", rows, {"NextToken": token})
