"""What the user asked for: options, environment, [tool.byoc] in pyproject.toml, defaults.

Owns: names, parsing and validation of the run's settings. Must not know: pytest, containers.
Every error is a `Usage` that names what was expected, what came, and what to write instead.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from contract_tests import deploy_settings, exceptions
from contract_tests.deploy_settings import Script
from contract_tests.exceptions import FILE_KEYS, Exceptions
from contract_tests.payload import CONTENT_TYPES, Payload, read_payload, resolved
from emulator.errors import Usage
from emulator.limits import MEMORY_SIZES_MB, PROFILES, Limits, Profile

__all__ = ["CONTENT_TYPES", "KEYS", "Payload", "Settings", "find_file", "gather", "read_payload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run. `image` may name several."""

    image: tuple[str, ...] = ()
    profile: Profile = "serverless"
    memory: int = 2048  # MB
    payload: tuple[Payload, ...] = ()
    model_data: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    platform: str = "linux/amd64"
    engine: str = "docker"
    startup_seconds: float | None = None
    slow: bool = False
    examples: int = 200  # generated requests
    strict: bool = False
    report_json: Path | None = None
    report_html: Path | None = None
    sarif: Path | None = None
    template: tuple[Path, ...] = ()
    template_parameter: Mapping[str, str] = field(default_factory=dict)
    deploy_script: Script | None = None
    region: str = ""  # where it is deployed; else as the image's URI says
    exceptions: Exceptions = field(default_factory=Exceptions)

    @property
    def limits(self) -> Limits:
        """The profile's limits, with the user's own start-up budget when one was given."""
        limits = Limits.of(self.profile)
        if self.startup_seconds is None:
            return limits
        return replace(limits, startup_seconds=self.startup_seconds)


KEYS = (
    "image",
    "profile",
    "memory",
    "payload",
    "model-data",
    "env",
    "platform",
    "engine",
    "startup-seconds",
    "slow",
    "examples",
    "strict",
    "report-json",
    "report-html",
    "sarif",
    "template",
    "template-parameter",
    "deploy-script",
    "region",
)
"""What [tool.byoc] may hold; on the command line `--KEY`, in the environment `BYOC_KEY`."""

_LISTS = frozenset({"image", "payload", "env", "template", "template-parameter"})
_PATHS = frozenset({"payload", "template"})
_TABLE = re.compile(r"^\s*\[+\s*tool\s*\.\s*byoc\s*[\].]", re.MULTILINE)


def find_file(start: Path) -> Path | None:
    """The nearest pyproject.toml at or above a directory that has a [tool.byoc] table."""
    for directory in (start, *start.parents):
        candidate = directory / "pyproject.toml"
        try:
            text = candidate.read_text(encoding="utf-8", errors="replace")
        except OSError:  # there is none, or none that is ours to read
            continue
        if _TABLE.search(text):
            return candidate
    return None


def gather(
    command_line: Mapping[str, Any], environment: Mapping[str, str], directory: Path
) -> Settings:
    """Merges the four layers. `command_line` has None for an option that was not given."""
    file = find_file(directory)
    table = _read_file(file) if file else {}
    raw: dict[str, tuple[Any, str, Path]] = {}
    for key in KEYS:
        variable = "BYOC_" + key.upper().replace("-", "_")
        given = command_line.get(key)
        if not (given is None or given is False or given in ([], ())):
            raw[key] = (given, f"--{key}", directory)
        elif environment.get(variable):
            value: Any = environment[variable]
            if key in _LISTS:
                value = value.split(os.pathsep if key in _PATHS else ",")
            raw[key] = (value, variable, directory)
        elif key in table and file is not None:
            raw[key] = (table[key], f"[tool.byoc] {key} in {file}", file.parent)
    settings = _build(raw)
    return replace(settings, exceptions=exceptions.read(table, str(file)))


