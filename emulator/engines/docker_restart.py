"""A container that dies and is started again with what it wrote.

Owns: the order of the engine's calls, and the address that it has then. Must not know: the event
loop. Every function blocks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import docker.errors

from emulator.engines.docker_spec import refusal

EXTRA_SECONDS = 10.0
"""For the engine to notice that a killed container ended."""


def restart(api: Any, identity: str) -> Mapping[str, Any]:
    """Killed, so that nothing is cleared up, as in a crash. Returns what the engine tells of the
    container that runs now. Raises StartRefused, EngineUnavailable.
    """
    with contextlib.suppress(docker.errors.APIError):  # it ended by itself
        api.kill(identity, "SIGKILL")
    api.wait(identity, timeout=EXTRA_SECONDS)
    try:
        api.start(identity)
    except docker.errors.APIError as error:
        raise refusal(error, identity) from error
    found: Mapping[str, Any] = api.inspect_container(identity)
    return found


def port(found: Mapping[str, Any]) -> int:
    """Where its port is published; it is another one after each start. 0 when it died at once."""
    bindings = [entry for entry in found["NetworkSettings"]["Ports"].values() if entry]
    return int(bindings[0][0]["HostPort"]) if bindings else 0
