"""How the end of a check becomes its verdict.

Owns: the mapping from exception and level to verdict, and what a result tells. Must not know:
pytest, the run's other results.
"""

from __future__ import annotations

import traceback

from contract_tests.check import (
    SCRIPT,
    TEMPLATE,
    Advice,
    Blocked,
    Check,
    ContractViolation,
    Level,
    NotApplicable,
    Verdict,
)
from contract_tests.report import Result
from contract_tests.settings import Settings
from contract_tests.target import Target
from emulator.engines import EngineUnavailable


def judge(
    check: Check,
    error: BaseException | None,
    settings: Settings,
    target: Target | None,
    seconds: float,
) -> Result:
    """The result of a check that ended with this exception, or with none. Only a
    ContractViolation is the container's fault; every exception that is not ours is the harness's.
    """
    excepted = settings.exceptions
    level = excepted.level(check, settings.profile)
    verdict, reason = Verdict.PASS, ""
    expected = actual = fix = reproduce = aws_shows = log_tail = ""
    if isinstance(error, ContractViolation):
        hard = level is Level.MUST or (level is Level.SHOULD and settings.strict)
        advice = isinstance(error, Advice)
        verdict = Verdict.FAIL if hard and not advice else Verdict.WARN
        expected, actual = error.expected, error.actual
        fix = error.fix or check.fix
        aws_shows = "" if advice or check.aws_shows is None else str(check.aws_shows)
        shared = target if target and not {TEMPLATE, SCRIPT}.intersection(check.requires) else None
        lines = [shared.run_line() if shared else "", error.reproduce]
        reproduce = "\n".join(line for line in lines if line)
        log_tail = error.log or (shared.last_log() if shared else "")
    elif isinstance(error, NotApplicable):
        verdict, reason = Verdict.SKIP, str(error)
    elif isinstance(error, Blocked):
        verdict, reason = Verdict.BLOCKED, str(error)
    elif error is not None:
        verdict = Verdict.ERROR
        engine = isinstance(error, EngineUnavailable)
        reason = str(error) if engine else "".join(traceback.format_exception_only(error)).strip()
    result = Result(
        id=check.id,
        chapter=check.chapter,
        level=level.value,
        verdict=verdict.value,
        clause=check.clause,
        source=check.source.row,
        evidence=check.source.evidence.value,
        seconds=round(seconds, 3),
        expected=expected,
        actual=actual,
        aws_shows=aws_shows,
        fix=fix,
        link=check.source.url,
        reproduce=reproduce,
        log_tail=log_tail,
        reason=reason,
    )
    if isinstance(error, EngineUnavailable):  # nothing that a project may except
        return result
    return excepted.applied(result, check, settings.profile)
