"""The search for requests that harm a container: made once in a run, judged by several checks.

Owns: how many cases are sent, when the good request is asked in between, what counts as proven, and
the bounds on time and restarts. Must not know: how a case is made, levels, words of a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from contract_tests.check import Blocked
from contract_tests.generated import DEFAULT, Case, families, shares
from contract_tests.generated_probe import RECOVERY_SECONDS, Kind, Prober, Seen
from contract_tests.generated_search import hunt
from contract_tests.settings import Settings
from contract_tests.target import Death, Target

USUAL, USUAL_SECONDS, SECONDS_MORE = Settings().examples, 6.0, 0.15
"""For all cases, and for each that is asked for beyond: a slow model gets fewer in that time."""

MOST_ROUNDS = 8
"""Over all families: small ones have been tried whole after the first."""

IN_A_ROW = 10
"""Cases between two questions whether the good request is still answered."""

SURE_SECONDS = 5.0
"""An answer that has not come in the platform's time is waited for once more, and this long."""

CULPRIT_RESTARTS = 4
SHRINK_SECONDS, SHRINK_RESTARTS, SHRINK_RECOVERY_SECONDS = 10.0, 10, 1.0
REPEATS: Mapping[Kind, int] = {Kind.CLOSED: 6}
"""How often a case must do it, else twice. A server that answers before it has read the body, and
then closes, wipes its own answer out only now and then.
"""

ENOUGH = frozenset({Kind.ENDED, Kind.STUCK, Kind.UNANSWERED})
"""Found once, these end the search: each further case costs a start, or the time limit."""

Origin = tuple[int, str]
"""The round, and the family."""

WORSE = frozenset({Kind.ENDED, Kind.STUCK})
"""Told rather than what was seen at first; else that was waited for longest."""

SLOW = frozenset({Kind.STUCK, Kind.UNANSWERED})
"""Seen by waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A case that harms, proven twice."""

    case: Case
    seen: Seen
    origin: Origin
    sent: int  # cases until then
    cut: bool = False  # whether a bound ended the shrinking
    larger: Found | None = None  # the one that was found, when a smaller one is shown


def exploration(target: Target) -> Exploration:
    """The run's one search, begun by who asks first."""
    if "exploration" not in target.notes:
        target.notes["exploration"] = Exploration(target)
    found = target.notes["exploration"]
    assert isinstance(found, Exploration)
    found.run()
    return found


