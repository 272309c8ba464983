"""Owns: that the board says what a naive look at the whole story says, at any moment of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.endpoint_state import KEPT, InstanceChange, InstanceState, Invocation, Journal
from emulator.view import THROTTLED, Board, Percentiles, Snapshot

CODES = ("", "", "", THROTTLED, "ModelError", "InternalFailure")

seconds = st.floats(min_value=0, max_value=60, allow_nan=False)
steps = st.one_of(
    st.tuples(
        st.just("change"),
        st.integers(1, 5),
        st.sampled_from(InstanceState),
        st.none() | st.integers(1, 9),
    ),
    st.tuples(
        st.just("answer"),
        st.none() | st.integers(1, 5),
        st.tuples(seconds, seconds, st.booleans(), st.sampled_from(CODES)),
        st.none() | st.integers(1, 10**9),
    ),
)


@dataclass
class Story:
    """Tells a journal, and remembers everything."""

    journal: Journal = field(default_factory=Journal)
    changes: list[InstanceChange] = field(default_factory=list)
    answers: list[Invocation] = field(default_factory=list)
    order: list[InstanceChange | Invocation] = field(default_factory=list)
    now: float = 100.0

    def tell(self, step: tuple[object, ...]) -> None:
        self.now += 1.0
        kind, instance, what, more = step
        if kind == "change":
            change = InstanceChange(at=self.now, instance=instance, state=what, request=more)
            self.changes.append(change)
            self.order.append(change)
            self.journal.changed(change)
            return
        total, model, cold, error = what
        record = self.journal.begin(self.now)
        record.instance, record.model_seconds, record.memory_bytes = instance, model, more
        record.cold, record.error = cold, error
        self.now += total
        self.answers.append(record)
        self.order.append(record)
        self.journal.end(record, self.now)


def naive_rank(values: list[float], percent: int) -> float | None:
    """The smallest value that at least so many percent of all do not exceed."""
    for value in sorted(values):
        if 100 * sum(other <= value for other in values) >= percent * len(values):
            return value * 1000
    return None


def check(snapshot: Snapshot, story: Story) -> None:
    last = {change.instance: change for change in story.changes}
    living = {n: c for n, c in last.items() if c.state is not InstanceState.GONE}
    assert [one.instance for one in snapshot.instances] == sorted(living)
    for one in snapshot.instances:
        mine = [c for c in story.changes if c.instance == one.instance]
        ends = [i for i, c in enumerate(mine) if c.state is InstanceState.GONE]
        life = mine[ends[-1] + 1 if ends else 0 :]
        same = len(life) - 1
        while same and life[same - 1].state is life[-1].state:
            same -= 1
        assert one.state is life[-1].state
        assert (one.started, one.since) == (life[0].at, life[same].at)
        assert one.request == life[-1].request
        lived = story.order[next(i for i, x in enumerate(story.order) if x is life[0]) :]
        served = [x for x in lived if isinstance(x, Invocation) and x.instance == one.instance]
        assert one.served == len(served)
        memory = [x.memory_bytes for x in served if x.memory_bytes is not None]
        assert one.memory_bytes == max(memory, default=None)
    assert snapshot.concurrency == sum(c.request is not None for c in living.values())
    assert snapshot.states() == Counter(c.state for c in living.values())

    assert snapshot.invocations == len(story.answers)
    assert snapshot.cold == sum(a.cold for a in story.answers)
    errors = Counter(a.error for a in story.answers if a.error)
    assert snapshot.throttles == errors.pop(THROTTLED, 0)
    assert snapshot.errors == errors
    measured = [a for a in story.answers if a.instance is not None][-KEPT:]
    assert snapshot.measured == len(measured)
    for percentiles, values in (
        (snapshot.total, [a.seconds for a in measured]),
        (snapshot.model, [a.model_seconds for a in measured]),
        (snapshot.overhead, [max(0.0, a.seconds - a.model_seconds) for a in measured]),
    ):
        for percent in (50, 90, 99):
            assert getattr(percentiles, f"p{percent}") == naive_rank(values, percent)


@given(st.lists(steps, max_size=40))
def test_a_board_says_at_every_step_what_a_naive_look_says(told: list[tuple[object, ...]]) -> None:
    story = Story()
    board = Board(story.journal, max_concurrency=5)
    check(board.snapshot(story.now), story)
    for step in told:
        story.tell(step)
        check(board.snapshot(story.now), story)


@given(st.lists(steps, max_size=40))
def test_a_board_made_later_says_the_same_of_instances_counts_and_latencies(
    told: list[tuple[object, ...]],
) -> None:
    story = Story()
    early = Board(story.journal, max_concurrency=5)
    for step in told:
        story.tell(step)
    late = Board(story.journal, max_concurrency=5)
    one, two = early.snapshot(story.now), late.snapshot(story.now)
    assert one.totals_as_json() == two.totals_as_json()
    kept = ("instance", "state", "since", "started", "request")
    assert [[getattr(i, name) for name in kept] for i in one.instances] == [
        [getattr(i, name) for name in kept] for i in two.instances
    ]


@given(st.lists(steps, max_size=30))
def test_a_snapshot_is_json_without_nan(told: list[tuple[object, ...]]) -> None:
    story = Story()
    board = Board(story.journal, max_concurrency=3, memory_limit_bytes=2**31)
    for step in told:
        story.tell(step)
    written = json.dumps(board.snapshot(story.now).as_json(), allow_nan=False)
    assert json.loads(written)["max_concurrency"] == 3


def test_percentiles_are_of_the_last_thousand_only() -> None:
    story = Story()
    board = Board(story.journal, max_concurrency=1)
    for number in range(KEPT + 500):
        story.tell(("answer", 1, (float(number < 500), 0.0, False, ""), None))
    seen = board.snapshot(story.now)
    assert (seen.measured, seen.invocations) == (KEPT, KEPT + 500)
    assert seen.total == Percentiles(p50=0.0, p90=0.0, p99=0.0)


@given(st.lists(seconds, min_size=1, max_size=300))
def test_a_percentile_is_a_measured_value(values: list[float]) -> None:
    found = Percentiles.of(values)
    for percent in (50, 90, 99):
        value = getattr(found, f"p{percent}")
        assert value == naive_rank(values, percent)
        assert any(math.isclose(value, one * 1000) for one in values)


def test_without_a_request_there_is_no_latency() -> None:
    assert Board(Journal(), max_concurrency=1).snapshot(0.0).total == Percentiles()


def test_a_refused_request_does_not_make_latencies_look_better() -> None:
    story = Story()
    board = Board(story.journal, max_concurrency=1)
    story.tell(("answer", 1, (2.0, 1.5, False, ""), None))
    story.tell(("answer", None, (0.0, 0.0, False, THROTTLED), None))
    seen = board.snapshot(story.now)
    assert (seen.throttles, seen.measured, seen.total.p50) == (1, 1, 2000.0)


def test_the_limit_may_change_by_an_update() -> None:
    limits = [4]
    board = Board(Journal(), max_concurrency=lambda: limits[0])
    assert board.snapshot(0.0).max_concurrency == 4
    limits[0] = 8
    assert board.snapshot(0.0).max_concurrency == 8


def test_an_instance_that_has_not_changed_for_long_is_on_a_board_made_late() -> None:
    story = Story()
    story.tell(("change", 1, InstanceState.IDLE, None))
    for _ in range(KEPT):
        story.tell(("change", 2, InstanceState.BUSY, 1))
    assert len(story.journal.changes) == KEPT
    numbers = [i.instance for i in Board(story.journal, max_concurrency=2).snapshot(0.0).instances]
    assert numbers == [1, 2]


def test_a_closed_board_hears_nothing_more() -> None:
    story = Story()
    board = Board(story.journal, max_concurrency=1)
    board.close()
    board.close()
    assert (story.journal.listeners, story.journal.watchers) == ([], [])


@pytest.mark.parametrize("state", [s for s in InstanceState if s is not InstanceState.GONE])
def test_an_instance_keeps_since_when_it_is_in_its_state(state: InstanceState) -> None:
    journal = Journal()
    board = Board(journal, max_concurrency=1)
    journal.changed(InstanceChange(at=1.0, instance=1, state=state))
    journal.changed(InstanceChange(at=2.0, instance=1, state=state, container="c", why="503"))
    (one,) = board.snapshot(3.0).instances
    assert (one.since, one.container, one.why) == (1.0, "c", "503")
