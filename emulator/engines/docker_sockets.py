"""The Docker SDK's connections over a UNIX socket, with one that is refused closed at once.

Owns: that a call to an engine which has gone leaves no file handle behind. Must not know: what is
called. The SDK's own connection forgets its socket when it cannot connect, so that it stays open
until the garbage collector comes by: under load, hundreds.
"""

from __future__ import annotations

import socket
from typing import Any

import docker
from docker.transport.unixconn import (
    UnixHTTPAdapter,
    UnixHTTPConnection,
    UnixHTTPConnectionPool,
)

SCHEME = "http+docker://"


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)  # known before it may fail, hence closed
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix_socket)


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        timeout: Any = self.timeout
        return _Connection(self.base_url, self.socket_path, timeout)


class _Adapter(UnixHTTPAdapter):
    def get_connection(self, url: bytes | str, proxies: Any = None) -> _Pool:  # noqa: ARG002
        with self.pools.lock:
            pool: _Pool | None = self.pools.get(url)
            if pool is None:
                pool = _Pool(str(url), self.socket_path, self.timeout, maxsize=self.max_pool_size)
                self.pools[url] = pool
            return pool


def close_what_is_refused(client: docker.DockerClient) -> None:
    """Of a client over a UNIX socket; another one's connections are closed already."""
    adapter = client.api.adapters.get(SCHEME)
    if type(adapter) is not UnixHTTPAdapter:
        return
    adapter.close()
    client.api.mount(
        SCHEME,
        _Adapter(adapter.socket_path, adapter.timeout, max_pool_size=adapter.max_pool_size),
    )