class Exploration:
    """`found` tells one case per kind; `cut_short` why the search ended early, else it is empty."""

    def __init__(self, target: Target) -> None:
        self.found: dict[Kind, Found] = {}
        self.cut_short = ""
        self.sent = 0
        self._failed = ""
        self._target = target
        self._families = families(target.settings.payload)
        self._shares = shares(list(self._families), target.settings.examples)
        self._known: dict[Case, Kind | None] = {}
        self._row: list[tuple[Origin, Case]] = []
        self._prober: Prober | None = None
        self._shrunk: dict[Kind, Found] = {}

    def run(self) -> None:
        """Once; later calls do nothing, or are blocked by what ended the first."""
        if self._failed:
            raise Blocked(f"the generated requests could not be sent: {self._failed}")
        if self._prober is not None:
            return
        examples = self._target.settings.examples
        try:
            with self._target.progress.doing(f"{examples} generated requests are answered"):
                self._run(USUAL_SECONDS + SECONDS_MORE * max(0, examples - USUAL))
        except Exception as error:
            self._failed = str(error)
            raise

    def _run(self, seconds: float) -> None:
        payloads = self._target.settings.payload
        self._prober = Prober(self._target, payloads[0] if payloads else DEFAULT)
        until = self._target.now() + seconds
        for origin in product(range(MOST_ROUNDS), self._families):

            def look(case: Case, origin: Origin = origin) -> bool:
                if not self._over(until) and case not in self._known:
                    self._look(origin, case)
                return False

            if self._over(until):
                break
            hunt(self._families[origin[1]], self._shares[origin[1]], look, origin[0])
        self._ask_golden()
        self._prober.leave()

    def _over(self, until: float) -> bool:
        done = self.sent >= self._target.settings.examples
        return done or bool(self.cut_short) or self._target.now() >= until

    @property
    def prober(self) -> Prober:
        assert self._prober is not None
        return self._prober

    def _look(self, origin: Origin, case: Case) -> None:
        self.sent += 1
        self._known[case] = None
        seen = self.prober.send(case, self.prober.limit)
        if seen is not None and seen.kind is not Kind.STACK:
            self._prove(origin, case, seen)
            return
        if seen is not None:
            self._note(origin, case, seen)
        self._row.append((origin, case))
        if len(self._row) >= IN_A_ROW:
            self._ask_golden()

    def _note(self, origin: Origin, case: Case, seen: Seen) -> None:
        self._known[case] = seen.kind
        new = Found(case=case, seen=seen, origin=origin, sent=self.sent)
        self.found.setdefault(seen.kind, new)
        if seen.kind in ENOUGH:
            self.cut_short = f"{seen.kind.value} after {self.sent} requests"

    def _prove(self, origin: Origin, case: Case, seen: Seen) -> None:
        """Alone, on a good container. Else it was one of those before, or it was not a request."""
        if seen.kind is Kind.CLOSED and Kind.CLOSED in self.found:
            return
        before, self._row = self._row, []
        code = self.prober.container.exit_code()
        again = self._again(case, seen.kind)
        if again is not None:
            self._note(origin, case, again if again.kind in WORSE else seen)
            return
        if self._culprit(before):
            return
        self._by_itself(code, seen)
        if seen.kind in ENOUGH:
            self.cut_short = f"{seen.kind.value} once, for no request that was sent"

    def _again(self, case: Case, kind: Kind) -> Seen | None:
        """As `seen` the last of the repetitions; None unless all do harm of that kind."""
        seen = None
        seconds = max(SURE_SECONDS, self.prober.patience)
        for _ in range(REPEATS.get(kind, 2) - 1):
            seen = self.prober.again(case, min(seconds, self.prober.limit))
            if seen is None or seen.kind is Kind.STACK:
                return None
        return seen

    def _ask_golden(self) -> None:
        row, self._row = self._row, []
        if not row or self.cut_short:
            return
        seen = self.prober.after()
        if seen is None:
            return
        code = self.prober.container.exit_code()
        if not self._culprit(row):
            self._by_itself(code, seen)
            self.prober.restart()
            self.cut_short = "the good request failed once, for no request that was sent"

    def _by_itself(self, code: int | None, seen: Seen) -> None:
        """An end that no request brought about is for keeps-running to judge."""
        if code is not None:
            self._target.deaths.append(Death(exit_code=code, log=seen.log))

    def _culprit(self, row: list[tuple[Origin, Case]]) -> bool:
        """Which of these spoils a container: sent anew one by one, then that one alone."""
        most = self.prober.restarts + CULPRIT_RESTARTS
        for origin, case in row:
            if self.prober.restarts >= most:
                return False  # what fails that often fails without them
            first = self.prober.again(case, self.prober.patience)
            if first is None or first.kind is Kind.STACK:
                continue
            second = self.prober.again(case, self.prober.patience)
            if second is not None and second.kind is not Kind.STACK:
                self._note(origin, case, second)
                return True
        return False

    # -- smaller ------------------------------------------------------------------------------

    def smallest(self, kind: Kind) -> Found:
        """The smallest case that still does it, within the bounds."""
        if kind not in self._shrunk:
            with self._target.progress.doing("a harmful request is made smaller"):
                self._shrunk[kind] = self._shrink(self.found[kind])
        return self._shrunk[kind]

    def _shrink(self, found: Found) -> Found:
        kind, prober = found.seen.kind, self.prober
        begun = False  # a container is only taken, and perhaps started, when something is sent
        prober.recovery = SHRINK_RECOVERY_SECONDS
        most = prober.restarts + SHRINK_RESTARTS
        until = self._target.now() + SHRINK_SECONDS
        best, cut = found, False
        known = dict(self._known)

        def does(case: Case) -> bool:
            nonlocal best, begun, cut
            if case not in known:
                if prober.restarts >= most or self._target.now() >= until:
                    cut = True
                    return False
                if not begun:
                    begun = True
                    prober.take()
                seen = prober.again(case, prober.patience)
                known[case] = seen.kind if seen is not None else None
                if seen is not None and seen.kind is kind and len(case.body) <= len(best.case.body):
                    best = Found(case=case, seen=seen, origin=found.origin, sent=found.sent)
            return known[case] is kind

        another, family = found.origin
        hunt(self._families[family], self._shares[family], does, another)
        prober.recovery = RECOVERY_SECONDS
        if best is not found and kind in SLOW:  # so far with less patience than was due
            sure = self._again(best.case, kind)
            same = sure is not None and sure.kind is kind
            best = replace(best, seen=sure) if sure is not None and same else found
        if begun:
            prober.leave()
        larger = found if len(best.case.body) < len(found.case.body) else None
        return replace(best, cut=cut, larger=larger)
