"""What every engine must do, as one function that any of them is put through.

Owns: `check_engine()`. Must not know: which engine it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from emulator.engines import Capability, Container, ContainerSpec, Engine, StartRefused


async def check_engine(
    engine: Engine, good: ContainerSpec, broken: ContainerSpec, wait: Callable[[], Awaitable[None]]
) -> None:
    """What every engine must do; raises AssertionError naming the clause that does not hold.

    `good` starts and keeps running, `broken` names an image whose start command is not there.
    `wait` lets a moment pass (a real one on a real engine). Nothing is left running.
    """
    assert await engine.unavailable() is None, "a usable engine says so"
    held = await engine.image_id(good.image)
    assert held, "an image that can be started has an id"
    assert await engine.image_id(held) == held, "an id names its image"
    assert await engine.image_id("byoc-no-such-image:0") is None, "what is not held has no id"
    container = await engine.start(good)
    try:
        assert container.base_url, "a started container has an address"
        await wait()
        assert await container.exit_code() is None, "a running container has no exit code"
        assert isinstance(await container.logs(), str), "logs are text"
        assert await container.received_bytes() >= 0, "it tells what came over the network"
        lines = await container.log_lines()
        assert lines == sorted(lines, key=lambda line: line.nanoseconds), "lines come in order"
        if lines:
            assert await container.log_lines(lines[-1].nanoseconds) == [], "a line is told once"
        await _measures(engine, container)
        if Capability.THROTTLE in engine.capabilities and good.cpus is None:
            await container.throttle(1.0)
        if Capability.FREEZE in engine.capabilities:
            for _ in range(2):
                await container.freeze()
            assert await container.exit_code() is None, "a frozen container lives"
            for _ in range(2):
                await container.thaw()
            await container.freeze()
            await container.thaw()
        await container.restart()
        await wait()
        assert container.base_url, "a container that started again has an address"
        assert await container.exit_code() is None, "a container that started again runs"
        if Capability.FREEZE in engine.capabilities:
            await container.freeze()
    finally:
        first = await container.stop(0)
    assert await container.stop(0) == first, "stopping twice is stopping once"
    assert await container.exit_code() is not None, "a stopped container has an exit code"
    assert isinstance(await container.logs(), str), "logs outlive the container"
    try:
        accepted = await engine.start(broken)
    except StartRefused as refused:
        words = str(refused)
    else:
        await accepted.stop(0)
        raise AssertionError("a start that cannot work is refused")
    assert words, "a refusal tells why"


async def _measures(engine: Engine, container: Container) -> None:
    if Capability.MEMORY in engine.capabilities:
        memory = await container.memory()
        assert 0 < memory.used_bytes <= memory.peak_bytes, "it holds memory, at most its peak"
    if Capability.CPU in engine.capabilities:
        used = await container.cpu_seconds()
        assert 0 <= used <= await container.cpu_seconds(), "processor time never goes back"
