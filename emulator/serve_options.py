"""The flags of `byoc serve`, and the `Setup` that they ask for.

Owns: names, defaults and help of the flags. Must not know: what becomes of them (`serve`). Loaded
for every `byoc` command, so it imports nothing heavy before a `Setup` is wanted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.errors import Usage
from emulator.limits import IDLE_SECONDS, MEMORY_SIZES_MB, PROFILES

if TYPE_CHECKING:
    from emulator.endpoint_setup import Setup

PORT = 4566

DESCRIPTION = """\
Starts an endpoint of one image on this machine, and prints what to export so that boto3, the AWS
CLI and the other SDKs come here. On a terminal it shows the endpoint live; `GET /` of its URL in a
browser does the same. Ctrl-C or SIGTERM ends it and removes its containers.
"""

EPILOG = """\
examples:
  byoc serve myimage:latest --memory 2048 --max-concurrency 4
  byoc serve myimage:latest --idle-seconds 30 --freeze --logs
  byoc serve myimage:latest --model-data model.tar.gz --env LOG_LEVEL=debug
  byoc serve myimage:latest --profile realtime --instance-count 2
  byoc serve myimage:latest --json | jq 'select(.event == "Invocation")'

exit codes: 0 ended by a signal, 1 the endpoint failed, 2 the engine failed, 4 usage
"""


def add(serve: argparse.ArgumentParser) -> None:
    """All flags of `byoc serve`."""
    serve.add_argument("image", metavar="IMAGE", help="as the engine knows it")
    serve.add_argument("--name", help="of the endpoint; default: the image's name")
    serve.add_argument(
        "--profile", choices=PROFILES, default="serverless", help="default %(default)s"
    )
    sizes = f"{MEMORY_SIZES_MB[0]}, {MEMORY_SIZES_MB[1]} ... {MEMORY_SIZES_MB[-1]}"
    serve.add_argument(
        "--memory", type=int, default=2048, metavar="MB", help=f"{sizes}; default %(default)s"
    )
    serve.add_argument(
        "--model-data", type=Path, metavar="PATH", help="directory or model.tar.gz, read-only"
    )
    serve.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="may repeat"
    )
    serve.add_argument(
        "--startup-seconds",
        type=float,
        metavar="S",
        help="wait this long for /ping; default: as the platform, 180 (realtime 480)",
    )
    _scaling(serve.add_argument_group("serverless"))
    realtime = serve.add_argument_group("realtime")
    realtime.add_argument(
        "--instance-count", type=int, default=1, metavar="N", help="default %(default)s"
    )
    _listening(serve.add_argument_group("where it listens"))
    _showing(serve.add_argument_group("what is shown"))


def _scaling(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-concurrency", type=int, default=5, metavar="N", help="1 to 200; default %(default)s"
    )
    group.add_argument(
        "--provisioned-concurrency", type=int, default=0, metavar="N", help="default %(default)s"
    )
    group.add_argument(
        "--idle-seconds",
        type=float,
        default=IDLE_SECONDS,
        metavar="S",
        help="an instance unused for so long is stopped; inf keeps it; default %(default)g",
    )
    group.add_argument(
        "--halving-seconds",
        type=float,
        metavar="S",
        help="instead: half of the idle instances are stopped each S seconds",
    )
    group.add_argument(
        "--max-age-seconds", type=float, metavar="S", help="no instance gets older; default: none"
    )
    group.add_argument(
        "--freeze", action="store_true", help="instances stand still between requests, as on Lambda"
    )


def _listening(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--port", type=int, default=PORT, help="default %(default)s; 0: a free one")
    group.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="default %(default)s; with another one, as 0.0.0.0, everybody who reaches this machine"
        " there can use the endpoint: there are no passwords",
    )
    group.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name of this machine that callers use; may repeat",
    )


def _showing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--logs", action="store_true", help="what the containers write; key l on a terminal"
    )
    form = group.add_mutually_exclusive_group()
    form.add_argument("--plain", action="store_true", help="lines only, also on a terminal")
    form.add_argument("--json", action="store_true", help="one JSON object per line")


def setup_of(options: argparse.Namespace) -> Setup:
    """Raises Usage for what AWS would not take."""
    from emulator.endpoint_setup import Setup

    return Setup(
        image=options.image,
        name=options.name or "",
        profile=options.profile,
        memory_mb=options.memory,
        environment=_pairs(options.env),
        model_data=options.model_data,
        startup_seconds=options.startup_seconds,
        host=options.host,
        port=options.port,
        allowed_hosts=tuple(options.allowed_host),
        max_concurrency=options.max_concurrency,
        provisioned_concurrency=options.provisioned_concurrency,
        idle_seconds=options.idle_seconds,
        halving_seconds=options.halving_seconds,
        max_age_seconds=options.max_age_seconds,
        freeze=options.freeze,
        instance_count=options.instance_count,
    )


def _pairs(given: Sequence[str]) -> dict[str, str]:
    environment = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not (name and separator):
            raise Usage(f"--env {pair!r} must be NAME=VALUE.")
        environment[name] = value
    return environment
