"""A request that the user says is good, from a file.

Owns: reading it, and the content types that extensions stand for. Must not know: options' layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.errors import Usage

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


def resolved(text: str, origin: str, base: Path) -> Path:
    """A path that an option names. Raises Usage."""
    try:
        return (base / Path(text).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise Usage(f"{origin} {text!r} is no path that this machine knows: {error}.") from error


def read_payload(text: str, origin: str = "--payload", base: Path | None = None) -> Payload:
    """`FILE` or `FILE;type=T`; without a type the extension decides."""
    name, separator, rest = text.partition(";type=")
    path = resolved(name, origin, base or Path.cwd())
    content_type = rest.strip() if separator else CONTENT_TYPES.get(path.suffix.lower(), "")
    if not re.fullmatch(r"[!-~]([ -~]{0,1022}[!-~])?", content_type):
        known = f"no content type is known for {path.suffix or 'no extension'!r}"
        what = f"{content_type!r} is no content type" if separator else known
        raise Usage(f"{origin} {text!r}: {what}. Write it out: '{name};type=application/x-thing'.")
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Usage(
            f"{origin} {text!r}: {path} cannot be read ({error.strerror}). Give a file with one"
            " request body that your model answers, as its callers send it."
        ) from error
    return Payload(name=path.name, content_type=content_type, body=body)
