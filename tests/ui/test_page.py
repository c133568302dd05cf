"""The page in a real browser: lists, graph, timeline, what is live, and what is hostile."""

from __future__ import annotations

import contextlib
import json
import re
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


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pinned axe-core, as a script."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    wanted = json.loads(Path("ui/package.json").read_text())["devDependencies"]["axe-core"]
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", f"axe-core@{wanted}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"axe-core can't be had: {done.stderr[-200:]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


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


def test_what_goes_on_is_shown_and_a_signal_is_sent(page: Any, url: str, tmp_path: Path) -> None:
    with weftrun.open(url) as engine, served(url) as there:
        going = engine.start(shop.patience.options(id="p1"), str(tmp_path / "go"))
        asking = engine.start(shop.publish.options(id="cats"), "Cats")
        page.goto(there.address)
        page.get_by_role("link", name="Now").click()
        page.locator("tr", has_text="wait_for[0]").get_by_text("Sandbox").wait_for()
        page.locator("tr", has_text="for signal verdict").get_by_role("link", name="cats").click()
        field = page.get_by_label("Signal verdict, as JSON")
        field.fill("yes")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("This is no JSON").wait_for()
        field.fill('"yes"')
        page.get_by_role("button", name="Send").click()
        page.locator("h1 .status.succeeded").wait_for()
        assert asking.result(60) == "Cats: yes"
        (tmp_path / "go").touch()
        going.result(60)
        page.get_by_role("link", name="Now").click()
        page.get_by_text("Nothing runs.").wait_for()


def test_what_functions_took_is_shown(page: Any, url: str) -> None:
    with weftrun.open(url) as engine, served(url) as there:
        engine.run(shop.report.options(id="r1"), ["Rome", "Oslo"])
        with pytest.raises(ValueError, match="odd"):
            engine.run(shop.audit.options(id="a3"), 3)
        page.goto(there.address)
        page.get_by_role("link", name="Functions").click()
        page.get_by_text("Of all 2 Runs").wait_for()
        checked = page.locator("tr", has_text="shop:check").locator("td").all_inner_texts()
        assert checked[1:4] == ["1", "2", "✕ 2"]
        total = page.locator("tr", has_text="shop:total").locator("td").all_inner_texts()
        assert (total[1:4], total[4].endswith("ms")) == (["1", "3", ""], True)
        page.get_by_role("link", name="Objects").click()
        page.locator("tr", has_text="shop:fetch").get_by_text(re.compile(r"^\d+ B$")).first.wait_for()
        assert page.locator("tr", has_text="shop:check").count() == 0, "it gave no value"


def test_many_runs_are_chosen_and_retried(page: Any, url: str) -> None:
    with weftrun.open(url) as engine:
        for number in (1, 3, 4):
            with contextlib.suppress(ValueError):
                engine.run(shop.audit.options(id=f"a{number}"), number)
        with served(url) as there:
            page.goto(there.address)
            for id in ("a1", "a3", "a4"):
                page.get_by_label(f"Choose {id}").check()
            page.get_by_text("3 chosen").wait_for()
            page.get_by_role("button", name="retry").click()
            page.get_by_text("3 chosen").wait_for(state="detached")
            for id in ("a1", "a3"):
                with pytest.raises(ValueError, match="odd"):
                    engine.get(id).result(60)
            page.get_by_label("Run", exact=True).fill("a3")
            page.get_by_role("link", name="a1").wait_for(state="detached")
            page.get_by_role("link", name="a3").click()
            page.get_by_text("life 2 of it began").wait_for()


def test_a_large_run_is_shown_in_parts(page: Any, url: str) -> None:
    with weftrun.open(url) as engine, served(url) as there:
        engine.run(shop.tree.options(id="large"), 512)
        page.goto(there.address)
        page.get_by_role("link", name="large").click()
        page.get_by_role("button", name="All 1,024").wait_for()
        assert page.locator("table.steps tbody tr").count() == 200
        page.locator("svg .node").nth(1022).wait_for(state="attached")
        page.get_by_role("button", name="1,024 succeeded").click()
        page.get_by_role("button", name="Show more (824 left)").click()
        assert page.locator("table.steps tbody tr").count() == 800


def test_a_part_of_the_time_is_drawn_nearer(page: Any, url: str) -> None:
    with weftrun.open(url) as engine, served(url) as there:
        engine.run(shop.report.options(id="r1"), ["Rome", "Oslo"])
        page.goto(there.address)
        page.get_by_role("link", name="r1").click()
        bar = page.locator("svg.timeline .bar", has_text="total[2]")
        bar.wait_for()
        box = page.locator("svg.timeline").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.96, box["y"] + 5)
        page.mouse.up()
        page.get_by_role("button", name="Whole").wait_for()
        assert page.locator("svg.timeline .bar.body").count() == 0
        page.get_by_role("button", name="Whole").click()
        page.locator("svg.timeline .bar.body").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(chromium: Any, axe: str, url: str, tmp_path: Path, theme: str) -> None:
    """WCAG 2.2 AA on each page, as far as axe-core can tell."""
    with weftrun.open(url) as engine, served(url) as there:
        engine.run(shop.report.options(id="r1"), ["Rome", "Oslo"])
        with pytest.raises(ValueError, match="odd"):
            engine.run(shop.audit.options(id="a3"), 3)
        going = engine.start(shop.patience.options(id="p1"), str(tmp_path / "go"))
        engine.start(shop.publish.options(id="cats"), "Cats")
        page = chromium.new_context(color_scheme=theme, bypass_csp=True).new_page()
        page.goto(there.address)
        for at, seen in (
            ("#/", "tbody tr"), ("#/run/r1", "svg.timeline .bar"), ("#/run/a3", ".error"), ("#/run/cats", ".signal"),
            ("#/now", "tbody tr"), ("#/functions", "tbody tr"), ("#/objects", "tbody tr"),
        ):  # fmt: skip
            page.goto(f"{there.root}{at}")
            page.locator(seen).first.wait_for()
            page.evaluate(axe)
            tags = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
            found = page.evaluate("tags => axe.run(document, tags)", tags)["violations"]
            assert not found, (at, [(one["id"], [node["html"] for node in one["nodes"]]) for one in found])
        (tmp_path / "go").touch()
        going.result(60)


def test_it_fits_a_small_screen(page: Any, url: str) -> None:
    with weftrun.open(url) as engine, served(url) as there:
        engine.run(shop.report.options(id="x" * 120), ["Rome"])
        page.set_viewport_size({"width": 360, "height": 700})
        page.goto(there.address)
        page.get_by_role("link", name="x" * 120).click()
        page.locator("svg.timeline").wait_for()
        wide = page.evaluate(_WIDE)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, wide
        page.goto(f"{there.root}#/functions")
        page.locator("tbody tr").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_page_is_what_its_sources_make() -> None:
    """Built anew from the pinned packages where npm is there."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(["scripts/page", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
