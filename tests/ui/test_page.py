"""The page in a real browser: lists, graph, timeline, what is live, and what is hostile."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ui import shop
from tests.ui.serving import browser, served

import weftrun

pytestmark = pytest.mark.sweep
_WIDE = """[...document.querySelectorAll('*')]
    .filter(found => found.getBoundingClientRect().right > 361).map(found => found.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    opened = chromium.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert not errors


def test_runs_are_listed_and_one_is_shown(page: Any, url: str) -> None:
    with weftrun.open(url) as engine:
        assert engine.run(shop.report.options(id="r1"), ["Rome", "Oslo"]) == 24
        with pytest.raises(ValueError, match="odd"):
            engine.run(shop.audit.options(id="a3"), 3)
        with served(url) as there:
            page.goto(there.address)
            page.get_by_role("link", name="r1").click()
            for step in ("fetch[0] × 2", "total[0]", "total[2]"):
                page.locator("svg .node", has_text=step).wait_for()
            assert page.locator("svg .edge").count() == 4
            page.locator("svg.timeline .bar", has_text="total[2]").wait_for()
            page.locator("svg .node", has_text="total[2]").click()
            assert page.locator(".story li").count() < 8
            assert page.locator("pre.logs").inner_text() == ""

            page.get_by_role("link", name="All Runs").click()
            page.get_by_label("Status").select_option("failed")
            page.get_by_role("link", name="a3").click()
            page.get_by_text("ValueError: 3 is <b>odd</b>").first.wait_for()
            page.get_by_role("button", name="retry").wait_for()


def test_what_runs_is_live_and_a_server_that_is_gone_is_said(page: Any, url: str, tmp_path: Path) -> None:
    with weftrun.open(url) as engine, contextlib.ExitStack() as serving:
        there = serving.enter_context(served(url))
        page.goto(there.address)
        page.get_by_text("No Run is here").wait_for()
        run = engine.start(shop.patience.options(id="p1"), str(tmp_path / "go"))
        page.get_by_role("link", name="p1").click()
        page.locator("svg .node.running").wait_for()
        (tmp_path / "go").touch()
        assert run.result(60) == "it is there"
        page.locator("h1 .status.succeeded").wait_for()
        page.locator("svg .node.succeeded").wait_for()
        page.goto(there.root)
        page.get_by_role("link", name="p1").wait_for()
        serving.close()
        page.get_by_text("The server is not there").wait_for()


def test_it_fits_a_small_screen(page: Any, url: str) -> None:
    with weftrun.open(url) as engine, served(url) as there:
        engine.run(shop.report.options(id="x" * 120), ["Rome"])
        page.set_viewport_size({"width": 360, "height": 700})
        page.goto(there.address)
        page.get_by_role("link", name="x" * 120).click()
        page.locator("svg.timeline").wait_for()
        wide = page.evaluate(_WIDE)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, wide


def test_the_page_is_what_its_sources_make() -> None:
    """Built anew from the pinned packages where npm is there."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(["scripts/page", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
