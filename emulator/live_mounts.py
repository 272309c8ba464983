"""What stands at our URL besides SageMaker and its Runtime: CloudWatch, Prometheus, the page.

Owns: what follows each variant while it runs, and who answers which request. Must not know: what
each of them does, how an endpoint works, who deploys, who listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from emulator.api import page
from emulator.api.cloudwatch import SERVICES, CloudWatch
from emulator.api.front import Mount
from emulator.api.moto_app import MotoApp
from emulator.api.page_site import Site
from emulator.api.prometheus import Prometheus
from emulator.clock import Clock
from emulator.deployed_variant import max_concurrency
from emulator.endpoint import Endpoint
from emulator.metrics import Recorder
from emulator.running import Fleet, Running


def mounts(
    fleet: Fleet,
    *,
    clock: Clock,
    environment: Callable[[], Mapping[str, str]],
    stack: ExitStack,
) -> list[Mount]:
    """In the order in which they are asked. They follow the fleet from now on, until the stack is
    closed, which must be before the server is: event streams end in order.
    """
    watch, prometheus = CloudWatch(), Prometheus()
    stack.callback(watch.close)
    moto = MotoApp(SERVICES, watch.prepare)
    stack.callback(moto.close)
    site = Site(fleet, clock=clock, environment=environment)
    stack.callback(site.close)
    followers = Followers(watch, prometheus, site)
    for running in fleet.running():
        followers.opened(running)
    fleet.watchers.append(followers)
    stack.callback(followers.close)
    stack.callback(fleet.watchers.remove, followers)
    return [
        moto.mount,  # first: what is signed for it is its own
        prometheus.mount,
        Mount(matches=page.matches, app=page.Page(site)),
    ]


@dataclass(slots=True, kw_only=True, eq=False)
class Follower:
    """What follows one driver; an update in place keeps it."""

    recorder: Recorder
    leave: ExitStack


class Followers:
    """A `FleetWatcher`."""

    def __init__(self, watch: CloudWatch, prometheus: Prometheus, site: Site) -> None:
        self._watch, self._prometheus, self._site = watch, prometheus, site
        self._followers: dict[int, Follower] = {}  # by the driver's identity

    def opened(self, running: Running) -> None:
        follower = self._followers.get(id(running.endpoint))
        if follower is None:
            follower = self._followers[id(running.endpoint)] = self._follower(running)
        follower.recorder.memory_limit_bytes = running.setup.memory_bytes
        self._site.add(running, follower.recorder.rows)

    def closed(self, running: Running) -> None:
        follower = self._followers.pop(id(running.endpoint), None)
        if follower is not None:
            follower.leave.close()
        self._site.remove(running)

    def close(self) -> None:
        for follower in self._followers.values():
            follower.leave.close()
        self._followers.clear()

    def _follower(self, running: Running) -> Follower:
        endpoint = running.endpoint
        serverless = isinstance(endpoint, Endpoint)
        recorder = Recorder(
            endpoint.journal,
            endpoint=running.endpoint_name,
            variant=running.variant,
            serverless=serverless,
            max_concurrency=lambda: max_concurrency(endpoint),
            provisioned=lambda: (
                endpoint.policy.config.provisioned if isinstance(endpoint, Endpoint) else 0
            ),
            memory_limit_bytes=running.setup.memory_bytes,
        )
        leave = ExitStack()
        leave.callback(self._watch.add(running.region, recorder, endpoint.logs))
        leave.callback(
            self._prometheus.add(
                (running.region, running.endpoint_name, running.variant),
                endpoint.journal,
                max_concurrency=lambda: max_concurrency(endpoint) if serverless else None,
            )
        )
        return Follower(recorder=recorder, leave=leave)
