"""Owns: that a call to an engine which does not answer leaves no file handle open."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import docker
import psutil
import pytest
import requests

from emulator.engines.docker_sockets import close_what_is_refused


@pytest.fixture
def client(tmp_path: Path) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=f"unix://{tmp_path}/none.sock", version="1.41")
    close_what_is_refused(made)
    yield made
    made.close()


def test_a_refused_call_leaves_no_file_handle(client: docker.DockerClient) -> None:
    gc.collect()
    gc.disable()  # it would close what is left, at times
    try:
        before = psutil.Process().num_fds()
        for _ in range(5):
            with pytest.raises(requests.ConnectionError, match="No such file"):
                client.ping()
        assert psutil.Process().num_fds() == before
    finally:
        gc.enable()


def test_a_client_that_uses_no_unix_socket_is_left_alone() -> None:
    client = docker.DockerClient(base_url="tcp://127.0.0.1:9", version="1.41")
    before = dict(client.api.adapters)
    close_what_is_refused(client)
    assert dict(client.api.adapters) == before
    client.close()


def test_twice_is_once(client: docker.DockerClient) -> None:
    before = dict(client.api.adapters)
    close_what_is_refused(client)
    assert dict(client.api.adapters) == before
