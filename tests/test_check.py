"""The declaration of a check and the ways in which one ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.check import (
    INFO,
    MUST,
    PAYLOAD,
    SHOULD,
    Advice,
    Blocked,
    ContractViolation,
    NotApplicable,
    advise,
    blocked,
    check,
    declared,
    expect,
    function_name,
    not_applicable,
    requirement_name,
)
from emulator.engines import Capability
from emulator.errors import PING_FAILED
from emulator.http import Outcome, Reply, Request
from emulator.limits import PROFILES
from emulator.sources import Evidence, Source, contract

GOOD = {
    "level": MUST,
    "clause": "It answers.",
    "source": contract("2.3"),
    "catalogue": "PNG-002",
    "caught_by": "slow-ping",
    "fix": "Mend it.",
}


def declare(function=None, **changes):
    def test_it_answers():
        """Nothing to do."""

    words = GOOD | changes
    level, clause = words.pop("level"), words.pop("clause")
    return check(level, clause, **words)(function or test_it_answers)


def source(evidence):
    return Source(row="contract 0.0", url="https://example.com/", evidence=evidence)


def test_a_declaration_is_carried_by_the_function_which_stays_what_it_was():
    def test_slow_ping_is_seen():
        raise NotApplicable("called")

    function = declare(test_slow_ping_is_seen, needs=("a",), requires=(PAYLOAD,))
    assert function is test_slow_ping_is_seen
    found = declared(function)
    assert found is not None
    assert found.id == "slow-ping-is-seen"
    assert found.function == function_name(found.id) == "test_slow_ping_is_seen"
    assert found.chapter == "check", "the module's name without test_"
    assert (found.clause, found.fix, found.caught_by) == ("It answers.", "Mend it.", ("slow-ping",))
    assert (found.needs, found.requires) == (("a",), ("payload",))
    with pytest.raises(NotApplicable, match="called"):
        function()


def test_one_level_holds_for_every_profile_and_a_mapping_for_each():
    assert {declared(declare()).level(profile) for profile in PROFILES} == {MUST}
    found = declared(declare(level={"serverless": SHOULD, "realtime": MUST}))
    assert (found.level("serverless"), found.level("realtime")) == (SHOULD, MUST)


def test_several_faults_may_be_caught():
    assert declared(declare(caught_by=("one", "two"))).caught_by == ("one", "two")


def test_what_is_no_check_has_no_declaration():
    def test_plain():
        """Nothing to do."""

    test_plain.__byoc_check__ = "something else"
    assert declared(test_plain) is None
    assert declared(None) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clause": "It answers"}, "full stop"),
        ({"clause": ""}, "full stop"),
        ({"caught_by": ()}, "caught_by"),
        ({"level": {"serverless": MUST}}, "a level for each of serverless, realtime"),
        ({"level": {}}, "a level for each"),
        ({"source": source(Evidence.REPORTED)}, "documented or reproduced"),
        ({"source": source(Evidence.INFERRED)}, "documented or reproduced"),
        (
            {
                "level": {"serverless": SHOULD, "realtime": MUST},
                "source": source(Evidence.INFERRED),
            },
            "documented or reproduced",
        ),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused_when_it_is_imported(changes, words):
    with pytest.raises(ValueError, match=words) as refused:
        declare(**changes)
    assert "test_it_answers" in str(refused.value), "the message names the function"


def test_a_check_that_pytest_would_not_find_is_refused():
    def answers():
        """Nothing to do."""

    with pytest.raises(ValueError, match="answers: a check's function is called test_"):
        declare(answers)


@given(st.sampled_from(Evidence), st.sampled_from([MUST, SHOULD, INFO]))
def test_weak_evidence_never_carries_a_must_and_carries_everything_else(evidence, level):
    weak = evidence in {Evidence.REPORTED, Evidence.INFERRED}
    if weak and level is MUST:
        with pytest.raises(ValueError, match="evidence"):
            declare(level=level, source=source(evidence))
    else:
        assert declared(declare(level=level, source=source(evidence))).source.evidence is evidence


@given(st.from_regex(r"\A[a-z][a-z0-9]*(-[a-z0-9]+)*\Z"))
def test_id_and_function_name_lead_to_each_other(identity):
    assert function_name(identity).removeprefix("test_").replace("_", "-") == identity
    assert function_name(identity).isidentifier()


# -- ends -----------------------------------------------------------------------------------------

REPLY = Reply(
    request=Request(method="GET", path="/ping", headers={"Host": "model.aws.local:8080"}),
    outcome=Outcome.ANSWERED,
    seconds=0.5,
    status=503,
    body=b"loading",
    body_bytes=7,
)


@given(st.text(), st.text())
def test_what_holds_ends_nothing(expected, actual):
    assert expect(True, expected=expected, actual=actual) is None
    assert advise(True, expected=expected, actual=actual) is None


def test_what_does_not_hold_is_the_containers_fault_with_both_sides_told():
    with pytest.raises(ContractViolation) as raised:
        expect(False, expected="200", actual=404, fix="Do this.", reproduce="curl x")
    error = raised.value
    assert not isinstance(error, Advice)
    assert (error.expected, error.actual) == ("200", "404")
    assert (error.fix, error.reproduce) == ("Do this.", "curl x")
    assert str(error) == "expected 200; actual 404"


@pytest.mark.parametrize("end", [expect, advise])
def test_a_reply_brings_the_line_that_sends_the_same_request(end):
    with pytest.raises(ContractViolation) as raised:
        end(False, expected="200", actual=REPLY)
    assert "HTTP 503" in raised.value.actual
    assert "loading" in raised.value.actual
    line = raised.value.reproduce
    assert line.startswith("curl ")
    assert line.endswith("http://127.0.0.1:8080/ping")
    assert "Host: model.aws.local:8080" in line


def test_a_line_that_the_check_knows_better_is_kept():
    with pytest.raises(ContractViolation) as raised:
        expect(False, expected="200", actual=REPLY, reproduce="docker run x")
    assert raised.value.reproduce == "docker run x"


def test_an_advice_is_told_apart_from_a_violation():
    with pytest.raises(Advice) as raised:
        advise(False, expected="fast", actual="slow", fix="Hurry.")
    assert (raised.value.expected, raised.value.actual) == ("fast", "slow")
    assert raised.value.fix == "Hurry."


def test_skipping_and_blocking_carry_their_reason_and_are_no_violation():
    with pytest.raises(NotApplicable, match="no payload"):
        not_applicable("no payload")
    with pytest.raises(Blocked, match="not ready"):
        blocked("not ready")
    assert not issubclass(NotApplicable, ContractViolation)
    assert not issubclass(Blocked, ContractViolation)


def test_requirements_have_names_for_people():
    assert requirement_name(PAYLOAD) == "payload"
    assert requirement_name(Capability.SOCKETS) == "read the container's listening sockets"


def test_aws_words_come_with_where_they_are_shown():
    assert declared(declare(aws_shows=PING_FAILED)).aws_shows is PING_FAILED
    assert declared(declare()).aws_shows is None
