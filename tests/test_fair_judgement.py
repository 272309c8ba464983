"""What looks wrong and works on AWS is not held against a container, and what is told can be typed.

Owns: false alarms that people met. Must not know: Docker.
"""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from anyio.from_thread import start_blocking_portal

from contract_tests import test_filesystem, test_invocations
from contract_tests.check import Advice, ContractViolation, NotApplicable, expect
from contract_tests.settings import Payload, Settings
from contract_tests.target import Target
from emulator.http import Outcome, Reply
from emulator.instance import invocation
from emulator.testing import FakeEngine, FakeImage
from tests.fake_suite import info
from tests.test_conditions import InstantClock

PAYLOAD = Payload(name="x.json", content_type="application/json", body=b'{"x": [1]}\n')


@contextmanager
def container(handler=None, **settings):
    clock = InstantClock()
    image = FakeImage(info=info("x:1"), handler=handler) if handler else FakeImage(info=info("x:1"))
    engine = FakeEngine(clock, {"x:1": image})
    known = Settings(payload=(PAYLOAD,), **settings)
    with start_blocking_portal() as portal:
        target = Target(info("x:1"), known, engine=engine, http=engine, clock=clock, portal=portal)
        try:
            yield target, target.container()
        finally:
            target.close()


def busy(statuses):
    """Answers invocations after the first one, which belongs to the start, in this order."""
    left = iter([200, *statuses])
    return lambda request, age: (0.001, next(left) if request.body else 200, b"{}")


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_busy_for_a_moment_after_an_answer_is_warned_and_not_failed(status):
    with (
        container(busy([200, status, 200, 200])) as (target, subject),
        pytest.raises(Advice) as told,
    ):
        test_invocations.test_same_request_three_times(subject, target, (PAYLOAD,))
    assert f"[200, {status}, 200]; 0.2 s later it is taken" in told.value.actual
    assert "before the answer is written" in told.value.fix


def test_who_stays_busy_fails():
    with container(busy([200, 503, 503, 503])) as (target, subject):
        with pytest.raises(ContractViolation) as told:
            test_invocations.test_same_request_three_times(subject, target, (PAYLOAD,))
        assert not isinstance(told.value, Advice)


def answering(status, body):
    return lambda request, age: (0.001, status if request.body else 200, body)


def test_the_short_page_of_a_framework_is_as_good_as_a_text():
    page = b"<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>"
    with container(answering(400, page)) as (target, subject):
        test_invocations.test_malformed_body(subject, target)


@pytest.mark.parametrize(
    "body", [b"<html>" + b"x" * 2048, b"Traceback (most recent call last):\n  File ..."]
)
def test_a_long_page_and_a_traceback_are_not(body):
    with (
        container(answering(400, body)) as (target, subject),
        pytest.raises(ContractViolation, match="no traceback"),
    ):
        test_invocations.test_malformed_body(subject, target)


@pytest.mark.parametrize(
    "check",
    [
        test_filesystem.test_starts_without_dac_override,
        test_filesystem.test_starts_as_arbitrary_user,
        test_filesystem.test_starts_without_shm,
    ],
)
def test_what_only_serverless_may_restrict_is_not_judged_of_instances(check):
    with (
        container(profile="realtime") as (target, subject),
        pytest.raises(NotApplicable, match="instances"),
    ):
        check(target, subject)


def test_a_payload_that_ends_with_a_newline_can_be_sent_again_from_the_failure():
    request = invocation(PAYLOAD.body, PAYLOAD.content_type)
    reply = Reply(request=request, outcome=Outcome.ANSWERED, seconds=0.01, status=500)
    with pytest.raises(ContractViolation) as told:
        expect(False, expected="2xx", actual=reply)
    assert told.value.reproduce.startswith("printf %b '{\"x\": [1]}\\0012' | curl ")
    assert "--data-binary @- http://127.0.0.1:8080/invocations" in told.value.reproduce
