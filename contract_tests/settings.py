"""What the user asked for: options, environment, [tool.byoc] in pyproject.toml, defaults.

Owns: names, parsing and validation of the run's settings. Must not know: pytest, containers.
Every error is a `Usage` that names what was expected, what came, and what to write instead.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from emulator.errors import Usage
from emulator.limits import MEMORY_SIZES_MB, PROFILES, Limits, Profile

CONTENT_TYPES: Mapping[str, str] = {
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".libsvm": "text/x-libsvm",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".parquet": "application/x-parquet",
    ".pb": "application/x-recordio-protobuf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".wav": "audio/wav",
    ".bin": "application/octet-stream",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A request that the user says is good."""

    name: str
    content_type: str
    body: bytes = field(repr=False)

    @property
    def is_json(self) -> bool:
        return self.content_type.partition(";")[0].strip().lower().endswith("json")


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
    strict: bool = False
    report_json: Path | None = None

    @property
    def limits(self) -> Limits:
        """The profile's limits, with the user's own start-up budget when one was given."""
        limits = Limits.of(self.profile)
        if self.startup_seconds is None:
            return limits
        from dataclasses import replace

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
    "strict",
    "report-json",
)
"""What [tool.byoc] may hold; on the command line `--KEY`, in the environment `BYOC_KEY`."""

_LISTS = frozenset({"image", "payload", "env"})
_FLAGS = frozenset({"slow", "strict"})


def find_file(start: Path) -> Path | None:
    """The nearest pyproject.toml at or above a directory that has a [tool.byoc] table."""
    for directory in (start, *start.parents):
        candidate = directory / "pyproject.toml"
        if candidate.is_file() and "[tool.byoc" in candidate.read_text(errors="replace"):
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
        if given not in (None, [], False):
            raw[key] = (given, f"--{key}", directory)
        elif environment.get(variable):
            value: Any = environment[variable]
            if key in _LISTS:
                value = value.split(os.pathsep if key == "payload" else ",")
            raw[key] = (value, variable, directory)
        elif key in table and file is not None:
            raw[key] = (table[key], f"[tool.byoc] {key} in {file}", file.parent)
    return _build(raw)


def _read_file(file: Path) -> Mapping[str, Any]:
    try:
        table = tomllib.loads(file.read_text()).get("tool", {}).get("byoc", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{file} is not valid TOML: {error}. Correct it, or run elsewhere.") from error
    if unknown := sorted(set(table) - set(KEYS)):
        raise Usage(
            f"[tool.byoc] in {file} has {', '.join(map(repr, unknown))}, which byoc does not know."
            f" It knows: {', '.join(KEYS)}."
        )
    return cast("Mapping[str, Any]", table)


def _build(raw: Mapping[str, tuple[Any, str, Path]]) -> Settings:
    values: dict[str, Any] = {}
    for key, (value, origin, base) in raw.items():
        values[key.replace("-", "_")] = _PARSERS[key](value, origin, base)
    settings = Settings(**values)
    if settings.profile == "serverless" and settings.memory not in MEMORY_SIZES_MB:
        raise Usage(
            f"--memory {settings.memory} is not a serverless memory size. ServerlessConfig takes"
            f" {', '.join(map(str, MEMORY_SIZES_MB))} MB; take one of these, or --profile realtime."
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
    text = re.fullmatch(r"\s*(\d+)\s*(?:MB)?\s*", str(value), re.IGNORECASE)
    if text is None or int(text[1]) == 0:
        raise Usage(f"{origin} must be a number of MB, as 2048, but is {value!r}.")
    return int(text[1])


def _seconds(value: Any, origin: str, base: Path) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise Usage(f"{origin} must be a number of seconds above 0, but is {value!r}.")
    return seconds


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
    return (base / Path(_text(value, origin, base)).expanduser()).resolve()


def _payloads(value: Any, origin: str, base: Path) -> tuple[Payload, ...]:
    return tuple(read_payload(text, origin, base) for text in _texts(value, origin, base))


def read_payload(text: str, origin: str = "--payload", base: Path | None = None) -> Payload:
    """`FILE` or `FILE;type=T`; without a type the extension decides."""
    name, separator, rest = text.partition(";type=")
    path = ((base or Path.cwd()) / Path(name).expanduser()).resolve()
    content_type = rest.strip() if separator else CONTENT_TYPES.get(path.suffix.lower(), "")
    if not content_type:
        raise Usage(
            f"{origin} {text!r}: no content type is known for {path.suffix or 'no extension'!r}."
            f" Write it out: --payload '{name};type=application/x-thing'."
        )
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise Usage(
            f"{origin} {text!r}: {path} {what}. Give a file with one request body that your"
            " model answers, as its callers send it."
        )
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Usage(f"{origin} {text!r}: {path} cannot be read: {error.strerror}.") from error
    return Payload(name=path.name, content_type=content_type, body=body)


ENVIRONMENT_ENTRIES, ENVIRONMENT_CHARACTERS = 100, 1024
"""The most that ContainerDefinition.Environment takes (contract 1.22,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html)."""


def _environment(value: Any, origin: str, base: Path) -> dict[str, str]:
    if isinstance(value, Mapping):
        pairs = {str(key): str(item) for key, item in value.items()}
    else:
        pairs = {}
        for item in _texts(value, origin, base):
            key, separator, text = item.partition("=")
            if not separator:
                raise Usage(f"{origin} {item!r} must be NAME=VALUE.")
            pairs[key] = text
    for key, text in pairs.items():
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", key) or len(key) > ENVIRONMENT_CHARACTERS:
            raise Usage(f"{origin}: SageMaker takes no environment variable called {key!r}.")
        if len(text) > ENVIRONMENT_CHARACTERS:
            raise Usage(
                f"{origin}: the value of {key} has {len(text)} characters; SageMaker takes"
                f" {ENVIRONMENT_CHARACTERS}."
            )
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
    "strict": _flag,
    "report-json": _path,
}
