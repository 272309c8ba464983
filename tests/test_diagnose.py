"""What is a proof that a container will never be ready, and what is none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.diagnose import Diagnoser, Sign
from contract_tests.diagnose_routes import of_openapi
from emulator.engines import Capability, ContainerSpec, EngineUnavailable, Socket
from emulator.http import Outcome, Reply, Request
from emulator.instance import PING, PLATFORM_HEADERS, Instance
from emulator.limits import Limits
from emulator.start import Cause, reachable
from emulator.testing import FakeClock, FakeEngine, FakeImage

ALL = frozenset(Capability)


@dataclass
class World:
    """A container in one moment: its sockets, what it answers inside and outside."""

    sockets_: list[Socket] = field(default_factory=list)
    inside: dict[int, int] = field(default_factory=dict)  # port -> status of /ping
    outside: Any = None  # (path, host) -> status
    capabilities: frozenset[Capability] = ALL
    gone: bool = False
    peers: list[Socket] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    base_url: str = "fake://0"

    async def sockets(self):
        if self.gone:
            raise EngineUnavailable("it has ended")
        return self.sockets_

    async def connecting(self):
        return self.peers

    async def ask_inside(self, port, path, headers, timeout_seconds):
        assert path == "/ping"
        return self.inside.get(port)

    async def send(self, base_url, request: Request, timeout_seconds, hold=None):
        host = request.headers["Host"]
        self.asked.append((request.path, host))
        status = self.outside(request.path, host) if self.outside else None
        outcome = Outcome.ANSWERED if status else Outcome.RESET
        return Reply(request=request, outcome=outcome, seconds=0.0, status=status)

    def find(self, reply: Reply):
        """Asks twice, as the wait does: what is certain stays so."""
        diagnoser = Diagnoser(self)
        instance = Instance(
            self, spec=ContainerSpec(image="x"), clock=FakeClock(), http=self, limits=Limits()
        )

        async def ask():
            await diagnoser(instance, reply)
            return await diagnoser(instance, reply)

        words = asyncio.run(ask())
        assert words == (diagnoser.finding.text if diagnoser.finding else None)
        return diagnoser.finding


def answer(status=None, outcome=Outcome.ANSWERED, **headers):
    return Reply(request=PING, outcome=outcome, seconds=0.0, status=status, headers=headers)


SILENT = answer(outcome=Outcome.RESET)
REFUSED = answer(outcome=Outcome.REFUSED)


# -- another address ------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [SILENT, REFUSED])
@pytest.mark.parametrize(
    "socket",
    [
        Socket(address="127.0.0.1", port=8080),
        Socket(address="::1", port=8080),
        Socket(address="0.0.0.0", port=5000),
    ],
)
def test_a_server_that_is_healthy_where_nobody_asks_is_found(reply, socket):
    found = World([socket], inside={socket.port: 200}).find(reply)
    assert found is not None
    assert found.sign is Sign.OTHER_ADDRESS
    assert f"{socket.address}:{socket.port}" in found.text
    assert "8080" in found.text


@pytest.mark.parametrize("status", [None, 404, 500, 503])
def test_another_socket_proves_nothing_while_ping_is_not_200_there(status):
    world = World([Socket(address="0.0.0.0", port=5000)], inside={5000: status} if status else {})
    assert world.find(SILENT) is None


def test_a_backend_on_loopback_proves_nothing_when_the_port_itself_is_open():
    both = [Socket(address="127.0.0.1", port=8000), Socket(address="0.0.0.0", port=8080)]
    assert World(both, inside={8000: 200, 8080: 200}).find(SILENT) is None


def test_a_container_that_listens_nowhere_may_still_start():
    assert World().find(SILENT) is None


@pytest.mark.parametrize("missing", [Capability.SOCKETS, Capability.INSIDE])
def test_an_engine_that_cannot_look_inside_finds_nothing(missing):
    world = World(
        [Socket(address="0.0.0.0", port=5000)], inside={5000: 200}, capabilities=ALL - {missing}
    )
    assert world.find(SILENT) is None


def test_a_container_that_is_gone_is_left_to_the_wait():
    assert World(gone=True).find(SILENT) is None


# -- another Host ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 421])
def test_a_server_that_answers_localhost_only_is_found(status):
    world = World(outside=lambda path, host: 200 if host == "localhost:8080" else status)
    found = world.find(answer(status))
    assert found is not None
    assert found.sign is Sign.OTHER_HOST
    assert str(status) in found.text
    assert PLATFORM_HEADERS["Host"] in found.text
    assert "localhost:8080" in found.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429])
def test_a_4xx_to_everybody_may_still_be_a_start(status):
    assert World(outside=lambda path, host: status).find(answer(status)) is None


# -- another path ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/ping/", "/ping/"),
        ("http://model.aws.local:8080/ping/", "/ping/"),
        ("https://somewhere-else/health", "/health"),
        ("/ping/?x=1", "/ping/?x=1"),
    ],
)
def test_a_redirect_to_a_healthy_path_is_found(location, path):
    world = World(outside=lambda asked, host: 200 if asked == path else 308)
    found = world.find(answer(308, location=location))
    assert found is not None
    assert found.sign is Sign.OTHER_PATH
    assert location in found.text
    assert {host for _, host in world.asked} == {PLATFORM_HEADERS["Host"]}


@pytest.mark.parametrize("there", [302, 401, 404, 503, None])
def test_a_redirect_that_leads_nowhere_proves_nothing(there):
    world = World(outside=lambda path, host: 302 if path == "/ping" else there)
    assert world.find(answer(302, location="/login")) is None


@pytest.mark.parametrize("headers", [{}, {"location": ""}, {"location": "ping/"}])
def test_a_redirect_without_a_path_proves_nothing(headers):
    assert World(outside=lambda path, host: 200).find(answer(302, **headers)) is None


# -- no signs -------------------------------------------------------------------------------------


@given(st.integers(min_value=500, max_value=599))
def test_a_5xx_is_a_server_or_a_proxy_that_is_starting(status):
    world = World([Socket(address="0.0.0.0", port=5000)], {5000: 200}, lambda path, host: 200)
    assert world.find(answer(status)) is None
    assert world.asked == []


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.BROKEN])
def test_silence_and_noise_are_no_proof(outcome):
    world = World([Socket(address="0.0.0.0", port=5000)], {5000: 200}, lambda path, host: 200)
    assert world.find(answer(outcome=outcome)) is None


@given(st.sampled_from(["0.0.0.0", "::", "172.17.0.2", "127.0.0.1", "127.0.1.1", "::1"]))
def test_only_the_port_itself_beyond_the_loopback_can_be_reached(address):
    loopback = address.startswith("127.") or address == "::1"
    assert reachable(Socket(address=address, port=8080), 8080) is not loopback
    assert not reachable(Socket(address=address, port=5000), 8080)


# -- what is kept for the end of the wait ---------------------------------------------------------

PEER = Socket(address="10.0.0.5", port=5432)
WINDOW = 9.0


def waited(world: World, **image: Any):
    """The report of a whole wait for a container like that, in virtual time."""
    clock = FakeClock()
    engine = FakeEngine(clock, {"x": FakeImage(**image)})
    limits = replace(Limits(), startup_seconds=WINDOW)

    async def run():
        instance = await Instance.start(
            engine, ContainerSpec(image="x"), clock=clock, http=engine, limits=limits
        )
        instance.container.connecting = world.connecting
        return await Diagnoser(world).wait(instance)

    return clock.run(run())


@dataclass
class Retrying(World):
    """It tries to connect when it is asked for the second time only."""

    async def connecting(self):
        self.asked.append(("connecting", ""))
        return [PEER] if len(self.asked) == 2 else []


def test_a_peer_that_was_tried_once_is_not_forgotten():
    report = waited(Retrying(), listens_after=99.0)
    assert report.connecting == (PEER,)
    assert "10.0.0.5:5432" in report.describe()


def test_a_ready_container_is_asked_for_nothing_more():
    world = Retrying()
    assert waited(world, listens_after=0.3).ready
    assert world.asked == []


def only(**routes):
    """Answers of a server that has these routes and no /ping."""
    known = {f"/{name.replace('_json', '.json')}": body for name, body in routes.items()}

    def handler(request, age):
        body = known.get(request.path)
        return (0.001, 404, b"") if body is None else (0.001, 200, body)

    return handler


OPENAPI = b'{"paths": {"/health": {"get": {}}, "/predict": {"post": {}}}}'


@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ({"health": b"ok"}, "GET /health answers 200"),
        ({"openapi_json": OPENAPI, "health": b"ok"}, "GET /health, POST /predict"),
        ({"openapi_json": b"[1]", "healthz": b""}, "GET /healthz answers 200"),
        ({}, "/ping answers 404, without a body"),
    ],
)
def test_a_server_without_ping_is_asked_what_it_has(routes, words):
    report = waited(World(), handler=only(**routes))
    assert report.cause is Cause.CLIENT_ERROR
    assert words in report.describe()


def test_other_servers_are_asked_for_no_routes():
    asked = []

    def handler(request, age):
        asked.append(request.path)
        return (0.001, 503, b"")

    assert waited(World(), handler=handler).hint == ""
    assert set(asked) == {"/ping"}


@given(st.binary())
def test_any_body_may_come_from_where_routes_are_told(body):
    assert isinstance(of_openapi(body), list)


def test_many_routes_are_not_all_told():
    body = json.dumps({"paths": {f"/{n}": {"get": {}} for n in range(50)}}).encode()
    told = waited(World(), handler=only(openapi_json=body)).hint
    assert "and 42 more" in told
