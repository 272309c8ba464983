"""A pytest plugin for our own tests: the real plugin and the real Run, on containers that are
functions. `-p tests.fake_suite`; what the engine is to do is in the environment variable FAKE.

Owns: the fake images and what becomes of them. Must not know: which checks are run. What was
started and what still runs at the end is told in fake-engine.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from contract_tests.check import Check, declared
from contract_tests.settings import Settings
from emulator.engines import Capability, EngineUnavailable, ImageInfo
from emulator.testing import FakeClock, FakeEngine, FakeImage

STATE = "fake-engine.json"
LABELS = {f"com.amazonaws.sagemaker.capabilities.{name}": "true" for name in (
    "multi-models", "accept-bind-to-port",
)}  # fmt: skip


class InstantClock(FakeClock):
    """Nobody drives it: who sleeps moves it forward."""

    async def sleep(self, seconds: float) -> None:
        self.jump(max(0.0, seconds))
        await super().sleep(0)


def info(reference: str) -> ImageInfo:
    return ImageInfo(
        reference=reference,
        id="sha256:" + "1" * 64,
        digest=None,
        os="linux",
        architecture="amd64",
        size_bytes=123 * 1024 * 1024,
        entrypoint=(),
        cmd=(),
        environment={},
        user="",
        working_dir="",
        labels=LABELS if reference == "labelled:1" else {},
        push_media_type="application/vnd.docker.distribution.manifest.v2+json",
        push_media_type_from="a fake",
    )


def images() -> dict[str, FakeImage]:
    known = {
        "good:1": FakeImage(log="first line\nlast line", handler=lambda *_: (0.001, 200, b"{}")),
        "good:2": FakeImage(),
        "labelled:1": FakeImage(),
        "ill:1": FakeImage(
            log="Traceback: no module", listens_after=9.0, exits_after=0.5, exit_code=3
        ),
        "refused:1": FakeImage(refuses='exec: "serve": executable file not found in $PATH'),
    }
    for reference, image in known.items():
        image.info = info(reference)
    return known


class Engine(FakeEngine):
    """`down` does not answer, `bare` can do nothing special, `dies` is gone when it is to start."""

    def __init__(self, clock: FakeClock, mood: str = "") -> None:
        super().__init__(clock, images())
        self.mood = mood
        self.closed = 0

    @property
    def capabilities(self) -> frozenset[Capability]:  # type: ignore[override]
        return frozenset() if self.mood == "bare" else frozenset(Capability)

    async def unavailable(self) -> str | None:
        if self.mood == "down":
            return "Nothing answers at unix:///nowhere. Start Docker, or set DOCKER_HOST."
        return None

    async def start(self, spec):  # type: ignore[no-untyped-def]
        if self.mood == "dies":
            raise EngineUnavailable("Docker went away. Start it again.")
        return await super().start(spec)

    async def close(self) -> None:
        self.closed += 1


def pytest_configure(config: pytest.Config) -> None:
    from contract_tests.plugin import NEW_RUN
    from contract_tests.run import Run

    clock = InstantClock()
    engine = Engine(clock, os.environ.get("FAKE", ""))
    collected: dict[str, Check] = {}

    class Remember:
        def pytest_itemcollected(self, item: pytest.Item) -> None:
            found = declared(getattr(item, "function", None))
            if found is not None:
                collected[found.id] = found

        def pytest_unconfigure(self) -> None:
            state = {
                "started": len(engine.started),
                "running": [container.id for container in engine.running],
                "closed": engine.closed > 0,
            }
            Path(config.invocation_params.dir, STATE).write_text(json.dumps(state))

    def new(settings: Settings, options: Sequence[str]) -> Run:
        return Run(
            settings,
            engine=engine,
            http=engine,
            clock=clock,
            catalogue=collected.values,
            options=options,
        )

    config.pluginmanager.register(Remember())
    config.stash[NEW_RUN] = new
