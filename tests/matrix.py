"""The shipped suite on every broken and every healthy container, and the table made of it.

`python -m tests.matrix --write` runs all of it on all, or on the faults that are named, and renews
fixtures/golden/faults.json and docs/faults.md.
The real limits hold, except where a fault's table in faults.toml makes one smaller.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract_tests.catalogue import checks
from contract_tests.check import Check
from contract_tests.report import CHAPTERS
from tests.suite import AT_FIRST, ROOT, Done, payload_options, run

GOLDEN = ROOT / "fixtures" / "golden" / "faults.json"
PAGE = ROOT / "docs" / "faults.md"
BASE = "byoc-base:latest"
AT_ONCE, BESIDE = 6, 1
DEAR = frozenset({"robustness", "filesystem", "conditions", "endpoint"})
"""Chapters that start several containers: left out in the tests on faults of other chapters."""

DEAR_CHECKS = frozenset({"starts-without-network", "memory-stays", "keeps-running"})
"""So are these: one starts two containers, one sends hundreds of requests, one waits."""

LONG = (
    "downloads-at-start",
    "drops-in-flight",
    "slow-invocation",
    "lazy-model",
    "slow-cold-start",
    "slow-ping",
    "expires-while-frozen",
    "waits-for-feature-store",
)
"""These wait most of their time; begun last, they would be waited for with nothing beside them."""
TRIPPED = ("fail", "warn")


@dataclass(frozen=True, kw_only=True)
class Fault:
    name: str
    check: str
    how: str
    also: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    memory: int = 2048
    payloads: tuple[str, ...] = ("iris.json", "iris.csv")
    registry: bool = False
    needs_internet: bool = False
    image_bytes_over_base: int | None = None
    recovery_seconds: float | None = None
    client_seconds: float | None = None
    options: tuple[str, ...] = ()
    chapters: tuple[str, ...] = ()
    service: str = ""
    service_variable: str = ""

    @property
    def image(self) -> str:
        return f"byoc-fault-{self.name}:latest"


def faults() -> dict[str, Fault]:
    table = tomllib.loads((ROOT / "fixtures" / "faults.toml").read_text())
    told = {"source", "seen"}
    return {
        name: Fault(name=name, **{k: v for k, v in entry.items() if k not in told})
        for name, entry in table.items()
    }


def healthy() -> dict[str, Mapping[str, Any]]:
    return tomllib.loads((ROOT / "fixtures" / "healthy.toml").read_text())


def chapters_of(fault: Fault) -> list[str]:
    """What runs on a fault in the tests. `--write` runs all on all, and renews the golden file;
    a chapter that starts five containers is not played again for each fault that it is not about.
    """
    if fault.chapters:
        return list(fault.chapters)
    concerned = {check.chapter for check in _concerned(fault)}
    return [c for c in CHAPTERS if c in concerned or c not in DEAR]


def _concerned(fault: Fault) -> list[Check]:
    return [check for check in checks() if check.id in (fault.check, *fault.also)]


def left_out(fault: Fault) -> list[str]:
    """Options that leave out what is dear in the chapters that do run."""
    mine = _concerned(fault)
    dear = [check for check in checks() if check.id in DEAR_CHECKS and check not in mine]
    ids = [f"{check.module.replace('.', '/')}.py::{check.function}" for check in dear]
    return [word for one in ids for word in ("--deselect", one)]


def run_fault(fault: Fault, directory: Path, chapters: Sequence[str] = ()) -> Done:
    """The suite on one fault: the whole of it, or some chapters."""
    limits = dict(fault.limits)
    if fault.recovery_seconds is not None:
        limits["recovery_seconds"] = fault.recovery_seconds
    if fault.client_seconds is not None:
        limits["client_seconds"] = fault.client_seconds
    if fault.image_bytes_over_base is not None:
        limits["image_bytes"] = _size(BASE) + fault.image_bytes_over_base
    options = [*payload_options(*fault.payloads), "--memory", str(fault.memory), *fault.options]
    options += left_out(fault) if chapters else []
    with _where(fault, directory) as image, _service(fault) as given:
        return run(
            "--image",
            image,
            *options,
            *given,
            directory=directory,
            limits=limits or None,
            chapters=chapters,
        )


def run_healthy(name: str, directory: Path) -> Done:
    limits = {"stop_grace_seconds": 3.0} if name == "slow-stop" else None
    options = payload_options("iris.json", "iris.csv") + healthy()[name].get("options", [])
    image = f"byoc-healthy-{name}:latest"
    return run("--image", image, *options, directory=directory, limits=limits)


def _size(image: str) -> int:
    return int(_docker("image", "inspect", "-f", "{{.Size}}", image))


def _docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], check=True, capture_output=True, text=True, env=AT_FIRST
    )
    return done.stdout.strip()


@contextmanager
def _where(fault: Fault, directory: Path) -> Iterator[str]:
    """The reference under which the fault shows: its image, or a pushed copy of it."""
    if not fault.registry:
        yield fault.image
        return
    path = ROOT / "fixtures" / "faults" / fault.name / "build.py"
    spec = importlib.util.spec_from_file_location("fault_registry", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.registry(directory) as host:
        target = f"{host}/byoc-fault:latest"
        module.push_as_oci(fault.image, target)
        _docker("pull", "-q", target)
        try:
            yield target
        finally:
            _docker("rmi", target)


@contextmanager
def _service(fault: Fault) -> Iterator[list[str]]:
    """What the fault's containers share, as a container beside them, and the options for it."""
    if not fault.service:
        yield []
        return

    name = _docker("run", "-d", "--rm", fault.image, *fault.service.split())
    try:
        address = _docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name)
        yield ["--env", f"{fault.service_variable}={address}"]
    finally:
        _docker("kill", name)


