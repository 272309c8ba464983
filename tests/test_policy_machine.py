"""Owns: what holds whatever happens. A driver that is honest, late, doubled and clumsy by turns
plays against the policy; a second, plain set of books, kept from the orders alone, judges it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from emulator.policy import Policy
from emulator.policy_events import (
    RESTART_SECONDS_AT_MOST,
    Action,
    Dispatch,
    Event,
    FailRequest,
    FailWhy,
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
    StopWhy,
    Throttle,
    Tick,
    UpdateFailed,
)


@st.composite
def configs(draw: st.DrawFn) -> PolicyConfig:
    """Small numbers, so that windows, idle times and ages meet in a short play."""
    most = draw(st.integers(1, 4))
    return PolicyConfig(
        max_concurrency=most,
        provisioned=draw(st.one_of(st.just(0), st.integers(0, most))),
        setup_seconds=9.0,
        invocation_seconds=6.0,
        idle_seconds=draw(st.sampled_from([4.0, 20.0, math.inf])),
        halving_seconds=draw(st.sampled_from([None, None, 5.0])),
        max_age_seconds=draw(st.sampled_from([None, None, 3.0, 25.0])),
    )


@dataclass(slots=True)
class Seen:
    """An instance as the driver knows it."""

    version: int
    provisioned: bool
    started: float
    request: int | None
    ready: bool = False
    used: tuple[float, int] = (0.0, 0)  # when it became idle, and the how manieth event that was


class Machine(RuleBasedStateMachine):
    @initialize(config=configs(), warm=st.booleans())
    def begin(self, config: PolicyConfig, warm: bool) -> None:
        self.now = 0.0
        self.step = 0
        self.before = 0
        self.policy, self.late = Policy(config), Policy(config)
        self.late_says: list[Action] = []
        self.says: list[Action] = []
        # Without provisioned instances nothing is started by a timer, so a policy that never
        # gets a Tick must decide the same.
        self.comparable = config.provisioned == 0
        self.live: dict[int, Seen] = {}
        self.stopped: set[int] = set()
        self.open: dict[int, int | None] = {}  # requests in flight, and where each one is
        self.answered: dict[int, int] = {}  # how often
        self.versions = {1: config}
        self.most = config.max_concurrency
        self.requests = 0
        self.refused_start = -math.inf
        self.obey(self.policy.begin(self.now, warm=warm))
        self.late.begin(self.now, warm=warm)

    # The driver's books

    def tell(self, event: Event) -> list[Action]:
        self.step += 1
        actions = self.policy.on(event, self.now)
        self.obey(actions)
        if self.comparable:
            self.says += actions
            if not isinstance(event, Tick):
                self.late_says += self.late.on(event, self.now)
                assert self.late_says == self.says
        due = self.policy.next_deadline()
        assert due is None or due > self.now
        return actions

    def obey(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartInstance():
                    self.start(action)
                case Dispatch():
                    self.dispatch(action)
                case Throttle(request=request):
                    assert self.open.pop(request) is None
                    self.answer(request)
                case FailRequest():
                    self.fail(action)
                case StopInstance(instance=number, why=why):
                    gone = self.live.pop(number)
                    assert gone.request is None, "its request was answered before"
                    self.stopped.add(number)
                    if gone.provisioned and not gone.ready:
                        self.refused_start = self.now
                    assert why is not StopWhy.IDLE or not gone.provisioned
                case UpdateFailed(version=version):
                    assert version != self.policy.version
                    assert self.policy.updating is None

    def start(self, action: StartInstance) -> None:
        assert action.instance == len(self.live) + len(self.stopped) + 1
        assert action.version in self.versions
        if action.request is not None:
            assert not action.provisioned
            assert self.open[action.request] is None
            assert not self.free(provisioned=True)
            assert not self.free(provisioned=False)
            self.open[action.request] = action.instance
        self.live[action.instance] = Seen(
            action.version, action.provisioned, self.now, action.request
        )

    def free(self, *, provisioned: bool) -> list[Seen]:
        """Idle instances of the serving version."""
        return [
            i
            for i in self.live.values()
            if i.ready
            and i.request is None
            and i.provisioned == provisioned
            and i.version == self.policy.version
        ]

    def dispatch(self, action: Dispatch) -> None:
        instance, config = self.live[action.instance], self.versions_of(action.instance)
        assert instance.ready
        assert action.deadline == self.now + 6.0
        assert action.provisioned == instance.provisioned
        assert action.spilled == (config.provisioned > 0 and not instance.provisioned)
        if action.cold:
            assert instance.request == action.request
            assert self.open[action.request] == action.instance
            return
        assert instance.request is None
        assert self.open[action.request] is None
        kept = self.free(provisioned=True)
        assert instance in (kept or self.free(provisioned=False))
        assert instance.used == max(i.used for i in (kept or self.free(provisioned=False)))
        if not instance.provisioned and config.halving_seconds is None:
            assert self.now - instance.used[0] < config.idle_seconds
        if config.max_age_seconds is not None:
            assert self.now - instance.started < config.max_age_seconds
        instance.request = action.request
        self.open[action.request] = action.instance

    def versions_of(self, number: int) -> PolicyConfig:
        return self.versions[self.live[number].version]

    def fail(self, action: FailRequest) -> None:
        instance = self.live[action.instance]
        assert self.open.pop(action.request) == action.instance
        assert instance.request == action.request
        in_setup = action.why in (FailWhy.SETUP_TIMEOUT, FailWhy.SETUP_FAILED)
        assert instance.ready != in_setup
        instance.request = None
        self.answer(action.request)

    def answer(self, request: int) -> None:
        self.answered[request] = self.answered.get(request, 0) + 1
        assert self.answered[request] == 1

    # What happens

    @rule(seconds=st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0, 5.0, 8.0, 30.0]))
    def time_goes_on_unnoticed(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_tick_out_of_turn(self) -> None:
        self.tell(Tick())

    @rule(fraction=st.sampled_from([0.5, 0.999, 1.0]))
    def a_tick_at_or_before_the_deadline(self, fraction: float) -> None:
        due = self.policy.next_deadline()
        if due is None:
            return
        early = self.now + (due - self.now) * fraction if fraction < 1 else due
        # Time may have gone on unnoticed past it; or a fraction may round up to it.
        self.now = max(self.now, early)
        reached = self.now >= due
        actions = self.tell(Tick())
        after = self.policy.next_deadline()
        if reached:
            assert after is None or after > due
        else:
            assert (actions, after) == ([], due)

    @rule(count=st.integers(1, 6))
    def requests_arrive(self, count: int) -> None:
        for _ in range(count):
            self.tell(Tick())  # settles what is due, so that the books say what the policy knows
            full = len(self.open) >= self.policy.config.max_concurrency
            self.requests += 1
            self.open[self.requests] = None
            (action,) = self.tell(InvokeArrived(request=self.requests))
            assert isinstance(action, Throttle) == full

    def finish_start(self, number: int, event: InstanceReady | InstanceFailed) -> None:
        self.tell(Tick())
        if number in self.live and not self.live[number].ready:
            if isinstance(event, InstanceReady):
                self.live[number].ready = True
                self.live[number].used = (self.now, self.step)
            self.tell(event)

    @precondition(lambda self: any(not i.ready for i in self.live.values()))
    @rule(data=st.data())
    def a_start_ends_well(self, data: st.DataObject) -> None:
        starting = [n for n, i in self.live.items() if not i.ready]
        number = data.draw(st.sampled_from(starting))
        self.finish_start(number, InstanceReady(instance=number))

    @precondition(lambda self: any(not i.ready for i in self.live.values()))
    @rule(data=st.data())
    def a_start_fails(self, data: st.DataObject) -> None:
        starting = [n for n, i in self.live.items() if not i.ready]
        number = data.draw(st.sampled_from(starting))
        self.finish_start(number, InstanceFailed(instance=number, reason="exit code 1"))

    @precondition(lambda self: any(i.ready and i.request for i in self.live.values()))
    @rule(data=st.data(), twice=st.booleans())
    def an_answer_comes(self, data: st.DataObject, twice: bool) -> None:
        busy = [(n, i.request) for n, i in self.live.items() if i.ready and i.request]
        number, request = data.draw(st.sampled_from(busy))
        assert request is not None
        self.tell(Tick())
        event = InvokeFinished(instance=number, request=request)
        if number in self.live:  # or its time was up
            self.live[number].request = None
            self.live[number].used = (self.now, self.step)
            assert self.open.pop(request) == number
            self.answer(request)
            self.tell(event)
        if twice:
            self.ignored(event)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def an_instance_dies(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.live)))
        self.tell(InstanceGone(instance=number))
        assert number not in self.live

    # What reports may be like

    def ignored(self, event: Event) -> None:
        self.tell(Tick())
        before = self.policy.stale
        assert self.tell(event) == []
        assert self.policy.stale == before + 1

    @precondition(lambda self: self.stopped)
    @rule(data=st.data())
    def a_stopped_instance_is_heard_of(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.stopped)))
        self.ignored(InstanceReady(instance=number))
        self.ignored(InstanceFailed(instance=number))
        self.ignored(InstanceGone(instance=number))
        self.ignored(InvokeFinished(instance=number, request=self.requests))

    @precondition(lambda self: any(i.ready for i in self.live.values()))
    @rule(data=st.data())
    def a_ready_instance_is_ready_again(self, data: st.DataObject) -> None:
        self.tell(Tick())
        ready = [n for n, i in self.live.items() if i.ready]
        if ready:
            number = data.draw(st.sampled_from(ready))
            self.ignored(InstanceReady(instance=number))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def an_answer_that_cannot_be(self, data: st.DataObject) -> None:
        """To another request, or to one whose instance is not ready."""
        self.tell(Tick())
        wrong = [
            (n, request)
            for n, i in self.live.items()
            for request in (*self.open, self.requests + 1)
            if not i.ready or i.request != request
        ]
        if wrong:
            number, request = data.draw(st.sampled_from(wrong))
            self.ignored(InvokeFinished(instance=number, request=request))

    @rule()
    def nonsense_is_refused(self) -> None:
        due = self.policy.next_deadline()
        unknown = len(self.live) + len(self.stopped) + 1
        for event in (InstanceReady(instance=unknown), InstanceGone(instance=0)):
            with pytest.raises(Misuse):
                self.policy.on(event, self.now)
        for request in self.open:
            with pytest.raises(Misuse):
                self.policy.on(InvokeArrived(request=request), self.now)
        with pytest.raises(Misuse):
            self.policy.on(Tick(), -1.0)
        assert self.policy.next_deadline() == due

    # Updates

    @rule(config=configs())
    def an_update_begins(self, config: PolicyConfig) -> None:
        version = len(self.versions) + 1
        self.comparable &= config.provisioned == 0
        self.most = max(self.most, config.max_concurrency)
        self.tell(Tick())
        self.versions[version] = config
        self.tell(Reconfigured(version=version, config=config))
        assert self.policy.updating == version

    @rule(most=st.integers(1, 4), provisioned=st.integers(0, 4))
    def the_numbers_change_in_place(self, most: int, provisioned: int) -> None:
        config = replace(
            self.policy.config, max_concurrency=most, provisioned=min(most, provisioned)
        )
        self.comparable &= config.provisioned == 0
        self.most = max(self.most, most)
        self.tell(Tick())
        self.versions[self.policy.version] = config
        self.tell(Reconfigured(version=self.policy.version, config=config))
        assert self.policy.config == config
        assert self.policy.updating is None

    # What always holds

    @invariant()
    def the_counters_are_those_of_the_books(self) -> None:
        policy, live = self.policy, self.live.values()
        assert policy.live == len(live)  # started and not stopped
        assert policy.starting == sum(not i.ready for i in live)
        assert policy.busy == sum(i.ready and i.request is not None for i in live)
        assert policy.idle == sum(i.ready and i.request is None for i in live)
        assert policy.in_flight == len(self.open)
        assert policy.provisioned_busy == sum(i.provisioned and i.request is not None for i in live)

    @invariant()
    def a_request_in_flight_has_one_instance_to_itself(self) -> None:
        has = {i.request: n for n, i in self.live.items() if i.request is not None}
        assert has == self.open

    @invariant()
    def never_more_are_in_flight_than_allowed(self) -> None:
        # When the limit was lowered, those that were in flight finish, and no more come.
        assert self.policy.in_flight <= max(self.policy.config.max_concurrency, self.before)
        assert self.policy.busy <= self.policy.in_flight
        self.before = self.policy.in_flight

    @invariant()
    def on_demand_there_are_never_more_instances_than_requests_allowed(self) -> None:
        # One more for the warm beginning, which nobody waits for.
        here = [i for i in self.live.values() if i.version == self.policy.version]
        assert sum(not i.provisioned for i in here) <= self.most + 1

    @invariant()
    def provisioned_instances_are_as_many_as_they_should_be(self) -> None:
        here = [i for i in self.live.values() if i.version == self.policy.version]
        kept = [i for i in here if i.provisioned]
        number = self.policy.config.provisioned
        assert self.policy.provisioned == len(kept)
        if len(kept) < number:
            # Only while a start that failed waits for its next try.
            due = self.policy.next_deadline()
            assert due is not None
            assert due <= self.refused_start + RESTART_SECONDS_AT_MOST
        # More only while those too many are busy.
        assert len(kept) <= number or all(i.request for i in kept[number:] if i.ready)

    @invariant()
    def of_old_versions_only_requests_are_left(self) -> None:
        ours = (self.policy.version, self.policy.updating)
        for instance in self.live.values():
            assert instance.version in ours or instance.request is not None

    def teardown(self) -> None:
        """Left alone, every request is answered and nothing is busy for ever."""
        if not hasattr(self, "policy"):
            return
        for _ in range(200):
            if not self.open:
                break
            due = self.policy.next_deadline()
            assert due is not None, "requests wait and nothing falls due"
            self.now = max(self.now, due)
            self.tell(Tick())
        assert self.open == {}
        assert set(self.answered) == set(range(1, self.requests + 1))


@pytest.mark.ahead
def test_whatever_happens_the_books_agree() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=200, stateful_step_count=60, deadline=None)
    )
