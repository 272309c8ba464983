"""What gunicorn's command line tells of its time limit for a worker.

Owns: reading it. Must not know: containers, verdicts. A master that changed its title
(setproctitle) or takes all from a file tells nothing, and nothing is guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

DEFAULT_SECONDS = 30.0
"""https://docs.gunicorn.org/en/stable/settings.html#timeout"""

VARIABLE = "GUNICORN_CMD_ARGS"
CONFIG = "gunicorn.conf.py"
"""Read from the working directory when no other file is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How a gunicorn runs its workers."""

    timeout: float  # seconds; 0 for none
    told_by: str  # where that number stands, in words
    default: bool  # it stands nowhere that was looked at
    worker_class: str
    threads: int
    config: str  # a file that may say otherwise; empty when none is named

    @property
    def kind(self) -> str:
        """The worker's class as gunicorn takes it: more than one thread makes sync a gthread."""
        return "gthread" if self.worker_class == "sync" and self.threads > 1 else self.worker_class


def workers(command: str, environment: Mapping[str, str]) -> Workers | None:
    """By a process's command line; None for what is no gunicorn, or hides its options."""
    given = _arguments(command)
    if given is None:
        return None
    try:
        more = shlex.split(environment.get(VARIABLE, ""))
    except ValueError:
        return None
    line = _options(given)
    variable = _options(more)
    known = {**variable, **line}  # the command line has the last word
    try:
        timeout = float(known.get("timeout", DEFAULT_SECONDS))
        threads = int(known.get("threads", "1"))
    except ValueError:
        return None
    told = VARIABLE if "timeout" in variable else "gunicorn's default, no --timeout is given"
    return Workers(
        timeout=timeout,
        default="timeout" not in known,
        told_by="--timeout on its command line" if "timeout" in line else told,
        worker_class=known.get("worker-class", "sync"),
        threads=threads,
        config=known.get("config", ""),
    )


_TOLD = re.compile(r"Using worker: (\S+)")
_THREADED = frozenset({"gthread", "threads"})


def says_that_it_lives(
    commands: Sequence[str], environment: Mapping[str, str], log: str
) -> bool | None:
    """Whether a worker that handles a request goes on telling the master that it lives: a threaded
    one does, a sync one does not. None for every other server, and for what is not known.
    """
    told = _TOLD.findall(log)
    if not told:
        known = [found for c in commands if (found := workers(c, environment)) is not None]
        # A file named by --config may choose another kind.
        told = [known[0].kind] if known and not known[0].config else []
    if told and told[-1] in _THREADED:
        return True
    return False if told and told[-1] == "sync" else None


def _arguments(command: str) -> list[str] | None:
    words = command.split()
    for place, word in enumerate(words[:4]):
        if PurePosixPath(word).name == "gunicorn" or word == "gunicorn.app.wsgiapp":
            return words[place + 1 :]
    return None


_NAMES: Mapping[str, str] = {
    "-t": "timeout", "--timeout": "timeout",
    "-k": "worker-class", "--worker-class": "worker-class",
    "--threads": "threads",
    "-c": "config", "--config": "config",
}  # fmt: skip


def _options(words: Sequence[str]) -> dict[str, str]:
    """The few that matter, in each spelling that argparse takes."""
    found: dict[str, str] = {}
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in _NAMES and name.startswith("--") and equals:
            found[_NAMES[name]] = value
        elif word in _NAMES and place + 1 < len(words):
            found[_NAMES[word]] = words[place + 1]
        elif word[:2] in _NAMES and not word.startswith("--") and len(word) > 2:
            found[_NAMES[word[:2]]] = word[2:]
    return found
