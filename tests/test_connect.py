"""Owns: the claims of emulator/engines/connect.py: where an engine is looked for, that a choice is
never silently replaced, and what is said when none answers. Small fake engines answer on sockets.
"""

from __future__ import annotations

import hashlib
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from emulator.engines import EngineUnavailable
from emulator.engines import connect as connecting
from emulator.engines.connect import Candidate, candidates, connect, find, main


class Answers(BaseHTTPRequestHandler):
    """As much of an engine as connecting needs."""

    protocol_version = "HTTP/1.1"
    components: tuple[str, ...] = ("Engine",)

    def address_string(self) -> str:
        return "a unix socket has none"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        version = {
            "Version": "27.0.1",
            "ApiVersion": "1.44",
            "Components": [{"Name": name} for name in self.components],
        }
        body = b"OK" if self.path.endswith("/_ping") else json.dumps(version).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Podman(Answers):
    components = ("Podman Engine", "Conmon")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def engine_at(path: Path, handler: type[Answers] = Answers) -> Iterator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Server(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration directory, empty, in place of the user's."""
    directory = tmp_path / "docker-config"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    return directory


def use_context(configuration: Path, name: str, host: str | None, *, current: bool = True) -> None:
    there = configuration / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    there.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}} if host else {}
    (there / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints})
    )
    (configuration / "config.json").write_text(
        json.dumps({"currentContext": name} if current else {})
    )


def only(*urls: str) -> Any:
    """In place of the usual places."""
    return lambda environment, home: [Candidate(url=url, origin="a test") for url in urls]


def test_the_places_are_looked_at_in_the_order_of_how_common_they_are(tmp_path: Path) -> None:
    found = [
        place.url.removeprefix("unix://")
        for place in candidates({"XDG_RUNTIME_DIR": "/run/user/7"}, tmp_path)
    ]
    assert found == [
        "/var/run/docker.sock",
        f"{tmp_path}/.docker/run/docker.sock",
        f"{tmp_path}/.colima/default/docker.sock",
        f"{tmp_path}/.config/colima/default/docker.sock",
        f"{tmp_path}/.rd/docker.sock",
        f"{tmp_path}/.orbstack/run/docker.sock",
        "/run/user/7/docker.sock",
        "/run/user/7/podman/podman.sock",
        "/run/podman/podman.sock",
    ]


def test_docker_host_is_the_only_place_when_it_is_set(configuration: Path, tmp_path: Path) -> None:
    use_context(configuration, "other", "unix:///elsewhere.sock")
    (place,) = candidates({"DOCKER_HOST": "unix:///mine.sock"}, tmp_path)
    assert (place.url, place.origin, place.chosen) == ("unix:///mine.sock", "DOCKER_HOST", True)


def test_the_context_in_use_is_the_only_place(configuration: Path, tmp_path: Path) -> None:
    use_context(configuration, "colima", "unix:///colima.sock")
    (place,) = candidates({}, tmp_path)
    assert (place.url, place.origin) == ("unix:///colima.sock", "docker context colima")
    assert place.chosen


def test_docker_context_wins_over_the_one_in_use(configuration: Path, tmp_path: Path) -> None:
    use_context(configuration, "named", "unix:///named.sock", current=False)
    (place,) = candidates({"DOCKER_CONTEXT": "named"}, tmp_path)
    assert place.url == "unix:///named.sock"


def test_the_default_context_means_the_usual_places(configuration: Path, tmp_path: Path) -> None:
    use_context(configuration, "unused", "unix:///unused.sock", current=False)
    assert len(candidates({"DOCKER_CONTEXT": "default"}, tmp_path)) > 1


def test_a_docker_context_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"DOCKER_CONTEXT names 'nope'.*docker context ls"):
        candidates({"DOCKER_CONTEXT": "nope"}, tmp_path)