def _read_file(file: Path) -> Mapping[str, Any]:
    try:
        whole = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # of TOML, of UTF-8, or a number too long for Python
        raise Usage(f"{file} is not valid TOML: {error}. Correct it, or run elsewhere.") from error
    tool = whole.get("tool")
    table = tool.get("byoc", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise Usage(f"[tool.byoc] in {file} must be one table, written once, but is {table!r}.")
    if unknown := sorted(set(table) - {*KEYS, *FILE_KEYS}):
        raise Usage(
            f"[tool.byoc] in {file} has {', '.join(map(repr, unknown))}, which byoc does not know."
            f" It knows: {', '.join((*KEYS, *FILE_KEYS))}."
        )
    return cast("Mapping[str, Any]", table)


def _build(raw: Mapping[str, tuple[Any, str, Path]]) -> Settings:
    values: dict[str, Any] = {}
    for key, (value, origin, base) in raw.items():
        values[key.replace("-", "_")] = _PARSERS[key](value, origin, base)
    settings = Settings(**values)
    if settings.profile == "serverless" and settings.memory not in MEMORY_SIZES_MB:
        raise Usage(
            f"{raw['memory'][1]} {settings.memory} is not a serverless memory size. It must be"
            f" one of {', '.join(map(str, MEMORY_SIZES_MB))} MB, or the profile realtime."
        )
    return settings


def _text(value: Any, origin: str, base: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Usage(f"{origin} must be a text, but is {value!r}.")
    return value.strip()


def _texts(value: Any, origin: str, base: Path) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise Usage(f"{origin} must be a text or a list of texts, but is {value!r}.")
    return tuple(_text(item, origin, base) for item in items)


def _flag(value: Any, origin: str, base: Path) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() in words:
        return words[str(value).lower()]
    raise Usage(f"{origin} must be true or false, but is {value!r}.")


def _profile(value: Any, origin: str, base: Path) -> Profile:
    if value not in PROFILES:
        raise Usage(f"{origin} must be one of {', '.join(PROFILES)}, but is {value!r}.")
    return cast("Profile", value)


def _memory(value: Any, origin: str, base: Path) -> int:
    text = re.fullmatch(r"\s*(\d{1,9})\s*(?:MB)?\s*", str(value), re.IGNORECASE)
    if text is None or int(text[1]) == 0:
        raise Usage(f"{origin} must be a number of MB, as 2048, but is {value!r}.")
    return int(text[1])


def _seconds(value: Any, origin: str, base: Path) -> float:
    try:
        seconds = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise Usage(f"{origin} must be a number of seconds above 0, but is {value!r}.")
    return seconds


def _count(value: Any, origin: str, base: Path) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d{0,6}", str(value).strip()):
        raise Usage(f"{origin} must be a whole number, 1 to 9999999, as 200, but is {value!r}.")
    return int(value)


def _platform(value: Any, origin: str, base: Path) -> str:
    text = _text(value, origin, base)
    if not re.fullmatch(r"linux/[a-z0-9_]+(/v\d)?", text):
        raise Usage(f"{origin} must look like linux/amd64 or linux/arm64, but is {text!r}.")
    return text


def _engine(value: Any, origin: str, base: Path) -> str:
    if value != "docker":
        raise Usage(f"{origin} must be docker, the only engine there is, but is {value!r}.")
    return "docker"


def _path(value: Any, origin: str, base: Path) -> Path:
    return resolved(_text(value, origin, base), origin, base)


def _payloads(value: Any, origin: str, base: Path) -> tuple[Payload, ...]:
    return tuple(read_payload(text, origin, base) for text in _texts(value, origin, base))


ENVIRONMENT_ENTRIES, ENVIRONMENT_CHARACTERS = 100, 1024
"""The most that ContainerDefinition.Environment takes (contract 1.22,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html)."""


def _environment(value: Any, origin: str, base: Path) -> dict[str, str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, bool) or not isinstance(item, (str, int, float)):
                raise Usage(f"{origin}: the value of {key} must be a text in quotes, not {item!r}.")
        pairs = {key: str(item) for key, item in value.items()}
    else:
        pairs = {}
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(item, str) or "=" not in item:
                raise Usage(f"{origin} must be NAME=VALUE, but is {item!r}.")
            key, _, text = item.partition("=")
            pairs[key] = text
    most = ENVIRONMENT_CHARACTERS
    for key, text in pairs.items():
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", key) or len(key) > most:
            raise Usage(
                f"{origin}: a variable's name must be letters, digits and _, no digit first, at"
                f" most {most}, but is {key!r}."
            )
        if len(text) > most:
            raise Usage(f"{origin}: the value of {key} has {len(text)} characters, above {most}.")
    if len(pairs) > ENVIRONMENT_ENTRIES:
        raise Usage(f"{origin}: {len(pairs)} variables; SageMaker takes {ENVIRONMENT_ENTRIES}.")
    return pairs


_PARSERS = {
    "image": _texts,
    "profile": _profile,
    "memory": _memory,
    "payload": _payloads,
    "model-data": _path,
    "env": _environment,
    "platform": _platform,
    "engine": _engine,
    "startup-seconds": _seconds,
    "slow": _flag,
    "examples": _count,
    "strict": _flag,
    "report-json": _path,
    "report-html": _path,
    "sarif": _path,
    "template": deploy_settings.templates,
    "template-parameter": deploy_settings.parameters,
    "deploy-script": deploy_settings.script,
    "region": deploy_settings.region,
}
