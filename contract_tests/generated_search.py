"""Hypothesis as the engine: which cases are tried, and how a found one is made smaller.

Owns: everything that only Hypothesis knows, loaded when it is first needed. Must not know:
containers, what makes a case bad. The same payload gives the same cases on every machine: the seed
is fixed, nothing is kept on disk, and constants of the user's own modules are not mixed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

from contract_tests.generated import Case, Family

T = TypeVar("T")

SEED = 20260101
"""Any number will do, as long as it stays: another one gives other cases."""


class _Drawn:
    """`Draw` over Hypothesis's `draw`. Whole numbers and bytes only: its texts need a table of all
    characters, which takes a second to make and is kept in the user's directory.
    """

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        from hypothesis import strategies

        self._draw = draw
        self._made = strategies

    def number(self, low: int, high: int) -> int:
        found = self._draw(self._made.integers(low, high))
        assert isinstance(found, int)
        return found

    def one_of(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def octets(self, most: int) -> bytes:
        found = self._draw(self._made.binary(max_size=most))
        assert isinstance(found, bytes)
        return found


def hunt(
    family: Family, examples: int, bad: Callable[[Case], bool], another: int = 0
) -> Case | None:
    """Up to that many cases of a family, until one is bad; then the smallest that is bad still, of
    those that Hypothesis tries. None when none is bad. `bad` is asked again for what it was asked
    before, and must then answer the same. `another` number gives other cases. What `bad` raises
    ends the hunt, and is raised.
    """
    from hypothesis import Phase, Verbosity, find, settings, strategies
    from hypothesis.errors import HypothesisException, NoSuchExample

    raised: list[Exception] = []

    def asked(case: Case) -> bool:
        # Hypothesis would take an exception for what is looked for, and try to make it smaller.
        try:
            return not raised and bad(case)
        except Exception as error:  # noqa: BLE001 - raised again below
            raised.append(error)
            return False

    made = strategies.composite(lambda draw: family(_Drawn(draw)))
    chosen = settings(
        max_examples=max(1, examples),
        database=None,
        deadline=None,
        derandomize=False,  # the seed below does that, and stays when this file is edited
        phases=(Phase.generate, Phase.shrink),
        verbosity=Verbosity.quiet,
        backend="hypothesis",  # whatever the user's own profile says
    )
    with _no_local_constants():
        try:
            return find(made(), asked, settings=chosen, random=Random(SEED + another))  # noqa: S311 - no secret
        except HypothesisException as error:
            if raised:
                raise raised[0] from None
            if isinstance(error, NoSuchExample):
                return None
            raise


@contextmanager
def _no_local_constants() -> Iterator[None]:
    """Hypothesis reads the source of every module that is not installed, for numbers to try. That
    takes a second, writes into the user's directory, and makes the cases depend on unrelated code.
    There is no setting for it; where its inside has changed, it is left alone.
    """
    from hypothesis.internal.conjecture import providers

    name, none = "_get_local_constants", getattr(providers, "Constants", None)
    before = getattr(providers, name, None)
    if before is None or none is None:
        yield
        return
    empty = none()
    setattr(providers, name, lambda: empty)
    try:
        yield
    finally:
        setattr(providers, name, before)
