"""What runs, as the blocks that a frame shows.

Owns: which endpoints are shown, and what is said of one that is not InService. Must not know: what
a block looks like (`live_block`), how much room there is, who draws.
"""

from __future__ import annotations

import dataclasses

from emulator.endpoint_state import EndpointStatus, InstanceState
from emulator.live_block import Block
from emulator.onlooker import Names, Served
from emulator.running import EndpointTold, Running
from emulator.serve_words import Statuses, harmless, starting


def blocks(served: Served, names: Names, statuses: Statuses, *, ending: bool) -> list[Block]:
    """One for each variant that runs; of an endpoint without one, for itself."""
    found: dict[str, Block] = {}
    running = served.fleet.running()
    told = served.fleet.statuses
    for one in running:
        status = told.get((one.region, one.endpoint_name))
        block = _running(served, names, statuses, one, status, ending=ending)
        if block.name in found:  # an update: the old version serves until this one is ready
            block = dataclasses.replace(block, name=f"{block.name} (new version)")
        found[block.name] = block
    shown = {(one.region, one.endpoint_name) for one in running}
    without = (
        _without(served, names, statuses, status)
        for key, status in told.items()
        if key not in shown
    )
    return [*found.values(), *without]


def _running(
    served: Served,
    names: Names,
    statuses: Statuses,
    running: Running,
    told: EndpointTold | None,
    *,
    ending: bool,
) -> Block:
    now, setup, endpoint = served.clock.now(), running.setup, running.endpoint
    board, journal = running.board.snapshot(now), endpoint.journal
    if setup.profile == "realtime":  # an instance works on many requests at once
        board = dataclasses.replace(board, concurrency=journal.arrived - journal.answered)
    status = endpoint.status if told is None or told.status is None else told.status
    began = statuses.began(running.region, running.endpoint_name, now)
    notes: list[str] = []
    if ending:
        status = EndpointStatus.DELETING
        grace = setup.limits.stop_grace_seconds
        notes = ["answering what is in flight", f"SIGTERM, and SIGKILL after {grace:g} s"]
    elif status is EndpointStatus.CREATING:
        notes = starting(running, waited=now - began, window=setup.limits.startup_seconds)
    elif status is EndpointStatus.UPDATING and (since := _new_since(running)) is not None:
        notes = starting(running, waited=now - since, window=setup.limits.startup_seconds)
    elif told is not None and told.failure_reason:
        notes = [harmless(told.failure_reason)]
    return Block(
        name=names.of(running),
        image=harmless(running.image),
        profile=setup.profile,
        memory_mb=setup.memory_mb,
        status=status,
        up_seconds=now - began,
        board=board,
        notes=notes,
    )


def _new_since(running: Running) -> float | None:
    """When the first instance of an update began that is not ready yet; None without one. It may be
    a version of the same driver, or another driver.
    """
    instances = running.endpoint.journal.instances.values()
    newest = max((one.version for one in instances), default=1)
    if newest == 1 and running.endpoint.status is not EndpointStatus.CREATING:
        return None
    starts = (
        one.at for one in instances if one.version == newest and one.state is InstanceState.STARTING
    )
    return min(starts, default=None)


def _without(served: Served, names: Names, statuses: Statuses, told: EndpointTold) -> Block:
    """It failed, or has not begun."""
    now = served.clock.now()
    began = statuses.began(told.region, told.name, now)
    setup = served.setup(told.name, None)
    status = told.status or EndpointStatus.DELETING
    notes = [harmless(told.failure_reason)] if told.failure_reason else []
    if status is EndpointStatus.CREATING:
        window = None if setup is None else setup.limits.startup_seconds
        notes = starting(None, waited=now - began, window=window)
    return Block(
        name=names.endpoint(told.region, told.name),
        image="" if setup is None else harmless(setup.image),
        profile=None if setup is None else setup.profile,
        memory_mb=None if setup is None else setup.memory_mb,
        status=status,
        up_seconds=now - began,
        notes=notes,
    )
