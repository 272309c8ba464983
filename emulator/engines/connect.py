"""Finds the container engine that answers.

Owns: where engines are looked for, in which order, and what to say when none answers. Must not
know: containers. What was chosen on purpose (DOCKER_HOST, a docker context) is never silently
replaced by something else.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import docker
import docker.errors
from docker.context import ContextAPI
from docker.context.config import get_current_context_name
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from emulator.engines import EngineUnavailable
from emulator.engines.docker_sockets import close_what_is_refused

CONNECT_SECONDS = 5
CALL_SECONDS = 120
"""For one call of the engine's API; pulling and building are none of ours."""

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

CONNECTIONS = 32
"""As many as an engine has threads; the SDK's ten would open new ones all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A place where an engine may answer."""

    url: str
    origin: str
    chosen: bool = False  # by the user: then it is this one or none
    tls: TLSConfig | None = None


def candidates(environment: Mapping[str, str], home: Path) -> list[Candidate]:
    """Where to look, best first; only the chosen one when there is one."""
    if url := environment.get("DOCKER_HOST"):
        tls = kwargs_from_env(environment=dict(environment)).get("tls")
        return [Candidate(url=url, origin="DOCKER_HOST", chosen=True, tls=tls or None)]
    if found := _context(environment):
        return [found]
    runtime = environment.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    places = (
        ("/var/run/docker.sock", "Docker"),
        (f"{home}/.docker/run/docker.sock", "Docker Desktop"),
        (f"{home}/.colima/default/docker.sock", "Colima"),
        (f"{home}/.config/colima/default/docker.sock", "Colima"),
        (f"{home}/.rd/docker.sock", "Rancher Desktop"),
        (f"{home}/.orbstack/run/docker.sock", "OrbStack"),
        (f"{runtime}/docker.sock", "rootless Docker"),
        (f"{runtime}/podman/podman.sock", "podman"),
        ("/run/podman/podman.sock", "podman"),
    )
    return [Candidate(url=f"unix://{path}", origin=origin) for path, origin in places]


def _context(environment: Mapping[str, str]) -> Candidate | None:
    name = environment.get("DOCKER_CONTEXT", "")
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except Exception as error:  # the SDK raises that bare class for a file that it cannot read
        raise EngineUnavailable(
            f"The docker context {name or 'in use'} cannot be read: {error}. Choose another with"
            " `docker context use NAME`, or set DOCKER_HOST."
        ) from error
    if context is None:
        named = name or get_current_context_name()
        where = "DOCKER_CONTEXT" if name else "Docker's configuration"
        raise EngineUnavailable(
            f"{where} names {named!r}, and there is no such docker context. `docker context ls`"
            " lists them; choose one with `docker context use NAME`, or set DOCKER_HOST."
        )
    if context.Name == "default":
        return None
    if not context.Host:
        raise EngineUnavailable(
            f"The docker context {context.Name!r} names no Docker engine. Choose another with"
            " `docker context use NAME`, or set DOCKER_HOST."
        )
    return Candidate(
        url=str(context.Host),
        origin=f"docker context {context.Name}",
        chosen=True,
        tls=context.TLSConfig,
    )


def connect(
    environment: Mapping[str, str] | None = None, home: Path | None = None
) -> docker.DockerClient:
    """A client of the engine that answers. Raises EngineUnavailable with what was tried, what each
    place said, and what to do.
    """
    client, _ = find(environment, home)
    return client


def find(
    environment: Mapping[str, str] | None = None, home: Path | None = None
) -> tuple[docker.DockerClient, Candidate]:
    """As `connect`, with the place where it answered."""
    environment = os.environ if environment is None else environment
    tried: list[str] = []
    looked_at = candidates(environment, home or Path("~").expanduser())
    for candidate in looked_at:
        _refuse_remote(candidate)
        if candidate.url.startswith("unix://") and not candidate.chosen:
            path = Path(candidate.url.removeprefix("unix://"))
            if not _exists(path):
                continue
        try:
            return _open(candidate), candidate
        except (docker.errors.DockerException, OSError, ValueError) as error:
            tried.append(f"{candidate.url} ({candidate.origin}): {_reason(error)}")
    raise EngineUnavailable(_advice(tried, looked_at))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _probe(url: str) -> None:
    """Fails as the SDK would, but leaves no socket open: the SDK does, and a pytest run that turns
    warnings into errors would end with that.
    """
    if url.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(CONNECT_SECONDS)
            probe.connect(url.removeprefix("unix://"))


def _open(candidate: Candidate) -> docker.DockerClient:
    _probe(candidate.url)
    client = docker.DockerClient(
        base_url=candidate.url,
        tls=candidate.tls or False,
        timeout=CONNECT_SECONDS,
        version="auto",
        max_pool_size=CONNECTIONS,
    )
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    client.api.timeout = CALL_SECONDS
    close_what_is_refused(client)
    return client


def _refuse_remote(candidate: Candidate) -> None:
    parsed = urlparse(candidate.url)
    remote = parsed.scheme == "ssh" or (
        parsed.scheme in ("tcp", "http", "https")
        and (parsed.hostname or "") not in (*LOCAL_HOSTS, socket.gethostname().lower())
    )
    if remote:
        raise EngineUnavailable(
            f"{candidate.origin} names a container engine on another machine ({candidate.url})."
            " byoc publishes containers on 127.0.0.1 and mounts local directories, so it needs an"
            " engine on this machine: unset DOCKER_HOST, or `docker context use default`."
        )


def _reason(error: Exception) -> str:
    text = str(error)
    for known, words in (
        ("PermissionError", "permission denied"),
        ("Permission denied", "permission denied"),
        ("FileNotFoundError", "no such socket"),
        ("No such file", "no such socket"),
        ("Connection refused", "connection refused, the engine is not running"),
        ("ConnectionRefused", "connection refused, the engine is not running"),
        ("timed out", f"no answer within {CONNECT_SECONDS} s"),
    ):
        if known in text:
            return words
    return " ".join(text.split())[:200]


def _advice(tried: list[str], looked_at: list[Candidate]) -> str:
    chosen = next((c for c in looked_at if c.chosen), None)
    said = f"Tried {'; '.join(tried)}." if tried else "No engine's socket was found."
    if any("permission denied" in line for line in tried):
        cure = (
            "Add yourself to the group that owns the socket (`sudo usermod -aG docker $USER`, then"
            " log in again), or run as root."
        )
    elif chosen is not None:
        cure = f"Start that engine, or choose another: it was named by {chosen.origin}."
    elif sys.platform == "darwin":
        cure = "Start Docker Desktop (`open -a Docker`), Colima (`colima start`) or OrbStack."
    else:
        cure = (
            "Start one: `sudo systemctl start docker`; on Debian or Ubuntu `sudo apt-get install"
            " docker.io` first, or run `make setup` as root, which does both."
        )
    return f"{said} {cure}"


def main() -> int:
    """Prints the engine that answers (exit 0), or why none does (exit 2)."""
    try:
        client, candidate = find()
    except EngineUnavailable as error:
        print(f"no container engine answers: {error}", file=sys.stderr)
        return 2
    print(f"{kind(client)} {client.version()['Version']} at {candidate.url}")
    client.close()
    return 0


def kind(client: docker.DockerClient) -> str:
    """Docker or podman, by the engine's own account."""
    names = {str(part.get("Name", "")).lower() for part in client.version().get("Components", [])}
    return "podman" if any("podman" in name for name in names) else "docker"


if __name__ == "__main__":
    raise SystemExit(main())
