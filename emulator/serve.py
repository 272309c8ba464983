"""`byoc serve`: a live endpoint on the terminal until it is told to stop.

Owns: what is printed, and when it ends. Must not know: how the endpoint works (`local`).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable

from emulator.endpoint_state import Invocation
from emulator.engines import EngineUnavailable, ImageNotFound
from emulator.errors import Usage
from emulator.local import EndpointFailed, ServerlessEndpoint

FAILED, ENGINE, USAGE = 1, 2, 4
LOOK_SECONDS = 0.2

Say = Callable[[str], None]


def serve(options: argparse.Namespace, say: Say = print) -> int:
    """Until SIGINT or SIGTERM. Exit codes: 0 ended in order; 1 the endpoint failed; 2 the engine;
    4 usage.
    """
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: stop.set())
    try:
        with _endpoint(options) as endpoint:
            _ready(endpoint, say, as_json=options.json)
            _report(endpoint, stop, say, as_json=options.json)
    except EndpointFailed as error:
        print(f"byoc: the endpoint failed. {error}", file=sys.stderr)
        return FAILED
    except EngineUnavailable as error:
        print(f"byoc: {error}", file=sys.stderr)
        return ENGINE
    except (Usage, ImageNotFound) as error:
        print(f"byoc: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(
            f"byoc: port {options.port} cannot be used ({error.strerror}); take another with"
            " --port, or --port 0 for a free one.",
            file=sys.stderr,
        )
        return USAGE
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _endpoint(options: argparse.Namespace) -> ServerlessEndpoint:
    environment = {}
    for pair in options.env:
        name, separator, value = pair.partition("=")
        if not separator:
            raise Usage(f"--env {pair!r} must be NAME=VALUE.")
        environment[name] = value
    return ServerlessEndpoint(
        options.image,
        name=options.name,
        memory_mb=options.memory,
        max_concurrency=options.max_concurrency,
        provisioned_concurrency=options.provisioned_concurrency,
        environment=environment,
        model_data_path=options.model_data,
        idle_seconds=options.idle_seconds,
        port=options.port,
    )


def _ready(endpoint: ServerlessEndpoint, say: Say, *, as_json: bool) -> None:
    if as_json:
        told = {
            "event": "InService",
            "endpoint": endpoint.name,
            "environment": endpoint.environment,
        }
        say(json.dumps(told))
        return
    say(f"endpoint {endpoint.name} is InService at {endpoint.url}")
    for name, value in endpoint.environment.items():
        say(f"export {name}={value}")
    sys.stdout.flush()


def _report(
    endpoint: ServerlessEndpoint, stop: threading.Event, say: Say, *, as_json: bool
) -> None:
    """A line for each request that was answered, as it is answered."""
    open_ones: list[Invocation] = []
    seen = 0
    while True:
        ended = stop.wait(LOOK_SECONDS)
        everything = endpoint.invocations
        open_ones += everything[seen:]
        seen = len(everything)
        for done in [one for one in open_ones if one.answered]:
            open_ones.remove(done)
            say(json.dumps(done.as_json()) if as_json else done.line())
        sys.stdout.flush()
        if ended:
            return
