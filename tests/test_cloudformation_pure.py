"""The parts of CloudFormation that need neither moto nor a server: names, order, operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emulator.api.stacks.book import Book
from emulator.api.stacks.graph import After, Circular, after, order, turned, walk
from emulator.api.stacks.moto_answers import stored_template
from emulator.api.stacks.names import made_up
from emulator.api.stacks.operation import DELETE, DO_NOTHING, ROLLBACK, Operation
from emulator.api.stacks.resource import Change, Failed, Made, Resource, Wanted, Where
from emulator.api.stacks.rules import Refused, check_name

NAMES = "abcdef"
SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")


@given(
    stack=st.from_regex(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", fullmatch=True),
    logical=st.from_regex(r"[a-zA-Z0-9]{1,255}", fullmatch=True),
)
def test_a_made_up_name_is_one_that_sagemaker_takes(stack: str, logical: str) -> None:
    name = made_up(stack, logical)
    assert len(name) <= 63
    assert SAGEMAKER_NAME.fullmatch(name)
    assert name != made_up(stack, logical)
    assert name.startswith(stack[0])


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, frozenset[str]]:
    """Without circles: each waits for earlier ones only, in any order of writing."""
    names = draw(st.permutations(NAMES))
    waits = {
        name: frozenset(draw(st.sets(st.sampled_from(names[:place])))) if place else frozenset()
        for place, name in enumerate(names)
    }
    return {name: waits[name] for name in draw(st.permutations(names))}


@given(graphs())
def test_an_order_has_each_one_after_those_it_waits_for(waits: After) -> None:
    found = order(waits)
    assert sorted(found) == sorted(waits)
    for place, name in enumerate(found):
        assert waits[name] <= set(found[:place])


@given(graphs(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_a_circle_is_told(waits: dict[str, frozenset[str]], one: str, other: str) -> None:
    assume(one != other)
    waits = {**waits, one: waits[one] | {other}, other: waits[other] | {one}}
    with pytest.raises(Circular):
        order(waits)


@given(graphs())
def test_turning_the_order_twice_gives_it_back(waits: After) -> None:
    assert turned(turned(waits)) == waits


@given(graphs(), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_a_walk_begins_nothing_before_its_time_and_waits_for_all_it_began(
    waits: After, slow: set[str], bad: set[str]
) -> None:
    begun: list[str] = []
    ended: set[str] = set()
    failed: set[str] = set()

    def end(name: str) -> None:
        if name in bad:
            raise Failed(name)

    def begin(name: str) -> Any:
        assert waits[name] <= ended
        begun.append(name)
        if name in slow:
            return lambda: end(name)
        return end(name)

    def fail(name: str, error: Exception) -> None:
        assert str(error) == name
        failed.add(name)

    walk(waits, begin, ended.add, fail, expected=Failed)
    assert len(begun) == len(set(begun))
    assert ended | failed == set(begun)
    assert failed == bad & set(begun)
    for name in set(waits) - set(begun):
        assert not waits[name] <= ended


def test_references_in_texts_functions_and_depends_on_are_found() -> None:
    properties = {
        "A": {"Ref": "One"},
        "B": [{"Fn::GetAtt": ["Two", "Name"]}, {"Fn::Sub": "${Three}-${AWS::Region}-${!Four}"}],
        "C": {"Ref": "Parameter"},
    }
    resources = {name: {} for name in ("One", "Two", "Three", "Four", "Five")}
    found = after({**resources, "All": {"Properties": properties, "DependsOn": "Five"}})
    assert found["All"] == {"One", "Two", "Three", "Five"}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:8000/bucket/a/b.json", ("bucket", "a/b.json")),
        ("https://s3.eu-west-1.127.0.0.1/bucket/b.json", ("bucket", "b.json")),
        ("http://localhost:1/bucket/b", ("bucket", "b")),
        ("http://s3.localhost/bucket/b", ("bucket", "b")),
        ("https://bucket.s3.amazonaws.com/b.json", None),
        ("https://s3.us-east-1.amazonaws.com/bucket/b.json", None),
        ("http://127.0.0.1/bucket", None),
    ],
)
def test_a_template_of_ours_is_known_by_its_host(url: str, place: tuple[str, str] | None) -> None:
    assert stored_template(url) == place


@pytest.mark.parametrize("name", ["my_stack", "1st", "-a", "a" * 129, ""])
def test_a_name_that_no_stack_may_have_is_refused_in_awss_words(name: str) -> None:
    with pytest.raises(Refused, match=r"validation errors? detected: Value '.*' at 'stackName'"):
        check_name(name)


# Operations, above things that exist or do not.


@dataclass
class Things:
    """A handler: what exists, by physical ID. Whatever is in `broken` fails, early or late."""

    exist: dict[str, Any] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    count: int = 0

    def named(self, wanted: Wanted) -> str:
        del wanted
        return ""

    def create(self, where: Where, wanted: Wanted) -> Made:
        del where
        self._fail_early(wanted)
        self.count += 1
        physical = f"{wanted.logical}-{self.count}"
        self.exist[physical] = wanted.properties
        return self._made(physical, wanted)

    def change(self, before: Wanted, wanted: Wanted) -> Change:
        if before.properties == wanted.properties:
            return Change.NONE
        odd = wanted.properties["value"] % 2 != before.properties["value"] % 2
        return Change.REPLACEMENT if odd else Change.IN_PLACE

    def update(self, where: Where, before: Wanted, made: Made, wanted: Wanted) -> Made:
        del where, before
        self._fail_early(wanted)
        self.exist[made.physical] = wanted.properties
        return self._made(made.physical, wanted)

    def delete(self, where: Where, wanted: Wanted, made: Made) -> None:
        del where
        for other in self.exist.values():
            assert made.physical not in other["uses"], f"{wanted.logical} is still in use"
        del self.exist[made.physical]

    def _fail_early(self, wanted: Wanted) -> None:
        if wanted.logical in self.broken - self.late:
            raise Failed("early")

    def _made(self, physical: str, wanted: Wanted) -> Made:
        def settle() -> None:
            if wanted.logical in self.broken:
                raise Failed("late")

        slow = settle if wanted.logical in self.late else None
        return Made(physical=physical, name=physical, value=physical, settle=slow)


class Values:
    """A template: a number for each resource, and what it uses."""

    def __init__(self, waits: After, values: Mapping[str, int]) -> None:
        self.after = {
            name: frozenset(other for other in waits[name] if other in values) for name in values
        }
        self._values = values
        self._has: dict[str, Any] = {}

    def declared(self, logical: str) -> Wanted:
        body = {"DependsOn": sorted(self.after[logical])}
        return Wanted(logical=logical, kind="Thing", declared=body, properties={})

    def wanted(self, logical: str) -> Wanted:
        written = self.declared(logical)
        uses = tuple(sorted(self._has[other] for other in self.after[logical]))
        properties = {"value": self._values[logical], "uses": uses}
        return Wanted(
            logical=logical, kind="Thing", declared=written.declared, properties=properties
        )

    def has(self, resource: Resource) -> None:
        assert resource.made is not None
        self._has[resource.logical] = resource.made.value

    def finish(self) -> None:
        pass


@dataclass
class Told:
    statuses: list[str] = field(default_factory=list)
    is_gone: bool = False

    def resource(self, resource: Resource) -> None:
        assert resource.status

    def stack(self, status: str, reason: str = "") -> None:
        assert not reason.endswith(" ")
        self.statuses.append(status)

    def gone(self) -> None:
        self.is_gone = True


def book() -> Book:
    where = Where(stack="s", stack_id="id", region="r", account="a", tags={})
    return Book(where=where, tell=Told())


values = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), min_size=1)
some = st.frozensets(st.sampled_from(NAMES), max_size=2)


def state(kept: Book) -> dict[str, Any]:
    return {
        name: (resource.physical, resource.wanted.properties)
        for name, resource in kept.resources.items()
        if resource.exists
    }


def last(kept: Book) -> str:
    assert isinstance(kept.tell, Told)
    return kept.tell.statuses[-1]


@given(graphs(), values, some, some)
def test_creating_makes_all_or_leaves_nothing(
    waits: After, first: dict[str, int], broken: frozenset[str], late: frozenset[str]
) -> None:
    things, kept = Things(broken=broken, late=late), book()
    Operation(book=kept, handler=lambda _: things).create(Values(waits, first))
    if broken & first.keys():
        assert last(kept) == "ROLLBACK_COMPLETE"
        assert things.exist == {}
    else:
        assert last(kept) == "CREATE_COMPLETE"
        assert set(state(kept)) == set(first)
        assert dict(state(kept).values()) == things.exist


@given(graphs(), values, values, some, some)
def test_an_update_arrives_or_goes_back_to_exactly_what_was_there(
    waits: After,
    first: dict[str, int],
    second: dict[str, int],
    broken: frozenset[str],
    late: frozenset[str],
) -> None:
    things, kept = Things(late=late), book()
    one, two = Values(waits, first), Values(waits, second)
    Operation(book=kept, handler=lambda _: things).create(one)
    before, existed = state(kept), dict(things.exist)
    things.broken = broken
    forward = Broken(things)
    arrived = Operation(book=kept, handler=lambda _: forward).update(two, one)
    assert dict(state(kept).values()) == things.exist
    if arrived:
        assert last(kept) == "UPDATE_COMPLETE"
        assert {name: has["value"] for name, (_, has) in state(kept).items()} == second
    else:
        assert last(kept) == "UPDATE_ROLLBACK_COMPLETE"
        assert broken & second.keys()
        assert state(kept) == before
        assert things.exist == existed
    things.broken = frozenset()
    now = two if arrived else one
    Operation(book=kept, handler=lambda _: things).update(Values(waits, first), now)
    assert {name: has["value"] for name, (_, has) in state(kept).items()} == first
    Operation(book=kept, handler=lambda _: things).delete()
    assert things.exist == {}
    assert kept.tell.is_gone  # type: ignore[attr-defined]


class Broken:
    """Fails once for each thing: the way back works."""

    def __init__(self, things: Things) -> None:
        self._things = things

    def __getattr__(self, name: str) -> Any:
        return getattr(self._things, name)

    def update(self, where: Where, before: Wanted, made: Made, wanted: Wanted) -> Made:
        try:
            done = self._things.update(where, before, made, wanted)
        except Failed:
            self._things.broken -= {wanted.logical}
            raise
        settle = done.settle
        if settle is None:
            return done

        def once() -> None:
            try:
                settle()
            finally:
                self._things.broken -= {wanted.logical}

        return Made(physical=done.physical, name=done.name, value=done.value, settle=once)


@pytest.mark.parametrize(
    ("on_failure", "status", "left"),
    [(ROLLBACK, "ROLLBACK_COMPLETE", 0), (DELETE, "DELETE_COMPLETE", 0),
     (DO_NOTHING, "CREATE_FAILED", 1)],
)  # fmt: skip
def test_what_follows_a_failure_is_what_was_asked(on_failure: str, status: str, left: int) -> None:
    things, kept = Things(broken=frozenset("b")), book()
    waits = {"a": frozenset[str](), "b": frozenset("a")}
    template = Values(waits, {"a": 0, "b": 0})
    Operation(book=kept, handler=lambda _: things).create(template, on_failure)
    assert (last(kept), len(things.exist)) == (status, left)


def test_a_stack_whose_creation_failed_and_stayed_is_completed_by_an_update() -> None:
    things, kept = Things(broken=frozenset("b")), book()
    template = Values({"a": frozenset(), "b": frozenset("a")}, {"a": 0, "b": 0})
    Operation(book=kept, handler=lambda _: things).create(template, DO_NOTHING)
    things.broken = frozenset()
    assert Operation(book=kept, handler=lambda _: things).update(template, template)
    assert sorted(things.exist) == ["a-1", "b-2"]
    assert {r.status for r in kept.resources.values()} == {"CREATE_COMPLETE"}


def test_a_stack_that_is_cancelled_begins_nothing_more_and_is_deleted_whole() -> None:
    things, kept = Things(), book()
    waits = {"a": frozenset[str](), "b": frozenset("a")}
    template = Values(waits, {"a": 0, "b": 0})
    operation = Operation(book=kept, handler=lambda _: things, cancelled=lambda: bool(things.exist))
    operation.create(template)
    assert list(things.exist) == ["a-1"]
    Operation(book=kept, handler=lambda _: things).delete()
    assert things.exist == {}
