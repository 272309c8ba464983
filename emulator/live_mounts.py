"""What stands at an endpoint's URL besides SageMaker Runtime: CloudWatch, Prometheus, the page.

Owns: who is fed from the endpoint's journal and logs, and who answers which request. Must not know:
what each of them does, how the endpoint works, who listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from emulator.api import page
from emulator.api.cloudwatch import SERVICES, CloudWatch
from emulator.api.front import Mount
from emulator.api.moto_app import MotoApp
from emulator.api.page_feed import About, Feed
from emulator.api.prometheus import Prometheus
from emulator.api.runtime import VARIANT
from emulator.clock import Clock
from emulator.endpoint import Endpoint
from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.endpoint_setup import Setup
from emulator.limits import MIB
from emulator.metrics import Recorder
from emulator.view import Board


def max_concurrency(endpoint: Endpoint | RealtimeEndpoint) -> int:
    """An update may change it. Of a real-time endpoint all instances may be busy."""
    if isinstance(endpoint, RealtimeEndpoint):
        return endpoint.instance_count
    return endpoint.policy.config.max_concurrency


def mounts(
    endpoint: Endpoint | RealtimeEndpoint,
    setup: Setup,
    board: Board,
    *,
    clock: Clock,
    environment: Callable[[], Mapping[str, str]],
    stack: ExitStack,
) -> list[Mount]:
    """In the order in which they are asked. They listen from now on, until the stack is closed,
    which must be before the server is: event streams end in order.
    """
    serverless = isinstance(endpoint, Endpoint)
    recorder = Recorder(
        endpoint.journal,
        endpoint=setup.name,
        variant=VARIANT,
        serverless=serverless,
        max_concurrency=lambda: max_concurrency(endpoint),
        provisioned=lambda: (
            endpoint.policy.config.provisioned if isinstance(endpoint, Endpoint) else 0
        ),
        memory_limit_bytes=setup.memory_mb * MIB,
    )
    watch = CloudWatch(recorder, endpoint.logs, variant=VARIANT)
    stack.callback(watch.close)
    moto = MotoApp(SERVICES, watch.prepare)
    stack.callback(moto.close)
    prometheus = Prometheus(
        endpoint.journal,
        endpoint=setup.name,
        max_concurrency=lambda: max_concurrency(endpoint) if serverless else None,
    )
    feed = Feed(
        endpoint,
        board,
        clock=clock,
        about=lambda: About(
            image=setup.image,
            memory_mb=setup.memory_mb,
            profile=setup.profile,
            environment=environment(),
        ),
        metrics=recorder.rows,
    )
    shown = page.Page(feed, endpoint.logs)
    stack.callback(shown.close)
    return [
        moto.mount,  # first: what is signed for it is its own
        prometheus.mount,
        Mount(matches=page.matches, app=shown),
    ]