def test_a_context_in_use_that_was_removed_is_an_error(configuration: Path, tmp_path: Path) -> None:
    (configuration / "config.json").write_text('{"currentContext": "removed"}')
    with pytest.raises(EngineUnavailable, match=r"configuration names 'removed'.*context use"):
        candidates({}, tmp_path)


def test_a_context_that_cannot_be_read_is_an_error(configuration: Path, tmp_path: Path) -> None:
    use_context(configuration, "broken", "unix:///x.sock")
    (meta,) = (configuration / "contexts" / "meta").glob("*/meta.json")
    meta.write_text("{")
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        candidates({}, tmp_path)


def test_the_first_place_that_answers_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as bound:  # never listens: connections are refused
        bound.bind(str(dead))
    with engine_at(tmp_path / "a.sock") as first, engine_at(tmp_path / "b.sock") as second:
        urls = (f"unix://{tmp_path}/none.sock", f"unix://{dead}", first, second)
        monkeypatch.setattr(connecting, "candidates", only(*urls))
        client, place = find({}, tmp_path)
        client.close()
    assert place.url == first


def test_a_chosen_engine_that_does_not_answer_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as told:
        connect({"DOCKER_HOST": f"unix://{tmp_path}/gone.sock"}, tmp_path)
    assert f"unix://{tmp_path}/gone.sock (DOCKER_HOST): no such socket" in str(told.value)
    assert "named by DOCKER_HOST" in str(told.value)


@pytest.mark.parametrize(
    "url", ["tcp://build.example.com:2375", "ssh://me@build.example.com", "http://192.0.2.7:2375"]
)
def test_an_engine_on_another_machine_is_refused_without_asking_it(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineUnavailable, match=r"another machine.*publishes .* on 127.0.0.1"):
        connect({"DOCKER_HOST": url}, tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", socket.gethostname()])
def test_an_engine_on_a_port_of_this_machine_is_asked(host: str, tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    with pytest.raises(EngineUnavailable, match=r"Tried .*DOCKER_HOST"):
        connect({"DOCKER_HOST": f"tcp://{host}:{port}"}, tmp_path)


def test_a_socket_that_may_not_be_opened_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(candidate: Candidate) -> Any:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.sock").touch()
    monkeypatch.setattr(connecting, "_open", refuse)
    monkeypatch.setattr(connecting, "candidates", only(f"unix://{tmp_path}/x.sock"))
    with pytest.raises(EngineUnavailable, match=r"permission denied.*usermod -aG docker"):
        connect({}, tmp_path)


def test_what_answers_but_is_no_engine_is_told(tmp_path: Path) -> None:
    class Nonsense(Answers):
        def do_GET(self) -> None:
            self.send_error(404)

    with (
        engine_at(tmp_path / "x.sock", Nonsense) as url,
        pytest.raises(EngineUnavailable, match="404"),
    ):
        connect({"DOCKER_HOST": url}, tmp_path)


@pytest.mark.parametrize(
    ("platform", "cure"), [("darwin", "Start Docker Desktop"), ("linux", "systemctl start docker")]
)
def test_without_any_engine_the_cure_is_the_platforms(
    platform: str, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "candidates", only(f"unix://{tmp_path}/none.sock"))
    monkeypatch.setattr("sys.platform", platform)
    with pytest.raises(EngineUnavailable, match=rf"No engine's socket was found.*{cure}"):
        connect({}, tmp_path)


@pytest.mark.parametrize(("handler", "name"), [(Answers, "docker"), (Podman, "podman")])
def test_the_command_prints_the_engine_its_version_and_where_it_answers(
    handler: type[Answers],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with engine_at(tmp_path / "x.sock", handler) as url:
        monkeypatch.setenv("DOCKER_HOST", url)
        assert main() == 0
    assert capsys.readouterr().out == f"{name} 27.0.1 at {url}\n"


def test_the_command_says_on_stderr_why_none_answers_and_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
    assert main() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "gone.sock" in told.err
    assert told.err.count("\n") == 1
