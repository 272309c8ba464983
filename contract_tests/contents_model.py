"""Whether it is the model's files that keep a container from serving.

Owns: the proof. Must not know: what is odd about the files, clauses, levels. Many layouts work:
what only looks odd is blamed when the container does not serve and its words name a file of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import basename

from contract_tests.check import not_applicable
from contract_tests.target import Target

MODEL = "/opt/ml/model"


def names_below(directory: Path) -> Iterator[str]:
    """The files, relative to the directory."""
    for parent, _, files in os.walk(directory):
        for name in files:
            yield Path(parent, name).relative_to(directory).as_posix()


def blamed(target: Target, odd: str, names: Sequence[str]) -> str:
    """How the container fares with files that lie oddly; empty when it serves. Ends the check as
    skipped when it cannot be told whether they are to blame.
    """
    subject = target.first
    if subject is None:
        not_applicable(f"{odd}; whether that does harm cannot be told, as it does not start")
    reply = subject.first_invocation
    if not subject.ready:
        words, log = subject.start.describe(), subject.start.log_tail
    elif reply is None:
        not_applicable(f"{odd}; whether that does harm shows with --payload")
    elif reply.ok:
        return ""
    else:
        words, log = f"the first answer was {reply}", subject.logs()
    if not named(f"{words}\n{log}", names):
        not_applicable(f"{odd}; it does not serve, but its log names no file of the model")
    return f"with it, {words}"


def named(words: str, names: Sequence[str]) -> bool:
    """Whether a container's words name the model's directory or one of its files."""
    return MODEL in words or any(basename(name) in words for name in names)
