"""What a check is: one literal on a plain function, and the words it may end with.

Owns: levels, verdicts, the decorator, `expect` and its kin. Must not know: pytest, Docker, how a
report looks. The id is the function's name, so the report, `-k` and grep agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NoReturn, TypeVar

from contract_tests import shell_line
from emulator.engines import Capability
from emulator.errors import PlatformText
from emulator.http import Reply
from emulator.limits import PROFILES, Profile
from emulator.sources import Evidence, Source

F = TypeVar("F", bound=Callable[..., None])

ATTRIBUTE = "__byoc_check__"


class Level(Enum):
    """How binding a clause is. Only a MUST that does not hold makes a run fail."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    INFO = "INFO"


MUST, SHOULD, INFO = Level.MUST, Level.SHOULD, Level.INFO


class Verdict(Enum):
    """How one check ended. Only `fail` and `warn` say something against the container."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    WARN = "warn"  # a SHOULD that does not hold, or a MUST that nearly does not
    SKIP = "skip"  # not applicable, with the reason
    BLOCKED = "blocked"  # cannot be judged while another check fails
    ERROR = "error"  # the harness's or the engine's fault


PAYLOAD: Literal["payload"] = "payload"
TEMPLATE: Literal["template"] = "template"
SCRIPT: Literal["deploy-script"] = "deploy-script"
MODEL_DATA: Literal["model-data"] = "model-data"
MODEL_ARCHIVE: Literal["model-archive"] = "model-archive"
SLOW: Literal["slow"] = "slow"
MULTI_MODEL: Literal["multi-model"] = "multi-model"
BIND_TO_PORT: Literal["bind-to-port"] = "bind-to-port"
Requirement = (
    Capability
    | Literal[
        "payload",
        "template",
        "deploy-script",
        "model-data",
        "model-archive",
        "slow",
        "multi-model",
        "bind-to-port",
    ]
)

LABELS: Mapping[Requirement, str] = {
    MULTI_MODEL: "com.amazonaws.sagemaker.capabilities.multi-models",
    BIND_TO_PORT: "com.amazonaws.sagemaker.capabilities.accept-bind-to-port",
}
"""What an image says of itself that it can do, and is then held to (contract 1.23,
https://docs.aws.amazon.com/sagemaker/latest/dg/build-multi-model-build-container.html)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One clause of the contract as it is checked. Field order is the report's."""

    id: str
    chapter: str
    levels: Mapping[Profile, Level]
    clause: str
    source: Source
    catalogue: str  # the row of the catalogue of failures, as "PNG-002"
    needs: tuple[str, ...]
    requires: tuple[Requirement, ...]
    caught_by: tuple[str, ...]  # the faults in fixtures/faults that this check must catch
    aws_shows: PlatformText | None
    fix: str
    module: str
    function: str

    def level(self, profile: Profile) -> Level:
        return self.levels[profile]


def check(
    level: Level | Mapping[Profile, Level],
    clause: str,
    *,
    source: Source,
    catalogue: str,
    caught_by: str | tuple[str, ...],
    fix: str,
    aws_shows: PlatformText | None = None,
    needs: tuple[str, ...] = (),
    requires: tuple[Requirement, ...] = (),
) -> Callable[[F], F]:
    """Declares a test function as a check.

    Raises ValueError at import when the declaration breaks a rule: a function not called
    `test_...`, a clause that is no sentence, no fault that it catches, or a MUST that is neither
    documented nor reproduced.
    """
    levels = dict.fromkeys(PROFILES, level) if isinstance(level, Level) else dict(level)
    faults = (caught_by,) if isinstance(caught_by, str) else caught_by

    def declare(function: F) -> F:
        name = function.__name__
        if not name.startswith("test_"):
            raise ValueError(f"{name}: a check's function is called test_<its id>")
        if not clause.endswith("."):
            raise ValueError(f"{name}: the clause is a sentence and ends with a full stop")
        if not faults:
            raise ValueError(f"{name}: caught_by names the fault that this check catches")
        if set(levels) != set(PROFILES):
            raise ValueError(f"{name}: give a level for each of {', '.join(PROFILES)}")
        binding = {Evidence.DOCUMENTED, Evidence.REPRODUCED}
        if MUST in levels.values() and source.evidence not in binding:
            raise ValueError(f"{name}: a MUST needs documented or reproduced evidence: {source}")
        declared = Check(
            id=name.removeprefix("test_").replace("_", "-"),
            chapter=function.__module__.rpartition(".")[2].removeprefix("test_"),
            levels=levels,
            clause=clause,
            source=source,
            catalogue=catalogue,
            needs=needs,
            requires=requires,
            caught_by=faults,
            aws_shows=aws_shows,
            fix=fix,
            module=function.__module__,
            function=name,
        )
        setattr(function, ATTRIBUTE, declared)
        return function

    return declare


def function_name(identity: str) -> str:
    """The function of a check, from its id."""
    return "test_" + identity.replace("-", "_")


def declared(function: object) -> Check | None:
    """The declaration that a function carries, if it is a check."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, Check) else None


class ContractViolation(Exception):
    """The container does not keep a clause. The only exception that is the container's fault."""

    def __init__(
        self, *, expected: str, actual: str, fix: str = "", reproduce: str = "", log: str = ""
    ) -> None:
        super().__init__(f"expected {expected}; actual {actual}")
        self.expected = expected
        self.actual = actual
        self.fix = fix  # more exact than the check's own, when the cause is known
        self.reproduce = reproduce
        self.log = log  # of the container that was judged, when that is not the shared one


class Advice(ContractViolation):
    """The clause holds, but not by much: shown as a warning at every level."""


class NotApplicable(Exception):
    """The check has nothing to judge here; the text is the reason."""


class Blocked(Exception):
    """The check cannot be judged before something else works; the text says what."""


def _words(actual: object, base_url: str, reproduce: str) -> tuple[str, str]:
    if isinstance(actual, Reply) and not reproduce:
        reproduce = shell_line.line(actual.request, base_url)
    return str(actual), reproduce


LOCAL = "http://127.0.0.1:8080"
"""Where the container listens in the commands that are printed for people to repeat."""


def expect(
    holds: bool,
    *,
    expected: str,
    actual: object,
    fix: str = "",
    reproduce: str = "",
    log: str = "",
) -> None:
    """Raises ContractViolation unless it holds. `actual` may be a Reply: then the failure also
    prints the curl line that sends the same request. `log` is that of the container that was
    judged, when it is not the shared one.
    """
    if not holds:
        words, line = _words(actual, LOCAL, reproduce)
        raise ContractViolation(expected=expected, actual=words, fix=fix, reproduce=line, log=log)


def advise(holds: bool, *, expected: str, actual: object, fix: str = "") -> None:
    """As `expect`, but what does not hold is a warning: the clause itself is kept."""
    if not holds:
        words, line = _words(actual, LOCAL, "")
        raise Advice(expected=expected, actual=words, fix=fix, reproduce=line)


def not_applicable(reason: str) -> NoReturn:
    """Ends the check as skipped."""
    raise NotApplicable(reason)


def blocked(reason: str) -> NoReturn:
    """Ends the check as blocked."""
    raise Blocked(reason)


def requirement_name(requirement: Requirement) -> Any:
    return requirement.value if isinstance(requirement, Capability) else requirement
