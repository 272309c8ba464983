"""A template's text as an object, and the line on which each part of it stands.

Owns: JSON, YAML and CloudFormation's short tags (`!Ref`, `!GetAtt a.b`, `!Sub` ...). Must not know:
what a template means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from emulator.errors import Usage

Keys = tuple[str | int, ...]
"""A place in a template: names and zero-based numbers."""

BARE_TAGS = ("Ref", "Condition")
"""Short tags whose long form has no `Fn::` before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a file says. `lines` is empty where it could not be found out."""

    body: Mapping[str, Any]
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def line(self, keys: Keys) -> int | None:
        """Where this part stands, or what it stands in."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return self.lines[keys[:length]]
        return None


class _Loader(yaml.SafeLoader):
    """Knows the short tags, and leaves `2012-10-17` a text."""


def _short_tag(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        value = None
    return {tag if tag in BARE_TAGS else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short_tag)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Template:
    """A template file. Raises `Usage` when it cannot be read as one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"The template {path} cannot be read: {error}. Name a JSON or YAML file."
        ) from (error)
    return parse(text, name=str(path))


def parse(text: str, *, name: str = "template") -> Template:
    """A template's text. Raises `Usage` when it is neither JSON nor YAML."""
    try:
        body = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        body = None  # YAML may begin with a brace, too
    try:
        root = yaml.compose(text, Loader=_Loader)
        if body is None:
            body = yaml.load(text, Loader=_Loader)  # noqa: S506  it is a SafeLoader
        lines = {} if root is None else dict(_lines(root, ()))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        if body is None:
            raise Usage(f"{name} is neither JSON nor YAML: {error}") from error
        lines = {}
    if not isinstance(body, dict):
        raise Usage(f"{name} must hold an object with Resources, not {type(body).__name__}.")
    return Template(body=body, lines=lines)


def _lines(node: yaml.Node, keys: Keys) -> Iterator[tuple[Keys, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = (*keys, str(key.value))
            yield where, key.start_mark.line + 1
            yield from _lines(value, where)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield (*keys, number), item.start_mark.line + 1
            yield from _lines(item, (*keys, number))
