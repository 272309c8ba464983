"""A Docker engine of a test's own, which may be killed and started again.

Owns: a second dockerd with its own directories, socket, containerd and bridge. Must not know: what
runs in it. Nothing that the machine's engine owns is touched: no iptables rules are made (published
ports go through docker's own proxy), and no network of the other is used.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import docker.errors
import psutil
import requests

START_SECONDS = 30
END_SECONDS = 30


class PrivateEngine:
    """See the module. `start()` when it was killed, too."""

    def __init__(self, root: Path, bridge: str) -> None:
        self._root, self._bridge = root, bridge
        self._daemon: subprocess.Popen[bytes] | None = None
        self.log = root / "dockerd.log"
        self.url = f"unix://{root / 'docker.sock'}"

    def start(self) -> None:
        """Returns when it answers."""
        pid_file = self._root / "dockerd.pid"
        # Those of a killed one keep a new one from starting while their processes are zombies.
        for left in (pid_file, self._root / "exec" / "containerd" / "containerd.pid"):
            left.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._daemon = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig", "TERM",  # also when this process is killed
                    "dockerd",
                    "--data-root", str(self._root / "data"),
                    "--exec-root", str(self._root / "exec"),
                    "--pidfile", str(pid_file),
                    "--host", self.url,
                    "--bridge", self._bridge,
                    "--iptables=false",
                    "--ip6tables=false",
                    "--ip-masq=false",
                    "--ip-forward=false",
                    "--containerd-namespace", self._bridge,
                    "--containerd-plugins-namespace", f"{self._bridge}-plugins",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            ended = self._daemon.poll() is not None
            assert not ended, f"dockerd ended:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"no answer:\n{self.log.read_text()[-2000:]}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:  # the SDK leaves one open that is refused
            try:
                probe.connect(self.url.removeprefix("unix://"))
            except OSError:
                return False
        try:
            self.client().close()
        except (docker.errors.DockerException, requests.RequestException):
            return False
        return True

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.url, version="auto", timeout=20)

    def load(self, image: str) -> None:
        """Copies an image of the machine's engine."""
        save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "--host", self.url, "load"],
            stdin=save.stdout, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        assert save.stdout is not None
        save.stdout.close()
        assert save.wait(END_SECONDS) == 0

    def end(self, number: signal.Signals) -> None:
        """Signals the daemon, and waits for its end. Containers survive SIGKILL, as they do when
        an engine crashes; their published ports do not.
        """
        assert self._daemon is not None
        self._daemon.send_signal(number)
        self._daemon.wait(END_SECONDS)
        self._daemon = None

    def destroy(self) -> None:
        """Ends it and its containers."""
        if self._daemon is None:
            self.start()  # only an engine ends the containers that a killed one left
        client = self.client()
        for container in client.containers.list(all=True):
            with suppress(docker.errors.NotFound):
                container.remove(force=True)
        client.close()
        self.end(signal.SIGTERM)


def impossible() -> str:
    """Why this machine cannot have a second engine; empty when it can."""
    if os.geteuid() != 0:
        return "a second Docker engine needs root"
    missing = [name for name in ("dockerd", "ip", "setpriv") if shutil.which(name) is None]
    return f"a second Docker engine needs {' and '.join(missing)}" if missing else ""


@contextmanager
def private_engine() -> Iterator[PrivateEngine]:
    """An engine that runs; afterwards nothing of it is left."""
    slot = os.getpid() % 4096  # so that two runs on one machine do not meet
    bridge, address = f"byoc-test-{slot}", f"198.18.{slot // 16}.{slot % 16 * 16 + 1}/28"
    root = Path(tempfile.mkdtemp(prefix="byoc-engine-"))
    try:
        _ip("link", "add", "name", bridge, "type", "bridge")
        _ip("address", "add", address, "dev", bridge)
        _ip("link", "set", bridge, "up")
        engine = PrivateEngine(root, bridge)
        engine.start()
        try:
            yield engine
        finally:
            engine.destroy()
    finally:
        _clear(root)
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True, check=False)


def _clear(root: Path) -> None:
    """Whatever an engine that could not be stopped in order has left."""
    ours = [p for p in psutil.process_iter() if any(str(root) in word for word in _words(p))]
    for process in [child for one in ours for child in (*one.children(recursive=True), one)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{root}/")]):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    shutil.rmtree(root, ignore_errors=True)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
