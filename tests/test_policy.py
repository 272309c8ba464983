"""Owns: the policy's rules told as stories, one rule each, with the orders written out.

A story's time is in seconds; instances are numbered by the policy, requests by the story.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from emulator.errors import Usage
from emulator.limits import Limits
from emulator.policy import Policy
from emulator.policy_events import (
    Action,
    Dispatch,
    Event,
    FailRequest,
    InstanceFailed,
    InstanceGone,
    InstanceReady,
    InvokeArrived,
    InvokeFinished,
    Misuse,
    PolicyConfig,
    Reconfigured,
    StartInstance,
    StopInstance,
    Throttle,
    Tick,
    UpdateFailed,
)


def told(action: Action) -> str:
    """An order in a few words."""
    match action:
        case StartInstance(instance=i, version=v, provisioned=kept, request=request):
            words = f"start {i}" + (" provisioned" if kept else "") + (f" v{v}" if v != 1 else "")
            return words if request is None else f"{words} for {request}"
        case Dispatch(request=r, instance=i, cold=cold, provisioned=kept, spilled=spilled):
            marks = [" cold"] * cold + [" provisioned"] * kept + [" spilled"] * spilled
            return f"run {r} on {i}" + "".join(marks)
        case Throttle(request=r):
            return f"throttle {r}"
        case FailRequest(request=r, instance=i, why=why):
            return f"fail {r} on {i}: {why.name}"
        case StopInstance(instance=i, why=why):
            return f"stop {i}: {why.name}"
        case UpdateFailed(version=v, why=why):
            return f"update to {v} failed: {why.name}"


class Story:
    """A policy and its time. Each step answers with the orders, in words."""

    def __init__(self, *, warm: bool = False, **numbers: float | None) -> None:
        settings: dict[str, float | None] = {"max_concurrency": 4, **numbers}
        self.config = PolicyConfig(**settings)  # type: ignore[arg-type]
        self.policy = Policy(self.config)
        self.now = 0.0
        self.opened = [told(action) for action in self.policy.begin(0.0, warm=warm)]

    def at(self, now: float) -> Story:
        self.now = now
        return self

    def on(self, event: Event) -> list[str]:
        return [told(action) for action in self.policy.on(event, self.now)]

    def arrives(self, request: int) -> list[str]:
        return self.on(InvokeArrived(request=request))

    def ready(self, instance: int) -> list[str]:
        return self.on(InstanceReady(instance=instance))

    def failed(self, instance: int) -> list[str]:
        return self.on(InstanceFailed(instance=instance, reason="exit code 1"))

    def gone(self, instance: int) -> list[str]:
        return self.on(InstanceGone(instance=instance))

    def finished(self, request: int, instance: int) -> list[str]:
        return self.on(InvokeFinished(instance=instance, request=request))

    def tick(self) -> list[str]:
        return self.on(Tick())

    def update(self, version: int, **numbers: float | None) -> list[str]:
        config = replace(self.config, **numbers)  # type: ignore[arg-type]
        return self.on(Reconfigured(version=version, config=config))

    def with_idle(self, count: int) -> Story:
        """`count` requests at once, all answered one second later in the order of arrival."""
        for number in range(1, count + 1):
            self.arrives(number)
        for number in range(1, count + 1):
            self.ready(number)
        self.now += 1
        for number in range(1, count + 1):
            self.finished(number, number)
        return self

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """In flight, starting, busy, idle."""
        policy = self.policy
        return policy.in_flight, policy.starting, policy.busy, policy.idle


# Cold and warm


def test_an_endpoint_begins_warm() -> None:
    story = Story(warm=True)
    assert story.opened == ["start 1"]
    assert story.at(5).ready(1) == []
    assert story.at(6).arrives(1) == ["run 1 on 1"]


def test_a_request_that_finds_nothing_waits_for_its_own_instance() -> None:
    story = Story()
    assert story.opened == []
    assert story.arrives(1) == ["start 1 for 1"]
    assert story.counts == (1, 1, 0, 0)
    assert story.at(3).ready(1) == ["run 1 on 1 cold"]
    assert story.counts == (1, 0, 1, 0)
    assert story.at(4).finished(1, 1) == []
    assert story.counts == (0, 0, 0, 1)


def test_the_deadline_of_an_invocation_counts_from_its_dispatch() -> None:
    story = Story()
    story.arrives(1)
    (dispatch,) = story.policy.on(InstanceReady(instance=1), 170.0)
    assert isinstance(dispatch, Dispatch)
    assert dispatch.deadline == 230.0
    assert story.policy.next_deadline() == 230.0


def test_every_step_up_in_concurrency_is_a_cold_start() -> None:
    story = Story().with_idle(1)
    assert story.at(10).arrives(11) == ["run 11 on 1"]
    assert story.arrives(12) == ["start 2 for 12"]
    assert story.arrives(13) == ["start 3 for 13"]


def test_a_request_stays_with_its_own_start_when_another_instance_is_free_first() -> None:
    story = Story()
    story.arrives(1)
    story.at(1).ready(1)
    story.at(2).arrives(2)
    assert story.at(3).finished(1, 1) == []
    assert story.counts == (1, 1, 0, 1)
    assert story.at(9).ready(2) == ["run 2 on 2 cold"]


def test_a_request_does_not_take_the_start_of_another_one() -> None:
    story = Story(warm=True)
    assert story.at(1).arrives(1) == ["start 2 for 1"]
    assert story.at(2).ready(1) == []
    assert story.at(3).ready(2) == ["run 1 on 2 cold"]


def test_the_most_recently_used_instance_is_taken_first() -> None:
    story = Story().with_idle(3)
    assert story.at(10).arrives(11) == ["run 11 on 3"]
    assert story.arrives(12) == ["run 12 on 2"]
    assert story.at(11).finished(11, 3) == []
    assert story.at(12).finished(12, 2) == []
    assert story.at(13).arrives(13) == ["run 13 on 2"]


# MaxConcurrency


def test_over_max_concurrency_a_request_is_throttled_at_once() -> None:
    story = Story(max_concurrency=2)
    story.arrives(1)
    story.arrives(2)
    assert story.arrives(3) == ["throttle 3"]
    assert story.counts == (2, 2, 0, 0)


def test_a_throttled_request_is_not_remembered() -> None:
    story = Story(max_concurrency=1).with_idle(1)
    assert story.at(2).arrives(2) == ["run 2 on 1"]
    assert story.arrives(3) == ["throttle 3"]
    assert story.at(3).finished(2, 1) == []
    assert story.arrives(3) == ["run 3 on 1"]


def test_a_waiting_request_counts_as_much_as_a_running_one() -> None:
    story = Story(max_concurrency=2).with_idle(1)
    story.at(2).arrives(11)
    story.arrives(12)
    assert story.counts == (2, 1, 1, 0)
    assert story.arrives(13) == ["throttle 13"]


# The windows


def test_a_setup_that_takes_180_seconds_answers_its_request_and_frees_the_slot() -> None:
    story = Story(max_concurrency=1)
    story.arrives(1)
    assert story.policy.next_deadline() == 180.0
    assert story.at(179.9).tick() == []
    assert story.at(180).tick() == ["fail 1 on 1: SETUP_TIMEOUT", "stop 1: SETUP_TIMEOUT"]
    assert story.counts == (0, 0, 0, 0)
    assert story.arrives(2) == ["start 2 for 2"]


def test_an_invocation_that_takes_60_seconds_is_cut_and_its_instance_stopped() -> None:
    story = Story().with_idle(1)
    story.at(100).arrives(2)
    assert story.policy.next_deadline() == 160.0
    assert story.at(160).tick() == [
        "fail 2 on 1: INVOCATION_TIMEOUT",
        "stop 1: INVOCATION_TIMEOUT",
    ]
    assert story.arrives(3) == ["start 2 for 3"]


def test_the_longest_cold_request_has_both_windows() -> None:
    story = Story()
    story.arrives(1)
    assert story.at(179).ready(1) == ["run 1 on 1 cold"]
    assert story.at(238.9).finished(1, 1) == []


def test_an_answer_at_the_deadline_is_too_late() -> None:
    story = Story().with_idle(1)
    story.at(100).arrives(2)
    assert story.at(160).finished(2, 1) == [
        "fail 2 on 1: INVOCATION_TIMEOUT",
        "stop 1: INVOCATION_TIMEOUT",
    ]
    assert story.policy.stale == 1


def test_ready_after_the_window_is_too_late() -> None:
    story = Story()
    story.arrives(1)
    assert story.at(181).ready(1) == ["fail 1 on 1: SETUP_TIMEOUT", "stop 1: SETUP_TIMEOUT"]
    assert story.policy.stale == 1


def test_a_warm_start_that_takes_too_long_is_only_stopped() -> None:
    story = Story(warm=True)
    assert story.at(180).tick() == ["stop 1: SETUP_TIMEOUT"]
    assert story.policy.next_deadline() is None


# What goes wrong


def test_a_failed_start_answers_its_request_and_the_next_one_tries_again() -> None:
    story = Story(max_concurrency=1)
    story.arrives(1)
    assert story.at(2).failed(1) == ["fail 1 on 1: SETUP_FAILED", "stop 1: SETUP_FAILED"]
    assert story.at(3).arrives(2) == ["start 2 for 2"]


def test_an_instance_that_dies_busy_fails_its_request() -> None:
    story = Story().with_idle(2)
    story.at(5).arrives(11)
    assert story.gone(2) == ["fail 11 on 2: INSTANCE_DIED", "stop 2: DIED"]
    assert story.arrives(12) == ["run 12 on 1"]


def test_an_instance_that_dies_idle_is_not_used_again() -> None:
    story = Story().with_idle(2)
    assert story.at(5).gone(2) == ["stop 2: DIED"]
    assert story.arrives(11) == ["run 11 on 1"]


def test_dying_and_failing_are_told_apart_by_what_the_policy_knows() -> None:
    story = Story()
    story.arrives(1)
    assert story.gone(1) == ["fail 1 on 1: SETUP_FAILED", "stop 1: SETUP_FAILED"]
    story.with_idle(0).arrives(2)
    story.ready(2)
    assert story.failed(2) == ["fail 2 on 2: INSTANCE_DIED", "stop 2: DIED"]


def test_what_is_reported_too_late_is_counted_and_changes_nothing() -> None:
    story = Story().with_idle(2)
    story.at(5).gone(2)
    story.arrives(11)
    before = story.counts
    assert story.ready(2) == []  # of an instance that is gone
    assert story.ready(1) == []  # said twice
    assert story.gone(2) == []
    assert story.failed(2) == []
    assert story.finished(2, 2) == []
    assert story.finished(1, 1) == []  # an earlier request of a busy instance
    assert story.counts == before
    assert story.policy.stale == 6


def test_an_answer_before_the_instance_was_ready_is_not_believed() -> None:
    story = Story()
    story.arrives(1)
    assert story.finished(1, 1) == []
    assert story.policy.stale == 1
    assert story.ready(1) == ["run 1 on 1 cold"]


# Idle


def test_an_idle_instance_is_stopped_after_640_seconds() -> None:
    story = Story().with_idle(1)
    assert story.policy.next_deadline() == 641.0
    assert story.at(640.9).tick() == []
    assert story.at(641).tick() == ["stop 1: IDLE"]
    assert story.policy.next_deadline() is None


def test_use_puts_the_end_of_idle_time_off() -> None:
    story = Story().with_idle(2)
    story.at(600).arrives(11)
    story.at(601).finished(11, 2)
    assert story.at(641).tick() == ["stop 1: IDLE"]
    assert story.policy.next_deadline() == 1241.0


def test_an_instance_whose_idle_time_is_up_is_never_used_however_late_the_tick() -> None:
    story = Story().with_idle(1)
    assert story.at(700).arrives(11) == ["stop 1: IDLE", "start 2 for 11"]


def test_infinite_idle_time_keeps_instances() -> None:
    story = Story(idle_seconds=math.inf).with_idle(1)
    assert story.policy.next_deadline() is None
    assert story.at(1e9).arrives(11) == ["run 11 on 1"]


@pytest.mark.parametrize(
    ("burst", "left"),
    [(20, [10, 5, 3, 2, 1, 0]), (12, [6, 3, 2, 1, 0]), (8, [4, 2, 1, 0]), (1, [0])],
)
def test_the_halving_rule_halves_what_a_burst_left(burst: int, left: list[int]) -> None:
    story = Story(max_concurrency=20, halving_seconds=380).with_idle(burst)
    for period, expected in enumerate(left, start=1):
        assert story.policy.next_deadline() == 1 + 380 * period
        story.at(1 + 380 * period).tick()
        assert story.policy.idle == expected


def test_the_halving_rule_stops_the_least_recently_used() -> None:
    story = Story(halving_seconds=380).with_idle(4)
    assert story.at(381).tick() == ["stop 1: IDLE", "stop 2: IDLE"]
    assert story.arrives(11) == ["run 11 on 4"]


def test_the_halving_rule_does_not_depend_on_when_it_is_asked() -> None:
    story = Story(max_concurrency=20, halving_seconds=380).with_idle(20)
    story.at(1 + 3 * 380).tick()
    assert story.policy.idle == 3
    assert story.policy.next_deadline() == 1 + 4 * 380


# Age


def test_too_old_and_idle_is_stopped() -> None:
    story = Story(max_age_seconds=500).with_idle(1)
    assert story.policy.next_deadline() == 500.0
    assert story.at(500).tick() == ["stop 1: AGE"]


def test_an_instance_that_was_stopped_does_not_grow_old() -> None:
    story = Story(max_age_seconds=5000).with_idle(1)
    assert story.at(641).tick() == ["stop 1: IDLE"]
    assert story.policy.next_deadline() is None


def test_too_old_and_busy_finishes_first() -> None:
    story = Story(max_age_seconds=500).with_idle(1)
    story.at(490).arrives(11)
    assert story.at(500).tick() == []
    assert story.policy.next_deadline() == 550.0
    assert story.at(510).finished(11, 1) == ["stop 1: AGE"]


def test_an_old_provisioned_instance_is_replaced() -> None:
    story = Story(provisioned=1, max_age_seconds=500)
    story.at(1).ready(1)
    assert story.at(500).tick() == ["stop 1: AGE", "start 2 provisioned"]
    story.at(501).ready(2)
    story.at(990).arrives(1)
    assert story.at(1010).finished(1, 2) == ["stop 2: AGE", "start 3 provisioned"]


# Provisioned concurrency


def test_provisioned_instances_are_the_warm_beginning() -> None:
    story = Story(provisioned=2, warm=True)
    assert story.opened == ["start 1 provisioned", "start 2 provisioned"]


def test_provisioned_instances_are_tried_first_and_the_rest_spills() -> None:
    story = Story(max_concurrency=3, provisioned=1)
    story.at(1).ready(1)
    assert story.arrives(1) == ["run 1 on 1 provisioned"]
    assert story.arrives(2) == ["start 2 for 2"]
    assert story.at(2).ready(2) == ["run 2 on 2 cold spilled"]
    assert story.policy.provisioned_busy == 1
    story.at(3).finished(1, 1)
    assert story.policy.provisioned_busy == 0
    story.at(4).finished(2, 2)  # used later, and yet not taken first
    assert story.at(5).arrives(3) == ["run 3 on 1 provisioned"]
    assert story.arrives(4) == ["run 4 on 2 spilled"]


def test_provisioned_and_spilled_together_are_capped() -> None:
    story = Story(max_concurrency=2, provisioned=1)
    story.at(1).ready(1)
    story.arrives(1)
    story.arrives(2)
    assert story.arrives(3) == ["throttle 3"]


def test_a_request_does_not_wait_for_a_provisioned_start() -> None:
    story = Story(provisioned=1)
    assert story.at(1).arrives(1) == ["start 2 for 1"]


def test_provisioned_instances_never_idle_out() -> None:
    story = Story(provisioned=1)
    story.at(1).ready(1)
    assert story.policy.next_deadline() is None
    assert story.at(1e6).arrives(1) == ["run 1 on 1 provisioned"]


def test_a_provisioned_instance_that_dies_is_replaced_at_once() -> None:
    story = Story(provisioned=1)
    story.at(1).ready(1)
    assert story.at(9).gone(1) == ["stop 1: DIED", "start 2 provisioned"]
    assert story.policy.provisioned == 1


def test_a_provisioned_instance_that_timed_out_is_replaced_at_once() -> None:
    story = Story(provisioned=1)
    story.at(1).ready(1)
    story.at(2).arrives(1)
    assert story.at(62).tick() == [
        "fail 1 on 1: INVOCATION_TIMEOUT",
        "stop 1: INVOCATION_TIMEOUT",
        "start 2 provisioned",
    ]
    assert story.policy.provisioned_busy == 0


def test_a_provisioned_start_that_fails_is_retried_later_and_later() -> None:
    story = Story(provisioned=1)
    waits = []
    for instance in range(1, 10):
        assert story.failed(instance) == [f"stop {instance}: SETUP_FAILED"]
        due = story.policy.next_deadline()
        assert due is not None
        waits.append(due - story.now)
        assert story.at(due).tick() == [f"start {instance + 1} provisioned"]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert story.ready(10) == []
    story.gone(10)
    story.failed(11)
    assert story.policy.next_deadline() == story.now + 1


def test_starts_that_fail_together_wait_for_one_retry() -> None:
    story = Story(provisioned=3)
    story.at(1).failed(1)
    story.at(1.5).failed(2)
    assert story.policy.next_deadline() == 2.0
    assert story.at(2).tick() == ["start 4 provisioned", "start 5 provisioned"]


# Updates


def test_an_update_takes_over_when_its_first_instance_is_ready() -> None:
    story = Story().with_idle(2)
    story.at(5).arrives(11)
    assert story.at(6).update(2) == ["start 3 v2"]
    assert story.policy.updating == 2
    assert story.arrives(12) == ["run 12 on 1"]
    assert story.at(7).finished(12, 1) == []
    assert story.at(9).ready(3) == ["stop 1: DRAINED"]
    assert story.policy.version == 2
    assert story.policy.updating is None
    assert story.arrives(13) == ["run 13 on 3"]
    assert story.at(10).finished(11, 2) == ["stop 2: DRAINED"]


def test_a_request_that_waits_for_the_old_version_still_gets_it() -> None:
    story = Story()
    story.arrives(1)
    story.update(2)
    story.at(3).ready(2)
    assert story.at(4).ready(1) == ["run 1 on 1 cold"]
    assert story.at(5).finished(1, 1) == ["stop 1: DRAINED"]


def test_old_provisioned_instances_go_and_are_not_replaced() -> None:
    story = Story(provisioned=2)
    story.at(1).ready(1)
    story.at(2).arrives(1)
    assert story.update(2, provisioned=1) == ["start 3 provisioned v2"]
    assert story.at(3).ready(3) == ["stop 2: DRAINED"]  # it was starting, and nobody's
    assert story.at(4).gone(1) == ["fail 1 on 1: INSTANCE_DIED", "stop 1: DIED"]
    assert story.policy.provisioned == 1


def test_old_provisioned_instances_are_replaced_until_the_new_version_is_ready() -> None:
    story = Story(provisioned=1)
    story.at(1).ready(1)
    story.at(2).update(2)
    assert story.at(3).gone(1) == ["stop 1: DIED", "start 3 provisioned"]


def test_an_update_that_does_not_start_leaves_the_old_version_serving() -> None:
    story = Story().with_idle(1)
    story.at(5).update(2, provisioned=2)
    assert story.at(6).failed(2) == [
        "stop 2: SETUP_FAILED",
        "stop 3: CALLED_OFF",
        "update to 2 failed: SETUP_FAILED",
    ]
    assert story.policy.version == 1
    assert story.policy.updating is None
    assert story.arrives(11) == ["run 11 on 1"]


def test_an_update_that_is_not_ready_in_time_fails() -> None:
    story = Story()
    story.update(2)
    assert story.at(180).tick() == ["stop 1: SETUP_TIMEOUT", "update to 2 failed: SETUP_TIMEOUT"]


def test_a_second_update_calls_the_first_one_off() -> None:
    story = Story()
    story.update(2)
    assert story.at(1).update(3) == ["stop 1: CALLED_OFF", "start 2 v3"]
    assert story.at(2).ready(1) == []
    assert story.policy.version == 1
    story.at(3).ready(2)
    assert story.policy.version == 3


def test_asking_for_the_serving_version_calls_an_update_off() -> None:
    story = Story().with_idle(1)
    story.at(5).update(2)
    assert story.at(6).update(1) == ["stop 2: CALLED_OFF"]
    assert story.arrives(11) == ["run 11 on 1"]


def test_a_new_version_may_be_too_old_by_the_time_it_is_ready() -> None:
    story = Story()
    story.update(2, provisioned=2, max_age_seconds=5)
    assert story.at(6).ready(1) == ["stop 1: AGE", "start 3 provisioned v2"]
    assert story.policy.next_deadline() == 11.0  # of 3; that 2 is too old is known already
    assert story.at(7).ready(2) == ["stop 2: AGE", "start 4 provisioned v2"]


def test_max_concurrency_can_change_in_place() -> None:
    story = Story(max_concurrency=2)
    story.arrives(1)
    story.arrives(2)
    story.update(1, max_concurrency=3)
    assert story.arrives(3) == ["start 3 for 3"]
    story.update(1, max_concurrency=1)
    story.at(1).ready(1)
    story.at(2).finished(1, 1)
    assert story.policy.in_flight == 2
    assert story.arrives(4) == ["throttle 4"]


def test_provisioned_concurrency_can_be_raised_in_place() -> None:
    story = Story().with_idle(1)
    assert story.update(1, provisioned=2) == ["start 2 provisioned", "start 3 provisioned"]
    assert story.policy.config.provisioned == 2


def test_provisioned_concurrency_can_be_lowered_in_place() -> None:
    story = Story(provisioned=4)
    for instance in (1, 2, 3):
        story.at(instance).ready(instance)
    story.at(5).arrives(1)
    assert story.update(1, provisioned=2) == ["stop 4: SURPLUS", "stop 1: SURPLUS"]
    assert story.update(1, provisioned=0) == ["stop 2: SURPLUS"]
    assert story.at(6).finished(1, 3) == ["stop 3: SURPLUS"]
    assert story.policy.live == 0


def test_of_provisioned_starts_the_last_one_is_given_up_first() -> None:
    story = Story(provisioned=3)
    assert story.update(1, provisioned=2) == ["stop 3: SURPLUS"]


def test_lowering_provisioned_concurrency_leaves_the_warm_beginning_alone() -> None:
    story = Story(warm=True)
    assert story.update(1, provisioned=1) == ["start 2 provisioned"]
    story.at(1).ready(2)
    assert story.update(1, provisioned=0) == ["stop 2: SURPLUS"]


def test_a_shorter_idle_time_holds_at_once() -> None:
    story = Story().with_idle(1)
    assert story.at(100).update(1, idle_seconds=50) == ["stop 1: IDLE"]


# The driver's mistakes


def test_begin_comes_first_and_once() -> None:
    policy = Policy(PolicyConfig(max_concurrency=1))
    with pytest.raises(Misuse, match="comes first"):
        policy.on(Tick(), 0)
    policy.begin(0)
    with pytest.raises(Misuse, match="called before"):
        policy.begin(0)


@pytest.mark.parametrize("now", [9.999, -math.inf, math.inf, math.nan])
def test_time_goes_forward(now: float) -> None:
    story = Story().at(10)
    story.tick()
    with pytest.raises(Misuse, match=r"from 10.* to "):
        story.at(now).tick()
    assert story.at(10).tick() == []  # it may stand still


@pytest.mark.parametrize("instance", [0, -1, 3])
def test_an_instance_that_was_never_started_is_refused(instance: int) -> None:
    story = Story().with_idle(2)
    for report in (story.ready, story.gone, story.failed, lambda i: story.finished(1, i)):
        with pytest.raises(Misuse, match="never started"):
            report(instance)


def test_a_request_number_in_flight_is_refused_and_nothing_has_changed() -> None:
    story = Story().with_idle(1)
    story.at(2).arrives(2)
    story.arrives(3)
    before = story.counts
    with pytest.raises(Misuse, match="request 2 is in flight"):
        story.at(9).arrives(2)
    assert story.counts == before
    assert story.at(5).tick() == []  # not even time


def test_an_update_cannot_change_the_platforms_windows() -> None:
    with pytest.raises(Misuse, match="as they are"):
        Story().update(2, setup_seconds=10)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"max_concurrency": 0}, "max_concurrency is at least 1, not 0"),
        ({"max_concurrency": 2, "provisioned": 3}, r"from 0 to max_concurrency \(2\), not 3"),
        ({"max_concurrency": 2, "provisioned": -1}, "not -1"),
        ({"max_concurrency": 1, "idle_seconds": 0}, "idle_seconds is more than 0, not 0"),
        ({"max_concurrency": 1, "max_age_seconds": -5}, "max_age_seconds"),
        ({"max_concurrency": 1, "halving_seconds": math.nan}, "halving_seconds"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, float], says: str) -> None:
    with pytest.raises(Usage, match=says):
        PolicyConfig(**numbers)  # type: ignore[arg-type]


def test_the_windows_are_those_of_the_limits() -> None:
    config = PolicyConfig.of(Limits(), max_concurrency=5, provisioned=1)
    assert config == PolicyConfig(max_concurrency=5, provisioned=1)
    assert config.windows == (180, 60)
    shrunk = replace(Limits(), startup_seconds=3, invocation_seconds=1)
    assert PolicyConfig.of(shrunk, max_concurrency=1).windows == (3, 1)
