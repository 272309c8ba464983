"""`byoc init`: the reference project and a ready configuration, copied and never overwriting.

Owns: what is copied, its flags, what it prints. Must not know: checks, engines. Loaded for every
`byoc` command, so it imports nothing heavy. A wheel carries the files beside this module
(pyproject.toml, sources); a source tree has them at its top.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator.errors import Usage

USAGE = 4

DESCRIPTION = (
    "Copies a complete model container that passes every check (container/), requests that it"
    " answers (payloads/), a [tool.byoc] configuration (pyproject.toml) and the pre-push gate"
    " (.pre-commit-config.yaml) into a directory. A file that is there stays as it is."
)
EPILOG = """\
examples:
  byoc init
  byoc init mymodel

exit codes: 0 done, also when all was there; 4 usage
"""

IMAGE = "mymodel:latest"
CONFIGURATION = f"""\
[tool.byoc] # what `byoc check` takes when it is not told otherwise
image = "{IMAGE}"
profile = "serverless"
memory = 2048
payload = ["payloads/iris.json", "payloads/iris.csv"]

# [tool.byoc.checks."ID"] # as the report names it, or `byoc explain`
# level = "should" # must, should or info
#
# [[tool.byoc.ignore]]
# check = "ID"
# reason = "why the project can live with it"
# expires = 2026-12-31
"""
HOOKS = """\
# `pre-commit install` (https://pre-commit.com) makes every `git push` wait for `byoc check`.
default_install_hook_types: [pre-push]
repos:
  - repo: local
    hooks:
      - id: byoc-check
        name: byoc check (SageMaker contract)
        entry: byoc check
        language: system
        stages: [pre-push]
        always_run: true
        pass_filenames: false
"""
GENERATED = {"pyproject.toml": CONFIGURATION, ".pre-commit-config.yaml": HOOKS}

_MADE_BY_TOOLS = frozenset({"__pycache__", "node_modules", "cdk.out", ".venv", "model.json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of each file, by its path below the directory."""

    created: tuple[str, ...]
    kept: tuple[str, ...]


def add(init: argparse.ArgumentParser) -> None:
    """The flags."""
    init.add_argument(
        "directory", nargs="?", type=Path, default=Path(), metavar="DIR", help="default: here"
    )


def run(options: argparse.Namespace) -> int:
    """Copies, tells what was done and what comes next, and returns the exit code."""
    directory: Path = options.directory
    try:
        done = init(directory)
    except (Usage, OSError) as error:
        print(f"byoc init: {error}", file=sys.stderr)
        return USAGE
    for name in done.created:
        print(f"created {directory / name}")
    for name in done.kept:
        print(f"kept    {directory / name}, which was there")
    if "pyproject.toml" in done.kept and not configured(directory):
        print(f"\nadd this to {directory / 'pyproject.toml'}:\n\n{CONFIGURATION}")
    inside = "" if directory == Path() else f"cd {shlex.quote(str(directory))} && "
    print(f"\nnext: {inside}docker build -t {IMAGE} container && byoc check")
    return 0


def configured(directory: Path) -> bool:
    text = (directory / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
    return "[tool.byoc" in text


def init(directory: Path) -> Done:
    """Copies what is not there. Raises Usage when the directory cannot be one, and OSError."""
    if directory.exists() and not directory.is_dir():
        raise Usage(f"{directory} is a file. Name a directory, or one that is yet to be made.")
    created: list[str] = []
    kept: list[str] = []
    for source, name in sources():
        target = directory / name
        (kept if _copied(source, target) is None else created).append(name)
    for name, text in GENERATED.items():
        (kept if _written(text, directory / name) is None else created).append(name)
    return Done(created=tuple(created), kept=tuple(kept))


def sources() -> Iterator[tuple[Path, str]]:
    """The files to copy, each with its path in the new project."""
    here = Path(__file__).resolve().parent
    starter = here / "starter"
    tree = here.parent
    rooms = {
        "container": starter / "container" if starter.is_dir() else tree / "container",
        "payloads": starter / "payloads" if starter.is_dir() else tree / "fixtures" / "payloads",
    }
    for room, place in rooms.items():
        if not place.is_dir():
            raise Usage(f"{place} is not there: byoc is not installed whole. Install it anew.")
        for path in sorted(place.rglob("*")):
            inside = path.relative_to(place)
            if path.is_file() and not _MADE_BY_TOOLS.intersection(inside.parts):
                yield path, f"{room}/{inside.as_posix()}"


def _copied(source: Path, target: Path) -> Path | None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # "x" never follows or replaces what is there, be it a dangling link.
        with source.open("rb") as read, target.open("xb") as write:
            shutil.copyfileobj(read, write)
    except FileExistsError:
        return None
    shutil.copymode(source, target)  # scripts stay executable
    return target


def _written(text: str, target: Path) -> Path | None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return None
    return target
