"""Owns: what the page's streams tell, to whom and how often (in virtual time, without a server),
and what its answers allow a browser to do. What a browser makes of it: test_page_browser.py.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.api import page, page_feed, page_fleet, page_history
from emulator.api.page import Page
from emulator.api.page_feed import MetricRow
from emulator.api.page_site import Choice, Site
from emulator.endpoint_setup import Setup as EndpointSetup
from emulator.endpoint_state import EndpointStatus, InstanceChange, InstanceState, Journal
from emulator.running import CallTold, EndpointTold, Fleet, Running
from emulator.testing import FakeClock
from emulator.view import THROTTLED, Board

ENVIRONMENT = {"AWS_ENDPOINT_URL": "http://x"}


@dataclass(frozen=True)
class Line:
    instance: int
    text: str


@dataclass
class Book:
    kept: list[Line] = field(default_factory=list)
    collected: int = 0

    async def collect(self) -> None:
        self.collected += 1

    def lines(self, after: int = 0) -> list[Line]:
        return self.kept[after:]


@dataclass
class Driver:
    """An endpoint's driver, as far as the page looks at it."""

    status: EndpointStatus = EndpointStatus.IN_SERVICE
    failure_reason: str = ""
    journal: Journal = field(default_factory=Journal)
    logs: Book = field(default_factory=Book)


def running(
    driver: Driver,
    name: str = "iris",
    variant: str = "AllTraffic",
    region: str = "us-east-1",
    image: str = "model:1",
) -> Running:
    return Running(
        region=region,
        endpoint_name=name,
        variant=variant,
        setup=EndpointSetup(image=image, name=name),
        endpoint=driver,  # type: ignore[arg-type]
        board=Board(driver.journal, max_concurrency=4),
    )


class World:
    """A page of a fleet that the test tells what happens."""

    def __init__(self) -> None:
        self.clock, self.fleet = FakeClock(), Fleet()
        self.site = Site(self.fleet, clock=self.clock, environment=lambda: ENVIRONMENT)
        self.page = Page(self.site)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.clock.run(work)

    def begin(self, name: str, **more: str) -> Running:
        one = running(Driver(), name, **more)
        self.site.add(one)
        return one

    def status(self, name: str, status: EndpointStatus | None, reason: str = "") -> None:
        told = EndpointTold(region="us-east-1", name=name, status=status, failure_reason=reason)
        self.fleet.status(told)


class Setup(World):
    """One endpoint, too."""

    def __init__(self, metrics: Callable[[], list[MetricRow]] = list) -> None:
        super().__init__()
        self.driver = Driver()
        self.journal, self.book = self.driver.journal, self.driver.logs
        self.running = running(self.driver)
        self.board = self.running.board
        self.site.add(self.running, metrics)

    def change(self, instance: int, state: InstanceState, request: int | None = None) -> None:
        self.journal.changed(
            InstanceChange(at=self.clock.now(), instance=instance, state=state, request=request)
        )

    def answer(self, instance: int | None = 1, error: str = "", seconds: float = 0.01) -> int:
        record = self.journal.begin(self.clock.now())
        record.instance, record.error = instance, error
        self.journal.end(record, self.clock.now() + seconds)
        return record.request


