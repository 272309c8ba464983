"""Owns: what a real browser makes of the report: it fits a phone, filters, and runs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from contract_tests.html_report import page
from tests.test_html_report import EVIL, full
from tests.test_report import RESULT

pytestmark = pytest.mark.browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    long = replace(RESULT, id="long", actual="x" * 900 + EVIL, log_tail="y" * 900)
    passed = replace(RESULT, id="passed", verdict="pass", chapter="image")
    path = tmp_path_factory.mktemp("report") / "r.html"
    path.write_text(page([full(long, passed)]), encoding="utf-8")
    return path


def opened(browser: Browser, path: Path, **options: Any) -> tuple[Any, list[str]]:
    shown, said = browser.new_page(**options), []
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("console", lambda line: said.append(line.text))
    shown.on("request", lambda asked: said.append(asked.url) if "file:" not in asked.url else None)
    shown.goto(path.as_uri())
    return shown, [line for line in said if not line.startswith("data:")]


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window_and_says_nothing_to_the_console(
    width: int, chromium: Browser, report: Path
) -> None:
    shown, said = opened(chromium, report, viewport={"width": width, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("window.evil") is None
    assert said == []
    shown.close()


def test_the_filter_hides_a_verdict_with_the_chapters_that_have_no_other(
    chromium: Browser, report: Path
) -> None:
    shown, _ = opened(chromium, report)
    headings = shown.locator("section.chapter > h2:visible")
    assert headings.all_inner_texts() == ["image", "ping"]
    shown.get_by_text("pass 1").click()
    assert headings.all_inner_texts() == ["ping"]
    assert shown.locator("details.check:visible").count() == 1
    shown.get_by_text("pass 1").click()
    assert shown.locator("details.check:visible").count() == 2
    shown.close()


def test_it_follows_the_systems_colours(chromium: Browser, report: Path) -> None:
    grounds = set()
    for scheme in ("dark", "light"):
        shown, _ = opened(chromium, report, color_scheme=scheme)
        grounds.add(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
        shown.close()
    assert len(grounds) == 2
