"""The `byoc` command. Everything it does is a library call first.

Owns: arguments, exit codes, what is printed. Must not know: how anything is done. Exit codes: 0
every MUST holds; 1 one does not; 2 the harness or the engine failed; 4 usage; 5 nothing was
checked.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator import __version__, explain_command, init_command, lint_command, serve_options
from emulator.engines import EngineUnavailable

USAGE, ENGINE = 4, 2

EXAMPLES = """examples:
  byoc check myimage:latest --payload request.json
  byoc check myimage:latest --memory 4096 --model-data model.tar.gz --report-json report.json
  byoc serve myimage:latest --memory 2048 --max-concurrency 4
  byoc lint cdk.out/Stack.template.json
  byoc explain ping-in-time
  byoc init mymodel
  byoc doctor
  byoc clean
"""


class _Parser(argparse.ArgumentParser):
    """Exits with 4 on wrong usage, as pytest does; argparse's 2 means the engine here."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """The command line. What `check` does not know goes to pytest as it is."""
    top = _Parser(
        prog="byoc",
        description="Checks containers against Amazon SageMaker's contract, on this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"byoc {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="check images against the contract; the same as `pytest --pyargs contract_tests`",
        description=(
            "Checks one or more images. Further options are those of `pytest contract_tests`:\n"
            "  --payload FILE, --model-data PATH, --memory MB, --profile serverless|realtime,\n"
            "  --env NAME=VALUE, --platform P, --startup-seconds S, --examples N, --slow,\n"
            "  --strict, --template FILE, --template-parameter NAME=VALUE,\n"
            "  --deploy-script 'FILE ARGS', --region R, --report-json FILE, --report-html FILE,\n"
            "  --sarif FILE, --junitxml FILE, -k NAME (one check). `byoc explain` lists the checks."
        ),
        epilog="example:\n  byoc check myimage:latest --payload request.json\n\n"
        "exit codes: 0 no MUST is broken, 1 one is, 2 byoc or the engine failed, 4 wrong usage,\n"
        "5 nothing was checked\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "image",
        nargs="*",
        metavar="IMAGE",
        help="as the engine knows it; none: BYOC_IMAGE, or image under [tool.byoc]",
    )
    _serve_parser(commands)
    lint_command.add(
        commands.add_parser(
            "lint",
            help="look at CloudFormation templates for what SageMaker would refuse",
            description=lint_command.DESCRIPTION,
            epilog=lint_command.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    explain_command.add(commands.add_parser)
    init_command.add(
        commands.add_parser(
            "init",
            help="copy the reference project and a ready configuration; overwrites nothing",
            description=init_command.DESCRIPTION,
            epilog=init_command.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    clean = commands.add_parser(
        "clean",
        help="remove containers, networks and files that killed runs left behind",
        description="Removes what runs that are gone left behind; never what byoc did not label.",
        epilog="example:\n  byoc clean --all\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    clean.add_argument(
        "--all", action="store_true", help="also what a running byoc, or one elsewhere, owns"
    )
    return top


def _serve_parser(commands: argparse._SubParsersAction[_Parser]) -> None:
    serve_options.add(
        commands.add_parser(
            "serve",
            help="a local endpoint that unmodified AWS clients invoke",
            description=serve_options.DESCRIPTION,
            epilog=serve_options.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["check"] and not {"-h", "--help"} & set(given):
        # What follows the images is pytest's, whose options only pytest can tell from values.
        images = list(itertools.takewhile(lambda word: not word.startswith("-"), given[1:]))
        return check(images, given[1 + len(images) :])
    options = parser().parse_args(given)
    if options.command == "serve":
        try:
            from emulator.serve import serve

            return serve(options)
        except KeyboardInterrupt:  # while it was still being loaded
            return 0
    if options.command == "lint":
        return lint_command.lint(options)
    if options.command == "init":
        return init_command.run(options)
    if options.command in ("explain", "doctor"):
        return explain_command.run(options)
    return clean(everything=options.all)


def check(images: Sequence[str], options: Sequence[str] = ()) -> int:
    """`pytest contract_tests` on these images, whatever pytest configuration the user's own
    project has.
    """
    import pytest

    # By name: the emulator does not import the suite that is built on it.
    spec = importlib.util.find_spec("contract_tests")
    assert spec is not None, "both packages are installed together"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    named = [part for image in images for part in ("--image", image)]
    plugin = ["-p", "contract_tests.plugin", "-p", "no:cacheprovider"]
    configuration = ["-c", str(package / "byoc.ini"), "--rootdir", str(package)]
    return int(pytest.main([*configuration, *plugin, *named, *options, str(package)]))


def clean(*, everything: bool = False) -> int:
    """Sweeps, and tells what was removed."""

    async def sweep() -> list[str]:
        from emulator.engines.docker_engine import DockerEngine

        engine = DockerEngine()
        try:
            if reason := await engine.unavailable():
                raise EngineUnavailable(reason)
            return await engine.sweep(everything=everything)
        finally:
            await engine.close()

    try:
        removed = asyncio.run(sweep())
    except EngineUnavailable as error:
        print(f"byoc: {error}", file=sys.stderr)
        return ENGINE
    for line in removed:
        print(f"removed {line}")
    if not removed:
        print("nothing was left behind")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