class Browser:
    """The other end of one stream: what the application sends, as a browser would read it."""

    def __init__(self, app: Page, path: str = "/events", query: bytes = b"") -> None:
        self.app = app
        self.scope = {"type": "http", "method": "GET", "path": path, "query_string": query}
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.reads = asyncio.Event()  # cleared: the connection takes nothing more
        self.reads.set()
        self.gone = asyncio.Event()

    async def __aenter__(self) -> Browser:
        self.task = asyncio.create_task(self.app(self.scope, self._receive, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gone.set()
        self.reads.set()
        await self.task

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
            return
        self.body += message.get("body", b"")
        self.ended = not message.get("more_body", False)

    @property
    def messages(self) -> list[tuple[str, dict[str, Any]]]:
        """Of the endpoint that the tab looks at."""
        return [one for one in self.everything if one[0] != "fleet"]

    @property
    def fleet(self) -> dict[str, Any]:
        """What was told last of all endpoints."""
        return [told for event, told in self.everything if event == "fleet"][-1]

    @property
    def everything(self) -> list[tuple[str, dict[str, Any]]]:
        """By the rules of server-sent events."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = [line.partition(": ") for line in block.split("\n")]
            data = "\n".join(value for name, _, value in fields if name == "data")
            event = "".join(value for name, _, value in fields if name == "event")
            if data:
                found.append((event, json.loads(data)))
        return found


def test_a_tab_is_told_the_story_first_and_then_what_is_new() -> None:
    setup = Setup()
    setup.change(1, InstanceState.STARTING, 1)
    setup.answer()

    async def scenario() -> None:
        async with Browser(setup.page) as tab:
            await setup.clock.sleep(1)
            ((event, story),) = tab.messages
            assert (event, story["endpoint"]) == ("story", "iris")
            about = {key: story["about"][key] for key in ("image", "memory_mb", "profile")}
            assert about == {"image": "model:1", "memory_mb": 2048, "profile": "serverless"}
            assert [c[1:4] for c in story["changes"]] == [[1, "starting", 1]]
            assert [r["request"] for r in story["requests"]] == [1]
            setup.change(1, InstanceState.BUSY, 1)
            setup.answer(error="ModelError")
            await setup.clock.sleep(1)
            event, news = tab.messages[-1]
            assert (len(tab.messages), event) == (2, "news")
            assert [c[1:4] for c in news["changes"]] == [[1, "busy", 1]]
            assert [(r["request"], r["error"]) for r in news["requests"]] == [(2, "ModelError")]
            assert (news["invocations"], news["errors"]) == (2, {"ModelError": 1})
            assert [i["state"] for i in news["instances"]] == ["busy"]

    setup.run(scenario())


def test_what_happens_together_is_told_together_at_most_ten_times_a_second() -> None:
    setup = Setup()

    async def scenario() -> None:
        async with Browser(setup.page) as tab:
            await setup.clock.sleep(0.01)
            for _ in range(500):
                setup.answer()
                await setup.clock.sleep(0.004)
            await setup.clock.sleep(1)
            news = [told for event, told in tab.messages if event == "news"]
            assert len(news) <= 21
            assert [r["request"] for told in news for r in told["requests"]] == [*range(1, 501)]

    setup.run(scenario())


def test_every_tab_hears_everything_once_whenever_it_was_opened() -> None:
    setup = Setup()

    async def scenario() -> None:
        tabs: list[Browser] = []
        async with Browser(setup.page) as first:
            tabs.append(first)
            await setup.clock.sleep(0.01)
            setup.answer()  # the first has not been told when the second comes
            setup.change(7, InstanceState.IDLE)
            async with Browser(setup.page) as second:
                tabs.append(second)
                await setup.clock.sleep(0.01)
                setup.answer()
                await setup.clock.sleep(1)
        for tab in tabs:
            heard = [r["request"] for _, told in tab.messages for r in told["requests"]]
            assert heard == [1, 2]
            assert [c[1] for _, told in tab.messages for c in told["changes"]] == [7]

    setup.run(scenario())


def test_a_quiet_stream_has_a_heartbeat_every_fifteen_seconds() -> None:
    setup = Setup()

    async def scenario() -> None:
        async with Browser(setup.page) as tab:
            await setup.clock.sleep(61)
            assert tab.body.count(b"\n: heartbeat\n") == 4
            # They tell what is not in the journal, too.
            setup.driver.status = EndpointStatus.DELETING
            await setup.clock.sleep(15)
            assert tab.messages[-1][1]["status"] == "Deleting"

    setup.run(scenario())


def test_a_tab_that_does_not_read_costs_no_memory_and_gets_the_story_again() -> None:
    setup = Setup()

    async def scenario() -> None:
        async with Browser(setup.page) as slow, Browser(setup.page) as quick:
            await setup.clock.sleep(0.01)
            slow.reads.clear()
            for _ in range(3000):
                setup.answer()
                await setup.clock.sleep(0.05)
            assert sorted(tab.behind is None for tab in setup.site._tabs) == [False, True]
            slow.reads.set()
            await setup.clock.sleep(1)
            setup.answer()
            await setup.clock.sleep(1)
            events = [event for event, _ in slow.messages]
            assert events[-2:] == ["story", "news"]
            assert events.count("story") == 2
            assert slow.messages[-1][1]["invocations"] == 3001
            heard = [r["request"] for _, told in quick.messages for r in told["requests"]]
            assert heard == [*range(1, 3002)], "another tab does not suffer"

    setup.run(scenario())


def test_a_flood_is_cut_to_the_last_of_each_instance_and_the_last_requests() -> None:
    setup = Setup()

    async def scenario() -> None:
        async with Browser(setup.page) as tab:
            await setup.clock.sleep(0.01)
            for n in range(5000):
                setup.change(n % 200, InstanceState.BUSY if n % 400 < 200 else InstanceState.IDLE)
                setup.answer(instance=None, error=THROTTLED)
            await setup.clock.sleep(1)
            news = [told for event, told in tab.messages if event == "news"]
            assert sum(len(told["changes"]) for told in news) <= page_feed.MOST_CHANGES
            assert sum(len(told["requests"]) for told in news) == page_feed.MOST_INVOCATIONS
            assert news[-1]["throttles"] == 5000, "the counts go on"
            last = {c[1]: c[2] for told in news for c in told["changes"]}
            seen = setup.board.snapshot(0.0).instances
            assert last == {one.instance: one.state.value for one in seen}

    setup.run(scenario())


def test_nothing_runs_and_nothing_is_collected_when_no_tab_is_open() -> None:
    setup = Setup()

    async def scenario() -> None:
        async with Browser(setup.page) as tab:
            for _ in range(20):
                await asyncio.sleep(0)
            assert tab.messages
            setup.answer()
        assert setup.site.tabs == 0
        for _ in range(100):
            setup.answer()
            setup.change(1, InstanceState.IDLE)
        ((_, feed),) = setup.site._feeds.values()
        assert (feed._changes, len(feed._invocations)) == ([], 0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_closing_ends_every_stream_in_order() -> None:
    setup = Setup()

    async def scenario() -> None:
        async with Browser(setup.page) as one, Browser(setup.page) as two:
            await setup.clock.sleep(1)
            setup.page.close()
            await setup.clock.sleep(1)
            assert one.ended
            assert two.ended
            assert one.task.done()
        assert setup.journal.listeners == [setup.board._answered]
        assert setup.journal.watchers == [setup.board._changed]

    setup.run(scenario())


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(InstanceState), st.floats(0, 400)), max_size=60
    ),
    st.integers(2, 12),
)
def test_the_story_has_every_change_of_the_last_minutes_and_the_state_before_them(
    told: list[tuple[int, InstanceState, float]], kept: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_history, "HISTORY_CHANGES", kept)
        setup = Setup()
        everything: list[list[object]] = []
        for instance, state, pause in told:
            setup.clock.jump(pause)
            setup.change(instance, state)
            everything.append([round(setup.clock.now(), 4), instance, state.value])
        ((_, story),) = parsed(story_of(setup))
    changes = [change[:3] for change in story["changes"]]
    young = [c for c in everything if c[0] >= everything[-1][0] - page_history.HISTORY_SECONDS]
    recent = young[-kept:]
    assert changes[len(changes) - len(recent) :] == recent
    before = everything[: len(everything) - len(recent)]
    last = {instance: [at, instance, state] for at, instance, state in before}
    living = [change for change in last.values() if change[2] != "gone"]
    assert sorted(changes[: len(changes) - len(recent)]) == sorted(living)
    assert [c[0] for c in changes] == sorted(c[0] for c in changes)
    began = 1000.0  # the clock, when the page was made
    last_lost = max((at for at, _, _ in before), default=began)
    assert story["kept_since"] == pytest.approx(last_lost, abs=1e-4)


@given(
    st.lists(st.tuples(st.floats(0, 0.2), st.sampled_from([THROTTLED, "ModelError"])), max_size=60)
)
def test_refused_requests_are_marks_that_are_not_closer_than_can_be_seen(
    told: list[tuple[float, str]],
) -> None:
    setup = Setup()
    answered = []
    for pause, error in told:
        setup.clock.jump(pause)
        setup.answer(instance=None, error=error, seconds=0.0)
        answered.append((round(setup.clock.now(), 4), error))
    ((_, story),) = parsed(story_of(setup))
    marks = [(at, error) for at, error in story["refused"]]
    assert set(marks) <= set(answered)
    for (a, one), (b, two) in itertools.pairwise(marks):
        assert one != two or b - a >= page_history.REFUSED_SECONDS
    for at, error in answered:
        assert any(e == error and 0 <= at - m < page_history.REFUSED_SECONDS for m, e in marks)


def story_of(setup: Setup) -> bytes:
    ((_, feed),) = setup.site._feeds.values()
    return feed.story()


def parsed(message: bytes) -> list[tuple[str, dict[str, Any]]]:
    browser = Browser(Setup().page)
    browser.body = message
    return browser.messages


@given(st.text(max_size=50), st.text(max_size=50))
def test_what_is_printed_cannot_break_out_of_its_message(detail: str, why: str) -> None:
    setup = Setup()
    record = setup.journal.begin(0.0)
    record.detail = detail
    setup.journal.end(record, 1.0)
    setup.journal.changed(InstanceChange(at=0, instance=1, state=InstanceState.STARTING, why=why))
    message = story_of(setup)
    assert message.isascii()
    assert re.fullmatch(rb"event: story\ndata: [^\r\n]+\n\n", message)
    ((_, story),) = parsed(message)
    assert story["requests"][0].get("detail", "") == detail
    assert story["changes"][0][4] == why


def get(path: str, query: bytes = b"", setup: Setup | None = None) -> Browser:
    setup = setup or Setup()

    async def ask() -> None:
        nonlocal browser
        async with browser:
            await browser.task

    browser = Browser(setup.page, path, query)
    asyncio.run(ask())
    return browser


def test_the_page_is_one_file_that_loads_nothing_and_runs_only_its_own_script() -> None:
    answer = get("/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    (script,) = re.findall(rb"<script>(.*?)</script>", answer.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert policy["script-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    text = answer.body.decode()
    assert re.findall(r"""(?:src|href)=["']?(?!data:,)[^"'\s>]+""", text) == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", text)
    assert not re.search(r"\son\w+=|\sstyle=", re.sub(r"(?s)<script>.*?</script>", "", text))
    assert len(answer.body) < 40_960


def test_the_log_of_one_instance_is_plain_text() -> None:
    setup = Setup()
    setup.book.kept = [
        Line(1, "<script>a</script>"),
        Line(2, "no"),
        Line(1, "b"),
        Line(1, "\ud800"),
    ]
    answer = get("/logs", b"instance=1", setup)
    assert (answer.status, answer.body) == (200, b"<script>a</script>\nb\n?\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert setup.book.collected == 1


def test_of_a_long_log_the_last_lines_are_shown() -> None:
    setup = Setup()
    setup.book.kept = [Line(1, str(n)) for n in range(5000)]
    lines = get("/logs", b"instance=1", setup).body.split()
    assert (len(lines), lines[-1]) == (page.SHOWN_LINES, b"4999")


@given(st.binary(max_size=20))
def test_a_query_that_names_no_instance_is_refused_not_an_error(query: bytes) -> None:
    answer = get("/logs", query)
    if not re.fullmatch(rb"instance=[0-9]{1,9}", query):
        assert answer.status in (200, 400)


@pytest.mark.parametrize(
    "query", [b"", b"instance=", b"instance=x", b"instance=-1", b"instance=1e9"]
)
def test_an_instance_is_a_number(query: bytes) -> None:
    answer = get("/logs", query)
    assert (answer.status, b"/logs?instance=1" in answer.body) == (400, True)


def test_the_log_of_an_endpoint_that_does_not_run_is_not_found() -> None:
    answer = get("/logs", b"instance=1&endpoint=wine")
    assert (answer.status, answer.body) == (404, b"No such endpoint runs here.\n")


@pytest.mark.parametrize(
    ("method", "path", "ours"),
    [
        ("GET", "/", True),
        ("HEAD", "/", True),
        ("GET", "/events", True),
        ("GET", "/logs", True),
        ("POST", "/", False),  # of AWS's query protocol
        ("GET", "/endpoints/iris/invocations", False),
        ("GET", "/page.html", False),
    ],
)
def test_the_page_takes_its_own_paths_only(method: str, path: str, ours: bool) -> None:
    assert page.matches({"method": method, "path": path}) is ours


def test_metrics_are_told_as_they_are_at_each_message() -> None:
    values = iter(range(10))
    setup = Setup(metrics=lambda: [("Invocations", "None", "Sum", float(next(values)))])
    ((_, one),) = parsed(story_of(setup))
    ((_, two),) = parsed(story_of(setup))
    assert one["metrics"] == [["Invocations", "None", "Sum", 0.0]]
    assert two["metrics"] == [["Invocations", "None", "Sum", 1.0]]


# Several endpoints, and none


def test_without_an_endpoint_a_tab_is_told_what_to_export_and_that_nothing_runs() -> None:
    world = World()

    async def scenario() -> None:
        async with Browser(world.page) as tab:
            await world.clock.sleep(1)
            assert [event for event, _ in tab.everything] == ["fleet", "nothing"]
            assert tab.fleet["environment"] == ENVIRONMENT
            assert (tab.fleet["endpoints"], tab.fleet["calls"]) == ([], [])
            await world.clock.sleep(15)
            assert [event for event, _ in tab.everything[2:]] == ["fleet"], "that we live"
            world.begin("iris")
            await world.clock.sleep(1)
            event, story = tab.messages[-1]
            assert (event, story["endpoint"]) == ("story", "iris")

    world.run(scenario())


def test_a_tab_keeps_its_endpoint_until_that_is_gone_and_then_sees_the_next() -> None:
    world = World()

    async def scenario() -> None:
        wine = world.begin("wine")
        async with Browser(world.page) as tab:
            await world.clock.sleep(1)
            iris = world.begin("iris")
            await world.clock.sleep(1)
            assert [told.get("endpoint") for _, told in tab.messages] == ["wine"]
            assert [one["name"] for one in tab.fleet["endpoints"]] == ["wine", "iris"]
            world.site.remove(wine)
            await world.clock.sleep(1)
            assert [told.get("endpoint") for _, told in tab.messages] == ["wine", "iris"]
            wine.endpoint.journal.end(wine.endpoint.journal.begin(0.0), 1.0)  # nobody listens
            world.site.remove(iris)
            await world.clock.sleep(1)
            assert tab.messages[-1] == ("nothing", {})
            assert tab.fleet["endpoints"] == []

    world.run(scenario())


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        (b"", "wine/AllTraffic/us-east-1"),
        (b"endpoint=iris", "iris/a/us-east-1"),
        (b"endpoint=iris&variant=b", "iris/b/us-east-1"),
        (b"endpoint=iris&region=eu-west-1", "iris/a/eu-west-1"),
        (b"endpoint=gone", ""),
        (b"endpoint=iris&variant=c", ""),
    ],
)
def test_a_tab_sees_what_it_asks_for(query: bytes, seen: str) -> None:
    world = World()
    world.begin("wine")
    for region in ("us-east-1", "eu-west-1"):
        for variant in ("a", "b"):
            world.begin("iris", variant=variant, region=region)

    async def scenario() -> None:
        async with Browser(world.page, query=query) as tab:
            await world.clock.sleep(1)
            ((event, told),) = tab.messages
            assert event == ("story" if seen else "nothing")
            if seen:
                about = told["about"]
                assert f"{told['endpoint']}/{about['variant']}/{about['region']}" == seen
            listed = tab.fleet["endpoints"]
            assert [(one["name"], one["region"], one["variants"]) for one in listed] == [
                ("wine", "us-east-1", ["AllTraffic"]), ("iris", "us-east-1", ["a", "b"]),
                ("iris", "eu-west-1", ["a", "b"]),
            ]  # fmt: skip

    world.run(scenario())


def test_each_tab_hears_of_its_own_endpoint_only() -> None:
    world = World()

    async def scenario() -> None:
        both = {name: world.begin(name) for name in ("iris", "wine")}
        async with (
            Browser(world.page, query=b"endpoint=iris") as one,
            Browser(world.page, query=b"endpoint=wine") as other,
        ):
            await world.clock.sleep(1)
            journal = both["wine"].endpoint.journal
            journal.end(journal.begin(0.0), 1.0)
            await world.clock.sleep(1)
            assert [event for event, _ in one.messages] == ["story"]
            assert [event for event, _ in other.messages] == ["story", "news"]

    world.run(scenario())


def test_the_log_is_that_of_the_endpoint_that_is_asked_for() -> None:
    world = World()
    for name in ("iris", "wine"):
        book: Any = world.begin(name).endpoint.logs
        book.kept = [Line(1, f"of {name}")]
    for query, text in ((b"instance=1", b"of iris\n"), (b"instance=1&endpoint=wine", b"of wine\n")):
        answer = Browser(world.page, "/logs", query)

        async def ask(asking: Browser = answer) -> None:
            async with asking:
                await asking.task

        asyncio.run(ask())
        assert (answer.status, answer.body) == (200, text)


def test_a_change_of_status_is_told_at_once_in_the_list_and_in_the_view() -> None:
    world = World()

    async def scenario() -> None:
        world.begin("iris")
        async with Browser(world.page) as tab:
            await world.clock.sleep(1)
            world.status("iris", EndpointStatus.UPDATING)
            world.status("wine", EndpointStatus.FAILED, "no image")
            await world.clock.sleep(0.3)
            event, news = tab.messages[-1]
            assert (event, news["status"]) == ("news", "Updating")
            told = {one["name"]: one for one in tab.fleet["endpoints"]}
            assert told["iris"]["status"] == "Updating"
            wine = told["wine"]
            assert (wine["status"], wine["failure_reason"], wine["variants"]) == (
                "Failed", "no image", [],
            )  # fmt: skip
            world.status("wine", None)
            await world.clock.sleep(0.3)
            assert [one["name"] for one in tab.fleet["endpoints"]] == ["iris"]

    world.run(scenario())


def test_an_update_in_place_tells_the_story_again_with_its_new_setup() -> None:
    world = World()

    async def scenario() -> None:
        first = world.begin("iris")
        async with Browser(world.page) as tab:
            await world.clock.sleep(1)
            again = dataclasses.replace(first, setup=EndpointSetup(image="model:2", name="iris"))
            world.site.add(again)
            await world.clock.sleep(1)
            assert [told["about"]["image"] for _, told in tab.messages] == ["model:1", "model:2"]
            assert len(first.endpoint.journal.listeners) == 2, "the board and one feed"

    world.run(scenario())


def test_both_versions_of_an_update_are_one_endpoint_and_the_old_is_seen_until_it_is_gone() -> None:
    world = World()

    async def scenario() -> None:
        blue = world.begin("iris", image="model:1")
        async with Browser(world.page) as tab:
            await world.clock.sleep(1)
            world.begin("iris", image="model:2")
            await world.clock.sleep(1)
            assert [one["variants"] for one in tab.fleet["endpoints"]] == [["AllTraffic"]]
            world.site.remove(blue)
            await world.clock.sleep(1)
            assert [told["about"]["image"] for _, told in tab.messages] == ["model:1", "model:2"]

    world.run(scenario())


def test_deploy_calls_are_told_with_what_to_change_and_the_last_are_kept() -> None:
    world = World()

    async def scenario() -> None:
        async with Browser(world.page) as tab:
            await world.clock.sleep(1)
            for number in range(page_fleet.SHOWN_CALLS + 5):
                world.fleet.called(
                    CallTold(
                        operation="CreateModel", resource=f"m{number}", region="us-east-1",
                        refused=True, code="ValidationException", message="no", change="do that",
                    )
                )  # fmt: skip
            await world.clock.sleep(1)
            assert len([event for event, _ in tab.everything if event == "fleet"]) == 2
            calls = tab.fleet["calls"]
            assert [call["resource"] for call in calls] == [f"m{n}" for n in range(5, 35)]
            told = calls[-1]
            assert (told["operation"], told["refused"], told["code"]) == (
                "CreateModel", True, "ValidationException",
            )  # fmt: skip
            assert (told["message"], told["change"]) == ("no", "do that")

    world.run(scenario())


def test_an_image_is_shown_as_it_was_ordered_when_the_engine_knows_its_id_only() -> None:
    """What was pushed to a registry, or found by its digest, has no other name in the engine."""
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1"
    by_id = dataclasses.replace(running(Driver(), image="sha256:0123"), ordered=uri)
    assert by_id.image == uri
    assert dataclasses.replace(by_id, setup=EndpointSetup(image="model:1")).image == "model:1"
    assert dataclasses.replace(by_id, ordered="").image == "sha256:0123"


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_a_caller_named_cannot_break_out_of_the_list(name: str, message: str) -> None:
    world = World()
    world.fleet.called(
        CallTold(operation="CreateModel", resource=name, region="us-east-1", message=message)
    )
    told = world.site.message()
    assert re.fullmatch(rb"event: fleet\ndata: [^\r\n]+\n\n", told)
    assert told.isascii()


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4))
def test_any_choice_finds_what_it_fits_or_nothing(asked: dict[str, str]) -> None:
    one = running(Driver())
    names = {"endpoint": "iris", "variant": "AllTraffic", "region": "us-east-1"}
    given = {name: asked.get(name, "") for name in names}
    assert Choice(**given).fits(one) == all(given[n] in ("", names[n]) for n in names)
