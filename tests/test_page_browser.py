"""Owns: what a real browser makes of the page: that it follows an endpoint live, comes back, fits a
phone, and executes nothing that a container or a caller printed.

The endpoint is a journal that the test writes; everything from the HTTP server on is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from emulator.api.front import Mount
from emulator.api.page import Page as Application
from emulator.api.page import matches
from emulator.api.page_site import Site as Pages
from emulator.api.server import RuntimeServer
from emulator.clock import SystemClock
from emulator.endpoint_setup import Setup
from emulator.endpoint_state import EndpointStatus, InstanceChange, InstanceState, Journal
from emulator.metrics import Recorder
from emulator.running import CallTold, EndpointTold, Fleet, Running
from emulator.view import THROTTLED, Board

pytestmark = pytest.mark.browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""None: the one that `playwright install chromium` has put in its place."""

LIMIT = 4
EVIL = "<script>window.evil=1</script><img src=x onerror='window.evil=2'><b>bold</b>"


@dataclass(frozen=True)
class Line:
    instance: int
    text: str


@dataclass
class Book:
    kept: list[Line] = field(default_factory=list)

    async def collect(self) -> None:
        pass

    def lines(self, after: int = 0) -> list[Line]:
        return self.kept[after:]


@dataclass
class Driver:
    """An endpoint's driver, as far as the page looks at it."""

    status: EndpointStatus = EndpointStatus.IN_SERVICE
    failure_reason: str = ""
    journal: Journal = field(default_factory=Journal)
    logs: Book = field(default_factory=Book)


