"""The flags of `byoc serve`, and the `Setup` that they ask for.

Owns: names, defaults and help of the flags. Must not know: what becomes of them (`serve`). Loaded
for every `byoc` command, so it imports nothing heavy before a `Setup` is wanted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.errors import Usage
from emulator.limits import IDLE_SECONDS, MEMORY_SIZES_MB, PROFILES

if TYPE_CHECKING:
    from emulator.endpoint_setup import Setup
    from emulator.plane import Listening

PORT = 4566

DESCRIPTION = """\
Starts a local SageMaker on this machine, and prints what to export so that boto3, the AWS CLI, CDK
and the other SDKs come here. With IMAGE it makes an endpoint of it; without, it waits for deploy
calls: an image of the engine stands for the one that was pushed to ECR under the same name and tag.
On a terminal it shows the endpoints live; `GET /` of its URL in a browser does the same. Ctrl-C or
SIGTERM ends it and removes its containers.
"""

EPILOG = """\
examples:
  byoc serve myimage:latest --memory 2048 --max-concurrency 4
  byoc serve myimage:latest --idle-seconds 30 --freeze --logs
  byoc serve myimage:latest --model-data model.tar.gz --env LOG_LEVEL=debug
  byoc serve myimage:latest --profile realtime --instance-count 2
  byoc serve                          # then run your deploy script, cdk deploy, terraform ...
  byoc serve --registry               # and docker push to what `aws ecr` names
  byoc serve myimage:latest --json | jq 'select(.event == "Invocation")'

exit codes: 0 ended by a signal, 1 the endpoint failed, 2 the engine failed, 4 usage
"""


def add(serve: argparse.ArgumentParser) -> None:
    """All flags of `byoc serve`."""
    serve.add_argument(
        "image",
        metavar="IMAGE",
        nargs="?",
        help="as the engine knows it; without one it waits for deploy calls",
    )
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
    _images(serve.add_argument_group("images of deploy calls"))
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


def _images(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--registry",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="a registry that `docker push` goes to, and whose manifests CreateModel looks at: one"
        " of its own (Debian's docker-registry), or the one at ADDRESS, as 127.0.0.1:5000",
    )
    group.add_argument(
        "--stand-in", metavar="IMAGE", help="this image of the engine for whatever ECR URI is named"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the flags ask for. Without `setup` only deploy calls make endpoints."""

    listening: Listening
    setup: Setup | None


OF_THE_IMAGE: Mapping[str, object] = {
    "name": None, "profile": "serverless", "memory": 2048, "model_data": None, "env": [],
    "max_concurrency": 5, "provisioned_concurrency": 0, "instance_count": 1,
}  # fmt: skip
"""Flags, with their defaults, that deploy calls say for themselves."""


def wanted_of(options: argparse.Namespace) -> Wanted:
    """Raises Usage for what AWS would not take."""
    from emulator.endpoint_setup import Setup
    from emulator.plane import Listening
    from emulator.variant import Numbers

    numbers = Numbers(
        startup_seconds=options.startup_seconds,
        idle_seconds=options.idle_seconds,
        halving_seconds=options.halving_seconds,
        max_age_seconds=options.max_age_seconds,
        freeze=options.freeze,
    )
    listening = Listening(
        host=options.host,
        port=options.port,
        allowed_hosts=tuple(options.allowed_host),
        registry=options.registry,
        stand_in=options.stand_in,
        numbers=numbers,
    )
    if options.image is not None:
        return Wanted(listening=listening, setup=_setup_of(options))
    for name, default in OF_THE_IMAGE.items():
        if getattr(options, name) != default:
            flag = "--" + name.replace("_", "-")
            raise Usage(
                f"{flag} is for the endpoint of an image, and none was named; deploy calls say it"
                " for themselves. Name the image, or leave the flag out."
            )
    Setup(image="any", startup_seconds=numbers.startup_seconds, **numbers.of(serverless=True))
    return Wanted(listening=listening, setup=None)


def _setup_of(options: argparse.Namespace) -> Setup:
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
