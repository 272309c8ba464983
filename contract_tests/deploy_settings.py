"""What the user deploys with: templates, their parameters, a script, a region.

Owns: how these options are read. Must not know: templates' contents, what a run does with them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.errors import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """`words` begin with the program; `directory` is where it runs."""

    words: tuple[str, ...]
    directory: Path

    def names(self, name: str) -> bool:
        """Whether the arguments give this name, or a part of it that is like a version."""
        return any(
            word == name or (word in name and re.search(r"\d", word) is not None)
            for word in self.words[1:]
        )

    def __str__(self) -> str:
        return shlex.join(self.words)


def templates(value: Any, origin: str, base: Path) -> tuple[Path, ...]:
    """Files that are there."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise Usage(f"{origin} must be a file or a list of files, but is {value!r}.")
    found = tuple((base / Path(item).expanduser()).resolve() for item in items)
    for path in found:
        if not path.is_file():
            raise Usage(
                f"{origin} {path} is no file. Give a CloudFormation template in JSON or YAML, as"
                " cdk.out/MyStack.template.json."
            )
    return found


def parameters(value: Any, origin: str, base: Path) -> dict[str, str]:  # noqa: ARG001
    """NAME=VALUE, or a table of them."""
    if isinstance(value, Mapping):
        return {str(name): _text(item) for name, item in value.items()}
    pairs = {}
    for item in value if isinstance(value, (list, tuple)) else [value]:
        name, separator, text = str(item).partition("=")
        if not (separator and re.fullmatch(r"[A-Za-z0-9:]{1,255}", name)):
            raise Usage(
                f"{origin} must be NAME=VALUE, with the name of one of the template's Parameters,"
                f" but is {item!r}."
            )
        pairs[name] = text
    return pairs


def _text(value: Any) -> str:
    """As CloudFormation takes it."""
    if isinstance(value, (list, tuple)):
        return ",".join(_text(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def script(value: Any, origin: str, base: Path) -> Script:
    """A file or a command, with its arguments, quoted as in a shell."""
    try:
        words = shlex.split(value) if isinstance(value, str) else [str(word) for word in value]
    except (TypeError, ValueError) as error:
        raise Usage(f"{origin} {value!r} cannot be split into words: {error}.") from error
    if not words:
        raise Usage(f"{origin} must name a script, as in 'deploy.py --stage test'.")
    return Script(words=(_program(words[0], origin, base), *words[1:]), directory=base)


def _program(word: str, origin: str, base: Path) -> str:
    path = base / Path(word).expanduser()
    if path.is_file():
        if path.suffix != ".py" and not os.access(path, os.X_OK):
            raise Usage(
                f"{origin} {path} may not be executed: `chmod +x` it, or name the program that runs"
                f" it: 'sh {word}'."
            )
        return str(path.absolute())  # not resolved: a virtual environment's Python is a link
    found = shutil.which(word) if os.sep not in word else None
    if found is None:
        raise Usage(
            f"{origin}: {word!r} is neither a file in {base} nor a program. Give the script that"
            " deploys your image, with its arguments: 'deploy.py --stage test'."
        )
    return found


def region(value: Any, origin: str, base: Path) -> str:  # noqa: ARG001
    """As eu-west-1."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", value.strip()):
        raise Usage(f"{origin} must be a region of AWS, as eu-west-1, but is {value!r}.")
    return value.strip()