class Site:
    """The page of a fleet, served in a thread; what it is told happens on its loop. It begins with
    one endpoint, unless it is to have none.
    """

    def __init__(self, port: int = 0, *names: str, profile: Any = "serverless") -> None:
        self.clock, self.fleet = SystemClock(), Fleet()
        self.running: dict[str, Running] = {}
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()
        assert self._up.wait(10), "the server did not start within 10 s"
        for name in names:
            self.begin(name, profile=profile)

    @property
    def shown(self) -> Driver:
        """The first endpoint's."""
        driver: Any = next(iter(self.running.values())).endpoint
        assert isinstance(driver, Driver)
        return driver

    @property
    def journal(self) -> Journal:
        return self.shown.journal

    @property
    def book(self) -> Book:
        return self.shown.logs

    def begin(self, name: str, **more: Any) -> None:
        variant = more.pop("variant", "AllTraffic")
        given = {"profile": "serverless", "image": "model:1", "region": "us-east-1", **more}
        driver: Any = Driver()

        def work() -> None:
            running = Running(
                region=given["region"], endpoint_name=name, variant=variant, endpoint=driver,
                setup=Setup(image=given["image"], name=name, profile=given["profile"]),
                board=Board(driver.journal, max_concurrency=LIMIT, memory_limit_bytes=2**31),
            )  # fmt: skip
            recorder = Recorder(
                driver.journal, endpoint=name, variant=variant, max_concurrency=lambda: LIMIT,
                provisioned=lambda: 0, memory_limit_bytes=2**31,
            )  # fmt: skip
            self.running[f"{name}/{variant}"] = running
            self.pages.add(running, recorder.rows)

        self.do(work)

    def end(self, name: str, variant: str = "AllTraffic") -> None:
        self.do(lambda: self.pages.remove(self.running.pop(f"{name}/{variant}")))

    def status(self, name: str, status: EndpointStatus | None, reason: str = "") -> None:
        told = EndpointTold(region="us-east-1", name=name, status=status, failure_reason=reason)
        self.do(lambda: self.fleet.status(told))

    def called(self, operation: str, resource: str, **more: Any) -> None:
        told = CallTold(operation=operation, resource=resource, region="us-east-1", **more)
        self.do(lambda: self.fleet.called(told))

    def _run(self, port: int) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve(port))

    async def _serve(self, port: int) -> None:
        self.pages = Pages(
            self.fleet, clock=self.clock, environment=lambda: {"AWS_ENDPOINT_URL": self.url}
        )
        page = Application(self.pages)
        server = RuntimeServer({}, mounts=[Mount(matches=matches, app=page)])
        self.url = await server.start(port)
        self.port = int(self.url.rpartition(":")[2])
        self._stop = asyncio.Event()
        self._up.set()
        await self._stop.wait()
        page.close()
        await server.close()

    def do(self, work: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def close(self) -> None:
        self.do(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    # -- what the endpoint does

    def change(
        self, instance: int, state: InstanceState, request: int | None = None, ago: float = 0.0
    ) -> None:
        def work() -> None:
            self.journal.changed(
                InstanceChange(
                    at=self.clock.now() - ago, instance=instance, state=state, request=request,
                    container=f"{instance:012x}",
                )
            )  # fmt: skip

        self.do(work)

    def answer(
        self,
        instance: int | None = 1,
        *,
        seconds: float = 0.05,
        error: str = "",
        detail: str = "",
        setup_seconds: float = 0.0,
    ) -> None:
        def work() -> None:
            now = self.clock.now()
            record = self.journal.begin(now - seconds)
            record.instance, record.error, record.detail = instance, error, detail
            record.model_seconds = seconds if instance else 0.0
            record.setup_seconds, record.cold = setup_seconds, setup_seconds > 0
            record.memory_bytes = 512 * 2**20 if instance else None
            self.journal.end(record, now)

        self.do(work)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(0, "iris")
    yield site
    site.close()


@pytest.fixture
def none() -> Iterator[Site]:
    """Without an endpoint."""
    site = Site()
    yield site
    site.close()


@dataclass
class Watched:
    """A tab, and everything that went wrong in it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self, name: str, words: str | re.Pattern[str]) -> None:
        expect(self.page.locator(f"#{name}")).to_have_text(words, timeout=10_000)

    def timeline(self, words: str) -> None:
        label = re.compile(re.escape(words))
        expect(self.page.locator("#time")).to_have_attribute("aria-label", label, timeout=10_000)


@pytest.fixture
def opened(chromium: Browser, site: Site) -> Iterator[Watched]:
    with opened_at(chromium, site.url) as watched:
        yield watched


@contextlib.contextmanager
def opened_at(browser: Browser, url: str, **options: Any) -> Iterator[Watched]:
    context = browser.new_context(**options)
    page = context.new_page()
    watched = Watched(page)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on(
        "console", lambda said: watched.errors.append(said.text) if said.type == "error" else None
    )
    page.on("request", lambda request: watched.requests.append(request.url))
    page.goto(url)
    expect(page.locator("#status")).not_to_have_text("connecting", timeout=10_000)
    yield watched
    context.close()


def test_it_loads_without_an_error_and_asks_only_its_own_server(
    site: Site, opened: Watched
) -> None:
    opened.text("status", "InService")
    opened.text("concurrency", f"0 / {LIMIT}")
    opened.text("export", f"export AWS_ENDPOINT_URL={site.url}")
    expect(opened.page.locator("#facts")).to_contain_text("model:1 · serverless · 2048 MB")
    assert opened.errors == []
    assert {url for url in opened.requests if not url.startswith("data:")} == {
        f"{site.url}/", f"{site.url}/events",
    }  # fmt: skip


def test_before_the_first_request_it_shows_the_line_that_makes_one(
    site: Site, opened: Watched
) -> None:
    opened.text("curl", re.compile(rf"^curl {site.url}/endpoints/iris/invocations "))
    expect(opened.page.locator("#first")).to_be_visible()
    site.answer()
    expect(opened.page.locator("#first")).to_be_hidden()


def test_while_it_is_created_it_says_what_is_waited_for(site: Site, opened: Watched) -> None:
    site.shown.status = EndpointStatus.CREATING
    site.do(
        lambda: site.journal.changed(
            InstanceChange(
                at=site.clock.now(), instance=1, state=InstanceState.STARTING, why="503 loading"
            )
        )
    )
    opened.text("status", "Creating")
    opened.text("why", re.compile("^No request yet: the first instance must be ready"))
    expect(opened.page.locator("#curl")).to_be_hidden()
    expect(opened.page.locator("#instances tr")).to_contain_text("503 loading")


def test_a_real_time_endpoint_has_requests_in_flight_and_no_limit(
    chromium: Browser, none: Site
) -> None:
    site = none
    site.begin("iris", profile="realtime")
    site.change(1, InstanceState.BUSY, 1)
    site.do(lambda: [site.journal.begin(site.clock.now()) for _ in range(7)])
    with opened_at(chromium, site.url) as watched:
        watched.text("concurrency", "7")
        watched.timeline("1 instances")
        assert painted(watched.page, "head", "bad") == 0


def test_an_instance_goes_through_its_states(site: Site, opened: Watched) -> None:
    state = opened.page.locator("#instances tr td:nth-child(2)")
    for told in (
        InstanceState.STARTING, InstanceState.IDLE, InstanceState.BUSY, InstanceState.FROZEN,
    ):  # fmt: skip
        request = 1 if told in (InstanceState.STARTING, InstanceState.BUSY) else None
        site.change(1, told, request)
        expect(state).to_have_text(re.compile(rf"^{told.value} for \d+ s$"), timeout=10_000)
        opened.text("concurrency", f"{0 if request is None else 1} / {LIMIT}")
        opened.timeline("1 instances")
    site.change(1, InstanceState.GONE)
    expect(opened.page.locator("#noinstance")).to_be_visible(timeout=10_000)
    opened.text("states", "no instance")
    opened.timeline("1 instances")  # it is still to be seen on the timeline


def test_requests_cold_starts_throttles_and_errors_are_told_as_they_happen(
    site: Site, opened: Watched
) -> None:
    site.change(1, InstanceState.IDLE)
    site.answer(1, seconds=2.5, setup_seconds=2.0)
    site.answer(1)
    site.answer(None, error=THROTTLED, seconds=0.0)
    site.answer(1, error="ModelError", detail="the container answered 500")
    opened.timeline("1 instances, 3 requests, 1 cold starts, 1 throttles, 1 errors")
    for name, words in (
        ("invocations", "4"), ("cold", "1"), ("throttles", "1"), ("errors", "1"),
        ("codes", "ModelError 1"),
    ):  # fmt: skip
        opened.text(name, words)
    expect(opened.page.locator("#latency tr").first).to_contain_text("model")
    metric = {
        row.split("\t")[0]: row.split("\t")[1:]
        for row in reversed(opened.page.locator("#metrics tr").all_inner_texts())
    }
    assert metric["Invocations"] == ["Sum", "3", "None"]
    assert metric["ModelLatency"][::2] == ["Average", "Microseconds"]
    assert metric["MemoryUtilization"] == ["Maximum", "25", "Percent"]
    assert not [name for name in metric if "Provisioned" in name]
    rows = opened.page.locator("#requests tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("ModelError")
    expect(rows.nth(1)).to_contain_text(THROTTLED)
    expect(rows.nth(3)).to_contain_text("2.00 s")
    opened.page.select_option("#which", "cold")
    expect(rows).to_have_count(1)


def painted(page: Page, canvas: str, color: str) -> int:
    """How many points of a drawing have one of the page's colors, give or take."""
    return int(
        page.evaluate(
            """([name, wanted]) => {
                draw();
                const sheet = document.getElementById(name), { width, height } = sheet;
                const { data } = sheet.getContext("2d").getImageData(0, 0, width, height);
                const [r, g, b] = color[wanted].match(/\\w\\w/g).map((hex) => parseInt(hex, 16));
                let n = 0;
                for (let i = 0; i < data.length; i += 4)
                    n += data[i + 3] > 200 && Math.abs(data[i] - r) < 9
                        && Math.abs(data[i + 1] - g) < 9 && Math.abs(data[i + 2] - b) < 9;
                return n;
            }""",
            [canvas, color],
        )
    )


def test_throttles_errors_and_cold_starts_are_marked(site: Site, opened: Watched) -> None:
    page = opened.page
    site.change(1, InstanceState.IDLE)
    site.answer(1)
    opened.timeline("1 requests")
    limit = painted(page, "head", "bad")  # the line of the limit has the same color
    assert painted(page, "time", "bad") == painted(page, "time", "start") == 0
    assert painted(page, "time", "busy") > 0
    site.answer(None, error=THROTTLED, seconds=0.0)
    opened.timeline("1 throttles, 0 errors")
    assert painted(page, "head", "bad") > limit
    assert painted(page, "time", "bad") == 0
    site.answer(1, error="ModelError")
    opened.timeline("1 errors")
    assert painted(page, "time", "bad") > 0
    site.answer(1, seconds=0.5, setup_seconds=0.4)
    opened.timeline("1 cold starts")
    assert painted(page, "time", "start") > 0


PAINTED = ("start", "idle", "open", "frozen")


@pytest.mark.parametrize(
    ("state", "color"),
    [
        (InstanceState.STARTING, "start"),
        (InstanceState.IDLE, "idle"),
        (InstanceState.BUSY, "open"),
        (InstanceState.FROZEN, "frozen"),
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_state_has_its_color_on_the_lane(
    chromium: Browser, site: Site, state: InstanceState, color: str, scheme: str
) -> None:
    request = 1 if state in (InstanceState.STARTING, InstanceState.BUSY) else None
    site.change(1, state, request, ago=2)
    with opened_at(chromium, site.url, color_scheme=scheme) as watched:
        watched.timeline("1 instances")
        seen = {name: painted(watched.page, "time", name) for name in PAINTED}
        assert seen.pop(color) > 10 * max(seen.values()), seen  # edges are mixed colors


def test_nothing_that_was_printed_is_executed(site: Site, opened: Watched) -> None:
    site.shown.failure_reason = EVIL
    site.change(1, InstanceState.IDLE)
    site.book.kept = [Line(1, EVIL)]
    site.answer(1, error=EVIL, detail=EVIL)
    page = opened.page
    expect(page.locator("#requests tr")).to_contain_text("<script>")
    page.locator("#requests button").click()
    expect(page.locator("#detail")).to_contain_text(EVIL)
    page.select_option("#whose", "1")
    expect(page.locator("#log")).to_have_text(f"{EVIL}\n", use_inner_text=True)
    expect(page.locator("#reason")).to_have_text(EVIL)
    page.locator("#time").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tip")).to_contain_text("<script>")
    assert page.evaluate("window.evil") is None
    assert page.locator("main b, main img, main script").count() == 5  # the five totals' numbers
    assert opened.errors == []
    # Even if it were HTML: the policy of the page forbids it.
    page.evaluate("document.body.append(document.createElement('p'))")
    with contextlib.suppress(Exception):
        page.evaluate(f"document.body.lastChild.innerHTML = {EVIL!r}")
    page.wait_for_timeout(100)
    assert page.evaluate("window.evil") is None


def test_it_says_that_the_connection_is_lost_and_comes_back_to_a_new_server(
    chromium: Browser,
) -> None:
    first = Site(0, "iris")
    with opened_at(chromium, first.url) as watched:
        first.answer()
        watched.text("invocations", "1")
        first.close()
        expect(watched.page.locator("#lost")).to_be_visible(timeout=10_000)
        second = Site(first.port, "iris")
        try:
            expect(watched.page.locator("#lost")).to_be_hidden(timeout=15_000)
            watched.text("invocations", "0")  # it is another endpoint's story now
            second.answer()
            watched.text("invocations", "1")
        finally:
            second.close()


def test_a_page_opened_later_knows_how_many_requests_there_were_a_second(
    chromium: Browser, site: Site
) -> None:
    for _ in range(5):
        site.answer()
    with opened_at(chromium, site.url) as watched:
        watched.text("rate", "0.5 a second")  # over ten seconds


def test_two_tabs_are_told_the_same(chromium: Browser, site: Site, opened: Watched) -> None:
    with opened_at(chromium, site.url) as other:
        site.answer()
        for tab in (opened, other):
            tab.text("invocations", "1")
        assert site.do(lambda: site.pages.tabs) == 2
    site.answer()
    opened.text("invocations", "2")
    assert site.do(lambda: site.pages.tabs) == 1


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(
    chromium: Browser, none: Site, width: int, height: int, scheme: str
) -> None:
    site = none
    site.begin("n" * 63, image="i" * 255)
    site.shown.failure_reason = "r" * 500
    for number in range(20):
        site.status(f"{'m' * 60}{number}", EndpointStatus.FAILED, "r" * 500)
        site.called("CreateEndpointConfig", "c" * 63, refused=number % 2 == 1, message="w" * 300)
    for number in range(1, 30):
        site.change(number, InstanceState.BUSY, number)
        site.answer(number, error="InternalDependencyException", detail="y" * 300)
        site.answer(None, error="e" * 60)
    size = {"width": width, "height": height}
    with opened_at(chromium, site.url, viewport=size, color_scheme=scheme) as watched:
        page = watched.page
        expect(page.locator("#requests tr")).to_have_count(58)
        page.locator("#requests button").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        wide = page.evaluate(
            """() => [...document.querySelectorAll("header *, main *")].filter((node) => {
                const box = node.getBoundingClientRect();
                return box.width && box.right > innerWidth + 1 && !node.closest(".scroll, #export");
            }).map((node) => node.outerHTML.slice(0, 80))"""
        )
        assert wide == []


def test_it_is_used_by_keyboard_alone(site: Site, opened: Watched) -> None:
    site.change(1, InstanceState.IDLE)
    site.answer(1, seconds=0.25)
    site.answer(1, seconds=0.75)
    opened.timeline("2 requests")
    page = opened.page
    page.locator("#time").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tip")).to_contain_text("request 2: 750 ms")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tip")).to_contain_text("request 1: 250 ms")
    expect(page.locator("#detail")).to_contain_text("Model latency")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    page.locator("#requests button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    page.locator("#pause").focus()
    page.keyboard.press("Space")
    expect(page.locator("#pause")).to_have_text("Follow now")


def test_pausing_holds_the_picture_and_the_window_can_be_chosen(
    site: Site, opened: Watched
) -> None:
    page = opened.page
    page.get_by_role("button", name="Pause").click()
    before = page.evaluate("shownNow()")
    site.change(1, InstanceState.IDLE)
    site.answer(1)
    opened.text("invocations", "1")  # the numbers go on
    assert page.evaluate("shownNow()") == before
    page.get_by_role("button", name="Follow now").click()
    assert page.evaluate("shownNow()") > before
    page.get_by_role("button", name="15 min").click()
    opened.timeline("in 15 min")


def test_pointing_at_a_request_tells_how_long_it_took(site: Site, opened: Watched) -> None:
    site.change(1, InstanceState.IDLE)
    site.answer(1, seconds=5.0)
    opened.timeline("1 requests")
    page = opened.page
    page.get_by_role("button", name="Pause").click()
    box = page.locator("#time").bounding_box()
    assert box is not None
    x = page.evaluate("axis($('time').clientWidth).x(requests[0].arrived + 2)")
    page.mouse.move(box["x"] + x, box["y"] + 10)
    expect(page.locator("#tip")).to_contain_text("request 1: 5.00 s")


def test_two_hundred_instances_and_a_thousand_requests_stay_smooth(
    site: Site, opened: Watched
) -> None:
    def flood() -> None:
        now = site.clock.now()
        for number in range(1000):
            instance, at = number % 200 + 1, now - 50 + number * 0.05
            for state, when in ((InstanceState.BUSY, at), (InstanceState.IDLE, at + 2)):
                site.journal.changed(
                    InstanceChange(
                        at=when, instance=instance, state=state,
                        request=number if state is InstanceState.BUSY else None,
                    )
                )  # fmt: skip
            record = site.journal.begin(at)
            record.instance, record.model_seconds = instance, 1.9
            site.journal.end(record, at + 2)

    site.do(flood)
    opened.timeline("200 instances")
    opened.page.reload()
    opened.timeline("200 instances, 1000 requests")
    best = opened.page.evaluate(
        """() => Math.min(...[1, 2, 3, 4, 5].map(() => {
            const began = performance.now();
            draw();
            return performance.now() - began;
        }))"""
    )
    assert best < 33, f"drawing takes {best:.1f} ms; 33 would be thirty pictures a second"
    assert opened.errors == []


# Several endpoints, and none


def test_without_an_endpoint_it_says_what_to_do_and_shows_the_first_that_comes(
    chromium: Browser, none: Site
) -> None:
    with opened_at(chromium, none.url) as watched:
        watched.text("status", "waiting for deploy calls")
        watched.text("export", f"export AWS_ENDPOINT_URL={none.url}")
        watched.text("what", "No endpoint yet.")
        expect(watched.page.locator("#list")).to_be_hidden()
        expect(watched.page.locator("#time")).to_be_hidden()
        none.begin("iris")
        watched.text("name", "iris")
        expect(watched.page.locator("#time")).to_be_visible()
        expect(watched.page.locator("#empty")).to_be_hidden()
        expect(watched.page.locator("#list")).to_be_hidden()
        none.end("iris")
        watched.text("status", "waiting for deploy calls")
        expect(watched.page.locator("#empty")).to_be_visible()
        assert watched.errors == []


def test_an_endpoint_that_failed_is_shown_with_its_reason(chromium: Browser, none: Site) -> None:
    none.status("iris", EndpointStatus.FAILED, EVIL)
    with opened_at(chromium, none.url) as watched:
        watched.text("name", "iris")
        watched.text("status", "Failed")
        watched.text("reason", EVIL)
        watched.text("what", "No instance of iris runs.")
        assert watched.page.evaluate("window.evil") is None


def test_several_endpoints_are_a_list_from_which_one_is_chosen(
    chromium: Browser, site: Site
) -> None:
    site.begin("wine", image="model:2")
    site.status("wine", EndpointStatus.UPDATING)
    site.begin("two", variant="a")
    site.begin("two", variant="b", image="model:b")
    with opened_at(chromium, site.url) as watched:
        page = watched.page
        links = page.locator("#list a")
        expect(links).to_have_text(
            ["wine Updating", "iris InService", "two / a InService", "two / b InService"]
        )
        watched.text("name", "iris")
        expect(page.locator("#list [aria-current]")).to_have_text("iris InService")
        links.nth(0).click()
        watched.text("name", "wine")
        assert page.url == f"{site.url}/?endpoint=wine"
        watched.text("status", "Updating")
        expect(page.locator("#facts")).to_contain_text("model:2")
        links.nth(3).click()
        expect(page.locator("#facts")).to_contain_text("model:b")
        expect(page.locator("#list [aria-current]")).to_have_text("two / b InService")
        assert watched.errors == []


def test_what_is_chosen_stays_while_others_come_and_go_and_comes_back(
    chromium: Browser, site: Site
) -> None:
    site.begin("wine")
    with opened_at(chromium, f"{site.url}/?endpoint=wine") as watched:
        watched.text("name", "wine")
        site.end("iris")
        expect(watched.page.locator("#list a")).to_have_count(1)
        site.begin("beer")
        expect(watched.page.locator("#list a")).to_have_text(["wine InService", "beer InService"])
        watched.text("name", "wine")
        site.end("wine")
        watched.text("what", "There is no endpoint wine.")
        watched.text("status", "not here")
        expect(watched.page.locator("#list a")).to_have_text(["beer InService"])
        site.begin("wine")
        expect(watched.page.locator("#empty")).to_be_hidden(timeout=10_000)
        watched.text("status", "InService")
        assert watched.errors == []


def test_regions_are_told_apart(chromium: Browser, site: Site) -> None:
    site.begin("iris", region="eu-west-1", image="model:eu")
    with opened_at(chromium, site.url) as watched:
        links = watched.page.locator("#list a")
        expect(links).to_have_text(["iris (us-east-1) InService", "iris (eu-west-1) InService"])
        links.nth(1).click()
        expect(watched.page.locator("#facts")).to_contain_text("model:eu")
        assert watched.errors == []


def test_deploy_calls_are_listed_with_what_to_change(chromium: Browser, none: Site) -> None:
    with opened_at(chromium, none.url) as watched:
        expect(watched.page.locator("#calls")).to_be_hidden()
        none.called("CreateModel", "iris", by="cloudformation", ignored=("Tags",))
        none.called(
            "CreateEndpointConfig", EVIL, refused=True, code="ValidationException",
            message="1 validation error detected", change="Set MemorySizeInMB to 2048.",
        )  # fmt: skip
        rows = watched.page.locator("#called tr")
        expect(rows).to_have_count(2, timeout=10_000)
        expect(rows.nth(0)).to_contain_text(f"CreateEndpointConfig\t{EVIL}", use_inner_text=True)
        expect(rows.nth(0)).to_contain_text(
            "refused: ValidationException: 1 validation error detected\n"
            "\N{RIGHTWARDS ARROW} Set MemorySizeInMB to 2048.",
            use_inner_text=True,
        )
        expect(rows.nth(1)).to_contain_text("CreateModel (cloudformation)")
        expect(rows.nth(1)).to_contain_text("accepted; has no effect: Tags")
        assert watched.page.evaluate("window.evil") is None


def test_the_log_is_that_of_the_chosen_endpoint(chromium: Browser, site: Site) -> None:
    site.begin("wine")
    for name in ("iris", "wine"):
        running = site.running[f"{name}/AllTraffic"]
        book: Any = running.endpoint.logs
        book.kept = [Line(1, f"of {name}")]
        change = InstanceChange(at=site.clock.now(), instance=1, state=InstanceState.IDLE)
        site.do(lambda journal=running.endpoint.journal, told=change: journal.changed(told))
    with opened_at(chromium, f"{site.url}/?endpoint=wine") as watched:
        watched.page.get_by_role("button", name="Log of instance 1").click()
        expect(watched.page.locator("#log")).to_have_text("of wine\n", use_inner_text=True)