class Matrix:
    """Runs in the background, some at once; each is asked for when it is needed. With `wanted`, a
    fault's or a stranger's name, these alone. `beside` other tests fewer run, until it is to hurry.
    """

    def __init__(
        self,
        directory: Path,
        *,
        whole: bool = False,
        wanted: Container[str] | None = None,
        beside: bool = False,
    ) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._held = AT_ONCE - BESIDE if beside else 0
        self._places = threading.Semaphore(AT_ONCE - self._held)
        self._futures = {}
        known = faults()
        every = [*(("fault", name) for name in known), *(("healthy", name) for name in healthy())]
        # One that needs a registry of its own goes last: nothing is beside it then.
        alone = {name for name, fault in known.items() if fault.registry}
        for kind, name in sorted(every, key=lambda one: (one[1] in alone, one[1] not in LONG)):
            if wanted is not None and name not in wanted:
                continue
            place = _fresh(directory / f"{kind}-{name}")
            begun = (
                self._begin(
                    run_fault, known[name], place, [] if whole else chapters_of(known[name])
                )
                if kind == "fault"
                else self._begin(run_healthy, name, place)
            )
            self._futures[kind, name] = begun

    def _begin(self, work: Callable[..., Done], *arguments: object) -> Future[Done]:
        def in_its_place() -> Done:
            with self._places:
                return work(*arguments)

        return self._pool.submit(in_its_place)

    def hurry(self) -> None:
        """All processors are its own from now on."""
        held, self._held = self._held, 0
        if held:
            self._places.release(held)

    def fault(self, name: str) -> Done:
        return self._futures["fault", name].result()

    def healthy(self, name: str) -> Done:
        return self._futures["healthy", name].result()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.hurry()
        self._pool.shutdown()


def _fresh(directory: Path) -> Path:
    directory.mkdir()
    return directory


def page(golden: Mapping[str, Mapping[str, str]]) -> str:
    lines = [
        "# The faults",
        "",
        "One broken container per check, broken as people break it. Made by",
        "`python -m tests.matrix --write` from real runs; do not edit. `fail` ends a run with",
        "exit code 1, `warn` is a SHOULD that does not hold. What only follows from a failure",
        "is blocked, and not listed.",
        "",
        "| fault | how people get there | caught by | also trips |",
        "|---|---|---|---|",
    ]
    for name, fault in faults().items():
        tripped = golden[name]
        others = [f"`{k}` ({v})" for k, v in tripped.items() if k != fault.check]
        caught = f"`{fault.check}` ({tripped[fault.check]})"
        lines.append(f"| `{name}` | {fault.how} | {caught} | {', '.join(others) or '-'} |")
    lines += [
        "",
        "A wrong template or script per check of the deploy chapters, in fixtures/deploy_faults.",
        "",
        "| fault | how people get there | caught by |",
        "|---|---|---|",
    ]
    for name, entry in tomllib.loads(
        (ROOT / "fixtures" / "deploy_faults.toml").read_text()
    ).items():
        lines.append(f"| `{name}` | {entry['how']} | `{entry['check']}` |")
    return "\n".join([*lines, ""])


def main(arguments: list[str]) -> int:
    known = faults()
    if arguments[:1] != ["--write"] or not set(arguments[1:]) <= set(known):
        print("usage: python -m tests.matrix --write [FAULT ...]", file=sys.stderr)
        return 4
    names = arguments[1:] or list(known)
    before = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    with tempfile.TemporaryDirectory() as directory:
        matrix = Matrix(Path(directory), whole=True, wanted=names)
        made = {name: matrix.fault(name).verdicts(*TRIPPED) for name in names}
        matrix.close()
    golden = {name: made.get(name, before.get(name, {})) for name in known}
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(golden, indent=2) + "\n")
    PAGE.write_text(page(golden))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
