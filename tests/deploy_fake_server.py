"""`python -m tests.deploy_fake_server IMAGE`: the server of the deploy checks, without Docker.

Owns: containers that are threads of this process, and that the environment variables which the
planted templates and scripts set break them. Must not know: checks.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from contract_tests.deploy_server import main
from emulator.engines import ContainerSpec
from emulator.testing import FakeContainer, FakeEngine, FakeImage
from tests.fake_suite import InstantClock, info

ANSWER = b'{"predictions": ["setosa"]}'


class Handler(BaseHTTPRequestHandler):
    """Of the container of a specification."""

    spec: ContainerSpec
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.spec.environment.get("MODEL_NAME", "iris") != "iris":
            self._answer(400, b"this model has no feature petal_length")
        else:
            self._answer(200, ANSWER)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Engine(FakeEngine):
    async def start(self, spec: ContainerSpec) -> FakeContainer:
        container = await super().start(spec)
        if not spec.environment.get("MODEL_SERVER_WORKERS", "1").isdecimal():
            container.image = FakeImage(
                exits_after=0.0, exit_code=2, log="gunicorn: error: invalid int value: 'auto'"
            )
            container.base_url = "http://127.0.0.1:1"
            return container
        handler = type("Own", (Handler,), {"spec": spec})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        container.base_url = f"http://127.0.0.1:{server.server_port}"
        return container


def engine() -> Engine:
    image = sys.argv[1]
    return Engine(InstantClock(), {image: FakeImage(info=info(image))})


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], engine))
