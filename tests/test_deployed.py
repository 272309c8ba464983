"""Owns: the claims of what becomes of a deployed endpoint, with a fake engine in virtual time."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.control.orders import Serverless, VariantOrder
from emulator.endpoint_state import EndpointStatus
from emulator.engines import EngineUnavailable
from emulator.errors import Usage
from emulator.http import Request
from emulator.limits import GIB, MIB
from emulator.runtime_errors import RuntimeFailure
from emulator.testing import Handler
from tests.deployed_world import (
    REGION,
    archive,
    image,
    instances,
    order,
    run,
    uri,
    version,
    world,
)

DATA = "s3://bucket/model.tar.gz"
CRASHES = image("crashes", exits_after=0.5, listens_after=999.0)
REFUSES = image("refuses", refuses="exec format error")
WIDE = Serverless(memory_mb=2048, max_concurrency=9)
TWO = (instances(name="a", weight=1.0), instances(name="b", weight=3.0))


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def directories() -> int:
    return len(list(Path(tempfile.gettempdir()).iterdir()))


def slow(seconds: float, body: bytes) -> Handler:
    """Invocations take that long; pings do not."""

    def handler(request: Request, age: float) -> tuple[float, int, bytes]:
        return (seconds if request.path == "/invocations" else 0.001, 200, body)

    return handler


# create


def test_an_endpoint_is_creating_and_then_in_service() -> None:
    here = world({"slow": image("slow", listens_after=7.0)})

    async def story() -> None:
        endpoint = here.deployments.create("iris", version(order("slow")), REGION)
        await here.clock.sleep(5)
        assert endpoint.status.value == "Creating"
        assert here.deployments.find("iris", REGION) is None, "it does not serve yet"
        await endpoint.settled()
        assert here.clock.now() == pytest.approx(1007, abs=1)
        assert endpoint.status.value == "InService"
        assert await here.ask() == ("AllTraffic", b"slow")

    run(here, story)
    assert here.statuses() == ["Creating", "InService", "Deleting", ""]


def test_the_failure_reason_names_the_variant_and_nothing_is_left_running() -> None:
    here = world({"refuses": REFUSES})

    async def story() -> None:
        endpoint = await here.create(order(name="a"), order("refuses", name="b"))
        assert endpoint.status is EndpointStatus.FAILED
        assert "the model container for variant b starts correctly" in endpoint.failure_reason
        assert endpoint.failure_reason.endswith("[byoc: exec format error]")
        assert endpoint.trouble is None, "the container is to blame"
        assert here.running() == []
        assert here.fleet.running() == ()
        assert endpoint.variants == ()

    run(here, story)
    assert here.statuses() == ["Creating", "Failed", "Deleting", ""]


def test_a_failure_reason_is_never_longer_than_aws_has_it() -> None:
    here = world({"talks": image("talks", refuses="x" * 3000)})

    async def story() -> None:
        endpoint = await here.create(order("talks"))
        assert len(endpoint.failure_reason) == 1024

    run(here, story)


def test_an_image_that_is_gone_fails_the_endpoint_with_what_to_do() -> None:
    here = world()

    async def story() -> None:
        endpoint = await here.create(order("gone"))
        missing = f"Requested image {uri('gone')} not found. [byoc: build {uri('gone')} first]"
        assert endpoint.failure_reason == missing
        assert here.engine.started == []

    run(here, story)


def test_an_image_above_10_gb_fails_serverless_and_not_instances() -> None:
    here = world({"big": image("big", size_bytes=10 * GIB + 1)})

    async def story() -> None:
        endpoint = await here.create(order("big", model_data_url=DATA))
        assert endpoint.failure_reason == (
            "Image size 10737418241 is greater than supported size 10737418240"
        )
        real = await here.create(instances("big"), name="real")
        assert real.status is EndpointStatus.IN_SERVICE

    here.archives[DATA] = archive(model="x")
    run(here, story)


def test_model_data_is_unpacked_for_the_container_and_goes_with_the_endpoint() -> None:
    here = world(archives={DATA: archive(**{"weights.txt": "1,2", "code/inference.py": "pass"})})

    async def story() -> None:
        await here.create(order(model_data_url=DATA))
        directory = here.engine.started[0].spec.model_dir
        assert directory is not None
        assert (directory / "weights.txt").read_text() == "1,2"
        assert (directory / "code" / "inference.py").is_file()
        assert directories() == 1, "the archive itself is not kept"
        here.deployments.delete("iris", REGION)
        await here.deployments.settled("iris", REGION)
        assert directories() == 0

    run(here, story)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, f"Could not access model data at {DATA}. [byoc: there is no such object"),
        (b"no gzip", f'from URL "{DATA}". Please ensure that the object located at the URL is a'),
        (b"\x1f\x8bbroken", "is a valid tar.gz archive [byoc: s3://bucket/model.tar.gz: it cannot"),
        (archive(**{"../up": "x"}), "points outside of the archive"),
    ],
)
def test_model_data_that_is_no_archive_fails_the_endpoint(data: bytes | None, says: str) -> None:
    here = world(archives={} if data is None else {DATA: data})

    async def story() -> None:
        endpoint = await here.create(order(), order(name="b", model_data_url=DATA))
        assert endpoint.status is EndpointStatus.FAILED
        assert says in endpoint.failure_reason
        assert "--model-data" not in endpoint.failure_reason
        assert directories() == 0

    run(here, story)


def test_an_engine_that_is_gone_is_not_the_containers_fault() -> None:
    here = world()

    async def story() -> None:
        here.engine.trouble = EngineUnavailable("no daemon")
        endpoint = await here.create(order())
        here.engine.trouble = None
        assert endpoint.status is EndpointStatus.FAILED
        assert endpoint.failure_reason == "Request to service failed. [byoc: no daemon]"
        assert isinstance(endpoint.trouble, EngineUnavailable)

    run(here, story)


def test_a_bug_of_byoc_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(url: str) -> bytes | None:
        raise ZeroDivisionError(url)

    here = world(fetch=broken)

    async def story() -> None:
        endpoint = await here.create(order(model_data_url=DATA))
        assert endpoint.failure_reason == f"Request to service failed. [byoc: {DATA}]"

    run(here, story)
    assert "ZeroDivisionError" in caplog.text


def test_the_container_is_started_as_it_was_ordered() -> None:
    here = world()

    async def story() -> None:
        await here.create(order(environment={"A": "1"}, isolated=True))
        await here.create(instances(), name="real")
        await here.create(order(instance_type="ml.trn1.32xlarge"), name="unknown")
        serverless, real, unknown = (container.spec for container in here.engine.started)
        assert serverless.environment["A"] == "1"
        assert not serverless.network
        assert (serverless.memory_bytes, real.memory_bytes) == (2048 * MIB, 8 * GIB)
        assert real.network
        assert unknown.memory_bytes is None, "an invented bound would kill what lives on AWS"

    run(here, story)


def test_the_startup_window_of_a_variant_is_the_one_it_asks_for() -> None:
    here = world({"never": image("never", listens_after=9999)})

    async def story() -> None:
        began = here.clock.now()
        endpoint = await here.create(instances("never", startup_seconds=60.0))
        assert endpoint.status is EndpointStatus.FAILED
        assert "did not pass the ping health check" in endpoint.failure_reason
        assert here.clock.now() - began == pytest.approx(60, abs=3)

    run(here, story)


# requests


def test_requests_go_to_variants_by_their_weight() -> None:
    here = world()

    async def story() -> None:
        await here.create(*TWO)
        share = Counter([(await here.ask())[0] for _ in range(400)])
        assert 40 < share["a"] < 160, share
        assert (await here.ask(target="a"))[0] == "a"

    run(here, story)


def test_a_weight_of_0_gets_nothing_but_what_is_sent_to_it_by_name() -> None:
    here = world()

    async def story() -> None:
        await here.create(instances(name="a", weight=0.0), instances(name="b", weight=0.5))
        assert {(await here.ask())[0] for _ in range(50)} == {"b"}
        assert (await here.ask(target="a"))[0] == "a"
        await here.adjust(instances(name="a", weight=0.0), instances(name="b", weight=0.0))
        with pytest.raises(RuntimeFailure, match="No variant of endpoint"):
            await here.ask()

    run(here, story)


# update


def test_a_serverless_update_takes_over_in_place_and_drains_the_old_version() -> None:
    here = world({"old": image("old", handler=slow(20, b"old"))})

    async def story() -> None:
        endpoint = await here.create(order("old"))
        driver = endpoint.variants[0].driver
        waiting = asyncio.ensure_future(here.ask())
        await here.clock.sleep(1)
        await here.update(
            order("better", serverless=Serverless(memory_mb=4096, max_concurrency=9)),
            configuration="c2",
        )
        assert endpoint.status is EndpointStatus.IN_SERVICE
        assert endpoint.version.configuration == "c2"
        assert await here.ask() == ("AllTraffic", b"better")
        assert await waiting == ("AllTraffic", b"old"), "answered by the version that took it"
        (variant,) = endpoint.variants
        assert variant.driver is driver, "who watches it goes on"
        snapshot = variant.running.board.snapshot(here.clock.now())
        assert (snapshot.max_concurrency, snapshot.memory_limit_bytes) == (9, 4096 * MIB)
        await here.clock.sleep(60)
        assert set(here.running()) == {"better"}

    run(here, story)
    assert here.statuses() == ["Creating", "InService", "Updating", "InService", "Deleting", ""]


def test_an_update_of_instances_is_blue_green() -> None:
    here = world(
        {"old": image("old", handler=slow(30, b"old")), "new": image("new", listens_after=10)}
    )

    async def story() -> None:
        endpoint = await here.create(instances("old", instance_count=2))
        waiting = asyncio.ensure_future(here.ask())
        here.deployments.update("iris", REGION, version(instances("new"), configuration="c2"))
        await here.clock.sleep(5)
        assert endpoint.status is EndpointStatus.UPDATING
        assert endpoint.version.configuration == "c"
        assert here.running() == ["new", "old", "old"]
        assert len(here.fleet.running()) == 2, "both versions are there"
        other = asyncio.ensure_future(here.ask())
        await endpoint.settled()
        assert endpoint.version.configuration == "c2"
        assert await here.ask() == ("AllTraffic", b"new")
        assert await waiting == await other == ("AllTraffic", b"old")
        await here.clock.sleep(5)
        assert here.running() == ["new"]
        assert len(here.fleet.running()) == 1

    run(here, story)


@pytest.mark.parametrize("kind", [order, instances])
def test_an_update_that_does_not_start_is_rolled_back(
    kind: Callable[..., VariantOrder],
) -> None:
    here = world({"refuses": REFUSES})

    async def story() -> None:
        endpoint = await here.create(kind("good", name="v1"))
        await here.update(kind("refuses", name="v1"), configuration="c2")
        assert endpoint.status is EndpointStatus.IN_SERVICE
        assert endpoint.version.configuration == "c"
        assert "variant v1 starts correctly" in endpoint.failure_reason
        assert here.running() == ["good"]
        assert await here.ask() == ("v1", b"good")
        await here.update(kind("better", name="v1"), configuration="c3")
        assert endpoint.failure_reason == ""
        assert await here.ask() == ("v1", b"better")

    run(here, story)
    assert here.statuses()[2:5] == ["Updating", "RollingBack", "InService"]


def test_an_update_whose_image_is_gone_leaves_the_old_version_as_it_was() -> None:
    here = world()

    async def story() -> None:
        endpoint = await here.create(order())
        await here.update(order("gone"), order(name="b"))
        assert endpoint.failure_reason.startswith(f"Requested image {uri('gone')} not found.")
        assert await here.ask() == ("AllTraffic", b"good")

    run(here, story)


def test_an_update_by_an_engine_that_is_gone_is_rolled_back() -> None:
    here = world()

    async def story() -> None:
        endpoint = await here.create(instances())
        here.engine.trouble = EngineUnavailable("no daemon")
        here.deployments.update("iris", REGION, version(instances("better")))
        await here.clock.sleep(0.01)
        here.engine.trouble = None
        await endpoint.settled()
        assert endpoint.failure_reason == "Request to service failed. [byoc: no daemon]"
        assert await here.ask() == ("AllTraffic", b"good")

    run(here, story)


def test_serverless_becomes_instances_and_variants_change_their_names() -> None:
    here = world()

    async def story() -> None:
        endpoint = await here.create(order())
        await here.update(order("better", name="other"))
        assert await here.ask() == ("other", b"better")
        await here.update(*TWO)
        assert endpoint.wire_limits.payload_bytes > 4 * MIB
        assert {(await here.ask())[0] for _ in range(50)} == {"a", "b"}

    run(here, story)


def test_model_directories_of_old_versions_go_when_their_last_instance_is_gone() -> None:
    here = world(
        {"old": image("old", handler=slow(20, b"old"))}, archives={DATA: archive(model="x")}
    )

    async def story() -> None:
        await here.create(order("old", model_data_url=DATA))
        waiting = asyncio.ensure_future(here.ask())
        await here.clock.sleep(1)
        await here.update(order(model_data_url=DATA))
        assert directories() == 2, "an instance of the old version still works"
        await waiting
        await here.clock.sleep(60)
        assert directories() == 1
        for _ in range(3):
            await here.update(order(model_data_url=DATA))
            await here.clock.sleep(60)
        assert directories() == 1

    run(here, story)


def test_the_model_directory_of_an_update_that_failed_is_removed() -> None:
    here = world({"crashes": CRASHES}, archives={DATA: archive(model="x")})

    async def story() -> None:
        for kind in (order, instances):
            await here.create(kind(), name=kind.__name__)
            await here.update(kind("crashes", model_data_url=DATA), name=kind.__name__)
            assert directories() == 0

    run(here, story)


def test_only_what_is_in_service_can_be_changed() -> None:
    here = world({"crashes": CRASHES, "slow": image("slow", listens_after=20)})

    async def story() -> None:
        here.deployments.create("iris", version(order("slow")), REGION)
        with pytest.raises(Usage, match="while it is Creating"):
            here.deployments.update("iris", REGION, version(order()))
        with pytest.raises(Usage, match="while it is Creating"):
            here.deployments.adjust("iris", REGION, (order(),))
        await here.create(order("crashes"), name="bad")
        with pytest.raises(Usage, match="while it is Failed"):
            here.deployments.update("bad", REGION, version(order()))
        with pytest.raises(Usage, match="there is no endpoint none in eu-west-1"):
            here.deployments.update("none", REGION, version(order()))

    run(here, story)


# adjust


def test_numbers_change_in_place_without_a_restart() -> None:
    here = world()
    wish = order(weight=2.0, serverless=replace(WIDE, max_concurrency=2))

    async def story() -> None:
        endpoint = await here.create(
            order(serverless=Serverless(memory_mb=2048, max_concurrency=9))
        )
        await here.adjust(wish)
        assert endpoint.version.orders == (wish,)
        assert endpoint.version.configuration == "c"
        (running,) = here.fleet.running()
        assert running.setup.max_concurrency == 2
        assert running.board.snapshot(0).max_concurrency == 2
        assert len(here.engine.started) == 1

    run(here, story)


def test_instances_come_and_go_in_place() -> None:
    here = world({"slow": image("slow", listens_after=5, handler=slow(20, b"slow"))})

    async def story() -> None:
        endpoint = await here.create(instances("slow"))
        here.deployments.adjust("iris", REGION, (instances("slow", instance_count=3),))
        await here.clock.sleep(2)
        assert endpoint.status is EndpointStatus.UPDATING
        assert endpoint.version.orders[0].instance_count == 1
        await endpoint.settled()
        assert endpoint.version.orders[0].instance_count == 3
        assert here.running() == ["slow"] * 3
        waiting = [asyncio.ensure_future(here.ask()) for _ in range(3)]
        await here.clock.sleep(1)
        await here.adjust(instances("slow", instance_count=1))
        assert here.fleet.running()[0].board.snapshot(0).max_concurrency == 1
        assert [body for _, body in await asyncio.gather(*waiting)] == [b"slow"] * 3
        await here.clock.sleep(5)
        assert here.running() == ["slow"]

    run(here, story)


def test_what_cannot_be_adjusted_for_one_variant_is_undone_for_the_others() -> None:
    here = world()

    async def story() -> None:
        endpoint = await here.create(*TWO)
        here.engine.images = {**here.engine.images, "good": image("good", refuses="no room")}
        await here.adjust(
            instances(name="a", weight=9.0), instances(name="b", weight=9.0, instance_count=2)
        )
        assert endpoint.status is EndpointStatus.IN_SERVICE
        assert "no room" in endpoint.failure_reason
        assert endpoint.version.orders == TWO
        assert [variant.order for variant in endpoint.variants] == list(TWO)
        here.engine.images = {**here.engine.images, "good": image("good")}
        await here.adjust(*(replace(one, instance_count=2) for one in TWO))
        assert endpoint.failure_reason == ""

    run(here, story)
    assert here.statuses()[2:5] == ["Updating", "RollingBack", "InService"]


def test_a_change_of_weights_waits_for_no_instance() -> None:
    here = world()

    async def story() -> None:
        endpoint = await here.create(*TWO)
        here.engine.images = {**here.engine.images, "good": image("good", listens_after=100)}
        here.engine.die(here.engine.started[0])
        await here.clock.sleep(5)
        began = here.clock.now()
        await here.adjust(replace(TWO[0], weight=0.0), TWO[1])
        assert here.clock.now() == began
        assert endpoint.status is EndpointStatus.IN_SERVICE

    run(here, story)


# delete


def test_a_name_is_free_again_when_the_endpoint_is_gone() -> None:
    here = world({"stays": image("stays", stop_seconds=None)})

    async def story() -> None:
        endpoint = await here.create(order("stays"))
        here.deployments.delete("iris", REGION)
        await here.clock.sleep(1)
        assert endpoint.status is EndpointStatus.DELETING
        assert here.deployments.find("iris", REGION) is None
        with pytest.raises(Usage, match="is there already"):
            here.deployments.create("iris", version(order()), REGION)
        here.deployments.delete("iris", REGION)  # twice is once
        await endpoint.settled()
        assert here.deployments.get("iris", REGION) is None
        assert (await here.create(order())).status is EndpointStatus.IN_SERVICE

    run(here, story)


def test_what_is_in_flight_when_it_is_deleted_gets_an_answer() -> None:
    here = world({"slow": image("slow", handler=slow(50, b"late"))})

    async def story() -> None:
        await here.create(order("slow"))
        waiting = asyncio.ensure_future(here.ask())
        await here.clock.sleep(1)
        here.deployments.delete("iris", REGION)
        with pytest.raises(RuntimeFailure):
            await waiting

    run(here, story)


def test_an_endpoint_that_is_being_created_is_closed_with_the_others() -> None:
    here = world({"slow": image("slow", listens_after=100)}, archives={DATA: archive(model="x")})

    async def story() -> None:
        here.deployments.create("iris", version(order("slow", model_data_url=DATA)), REGION)
        await here.clock.sleep(1)
        assert here.running() == ["slow"]
        await here.deployments.close()
        with pytest.raises(Usage, match="byoc is ending"):
            here.deployments.create("late", version(order()), REGION)

    run(here, story)


# who waits


def test_settled_returns_for_every_end_and_after_its_time() -> None:
    here = world({"slow": image("slow", listens_after=100), "crashes": CRASHES})

    async def story() -> None:
        await here.deployments.settled("none", REGION)
        here.deployments.create("iris", version(order("slow")), REGION)
        began = here.clock.now()
        await here.deployments.settled("iris", REGION, 25.0)
        assert here.clock.now() == began + 25
        waiting = asyncio.ensure_future(here.deployments.settled("iris", REGION, 25.0))
        await here.clock.sleep(1)
        here.deployments.delete("iris", REGION)
        await waiting
        assert here.clock.now() < began + 30
        await here.create(order("crashes"), name="bad")
        await here.deployments.settled("bad", REGION)

    run(here, story)


def test_regions_are_apart() -> None:
    here = world()

    async def story() -> None:
        await here.create(order())
        here.deployments.create("iris", version(order("better")), "us-east-1")
        await here.deployments.settled("iris", "us-east-1")
        assert [one.region for one in here.deployments.all()] == [REGION, "us-east-1"]
        assert [one.region for one in here.deployments.all("us-east-1")] == ["us-east-1"]
        assert await here.ask() == ("AllTraffic", b"good")
        assert here.deployments.find("iris", None) is here.deployments.get("iris", REGION)
        here.deployments.delete("iris", REGION)
        await here.deployments.settled("iris", REGION)
        assert here.deployments.get("iris", "us-east-1") is not None

    run(here, story)


# cancelled at any moment


@pytest.mark.parametrize("turns", range(0, 24, 4))
@pytest.mark.parametrize("pause", [0.0, 0.001, 0.6])
@pytest.mark.parametrize("doing", ["create", "update", "blue/green", "fails", "resize"])
def test_whenever_it_is_closed_nothing_is_left(doing: str, pause: float, turns: int) -> None:
    """`run` looks for containers, directories, tasks and whatever onlookers were told."""
    here = world({"crashes": CRASHES}, archives={DATA: archive(model="x")})
    model = {"model_data_url": DATA}

    async def begun() -> None:
        kind = instances if doing in ("blue/green", "resize") else order
        if doing == "create":
            here.deployments.create("iris", version(order(**model), order(name="b")), REGION)
            return
        await here.create(kind(**model))
        if doing == "resize":
            here.deployments.adjust("iris", REGION, (instances(instance_count=3, **model),))
            return
        tag = "crashes" if doing == "fails" else "better"
        here.deployments.update("iris", REGION, version(kind(tag, **model)))

    async def story() -> None:
        await begun()
        if pause:
            await here.clock.sleep(pause)
        for _ in range(turns):
            await asyncio.sleep(0)

    run(here, story)
