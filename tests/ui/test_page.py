"""The page in a real browser: lists, graph, timeline, what is live, and what somebody can do there."""

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
from tests.ui.serving import Served, browser, served

import weftrun
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.assembly import open_reader
from weftrun.model.hosts import SANDBOXES_EACH
from weftrun.ports.trace import TraceRow
from weftrun.views.steps import steps

pytestmark = pytest.mark.sweep
_WIDE = """most => [...document.querySelectorAll('*')]
    .filter(found => found.getBoundingClientRect().right > most && !found.closest('.wide, .drawing'))
    .map(found => found.outerHTML.slice(0, 80))"""
_OUT_OF_REACH = """() => [...document.querySelectorAll('a, button, input, select, textarea, summary, [role=button]')]
    .filter(found => !found.disabled && found.tabIndex < 0)
    .filter(found => !(found.matches('.stop') && found.closest('[tabindex="0"]')))
    .map(found => found.outerHTML.slice(0, 80))"""
"""What no key reaches: it is no stop of Tab, nor one of the arrow keys within a drawing that is."""
_TAGS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


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


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[weftrun.Engine, str, Path]]:
    """An engine on a Journal in which each page has something to show."""
    folder = tmp_path_factory.mktemp("journal")
    url = f"sqlite:///{folder}/journal.db"
    with weftrun.open(url, sandboxes=4) as opened:
        opened.run(shop.shopping.options(id="shopping"), 3)
        assert opened.run(shop.report.options(id="r1"), ["Rome", "Oslo"]) == 24
        with pytest.raises(ValueError, match="odd"):
            opened.run(shop.audit.options(id="a3"), 3)
        with pytest.raises(ConnectionError):
            opened.run(shop.order.options(id="order-7"), "a lamp", "4000")
        opened.run(shop.greet.options(id="greet-ann"), "ann")
        going = opened.start(shop.patience.options(id="p1"), f"{folder}/go")
        mails = weftrun.queue("mails", concurrency=1)
        opened.start(shop.patience.options(id="mail-1", queue=mails), f"{folder}/go")
        opened.start(shop.audit.options(id="mail-2", queue=mails), 2)
        opened.start(shop.publish.options(id="cats"), "Cats")
        opened.schedule("nightly", weftrun.cron("0 3 * * *"), shop.audit, 4)
        yield opened, url, folder
        (folder / "go").touch()
        going.result(60)


@pytest.fixture(scope="module")
def there(engine: tuple[weftrun.Engine, str, Path]) -> Iterator[Served]:
    with served(engine[1]) as serving:
        yield serving


@pytest.fixture(scope="module")
def let_in(chromium: Any, there: Served) -> Any:
    """What a browser keeps that was let in."""
    context = chromium.new_context()
    context.new_page().goto(there.address)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="module")
def url_of_hosts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Journal with a Run on two Workers, whose trace is as that of two hosts: on one host nothing need be copied."""
    folder = tmp_path_factory.mktemp("hosts")
    url = f"sqlite:///{folder}/journal.db"
    with weftrun.open(url, cluster="local:2") as engine:
        engine.run(shop.spread.options(id="spread"), 6, 300_000)
    reader = open_reader(url)
    info = reader.find("spread")
    assert info is not None
    shards = [step for step in steps(reader.load(info.uid)) if step.id.startswith("shard")]
    reader.close()
    trace = SqliteTrace(folder / "journal.db.d" / "trace.db")
    for step in shards:
        at, made_in = step.left_at or 0.0, step.sandbox // SANDBOXES_EACH
        for worker in {1, 2} - {made_in}:
            facts = {"worker": worker, "source": made_in, "bytes": 300_000, "began": at, "came": at + 0.01}
            trace.write([TraceRow(info.uid, "came", at, step.id, 0, "", facts)])
        facts = {"worker": made_in, "source": 3 - made_in, "bytes": 300_000, "began": at, "came": at + 0.01}
        trace.write([TraceRow(info.uid, "came", at, step.id, 0, "", facts)])
    trace.close()
    return url


@pytest.fixture
def page(chromium: Any, let_in: Any) -> Iterator[Any]:
    context = chromium.new_context(storage_state=let_in)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors


def test_runs_are_listed_and_one_is_shown(page: Any, there: Served) -> None:
    page.goto(there.root)
    page.get_by_role("link", name="r1").click()
    for step in ("fetch[0] × 2", "total[0]", "total[2]"):
        page.locator("svg .node", has_text=step).wait_for()
    assert page.locator("svg .edge").count() == 4
    bar = page.locator("svg.timeline .bar", has_text="total[2]")
    bar.wait_for()
    page.get_by_text("Its value: 24").wait_for()
    assert page.locator("h1 + .facts time").first.get_attribute("title").endswith(" UTC")

    page.locator("svg .node", has_text="total[2]").click()
    page.locator("section.pinned dd", has_text="shop:total").wait_for()
    page.locator(".below h2", has_text="Printed by total[2]").wait_for()
    page.get_by_text("Nothing was printed.").wait_for()
    assert page.url.endswith("#/run/r1?step=total%5B2%5D"), "a link leads to the Step"

    box = page.locator("svg.timeline").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.94, box["y"] + 5)
    page.mouse.up()
    page.get_by_role("button", name="Whole").click()
    page.locator("svg.timeline .bar.body").wait_for()


def test_which_step_failed_and_why_is_found_by_keys(page: Any, there: Served) -> None:
    page.goto(there.root)
    page.get_by_role("link", name="r1").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("ORDER")
    page.get_by_role("link", name="a3").wait_for(state="detached")
    page.get_by_label("Status").select_option("failed")
    assert page.url.endswith("#/?status=failed&text=ORDER"), "a link leads to the list"
    page.get_by_role("link", name="order-7").click()
    page.locator(".matter", has_text="charge[0] failed in its Attempt 3: ConnectionError: the bank refused").wait_for()
    page.keyboard.press("n")
    page.locator("section.pinned h2", has_text="charge[0]").wait_for()
    page.get_by_text("asking the bank about 4000").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("section.pinned").wait_for(state="detached")


def test_child_workflows_fold(page: Any, there: Served) -> None:
    page.goto(f"{there.root}#/run/shopping")
    page.locator("svg .frame").nth(2).wait_for()
    assert page.locator("svg .node").count() == 13
    page.get_by_role("button", name="Fold child workflows").click()
    page.locator("svg .node").nth(4).wait_for(state="detached")
    page.locator("svg .node.folded", has_text="basket[0] (3 Steps inside)").wait_for()
    page.locator("svg .frame").first.wait_for(state="detached")
    page.locator("svg .edge").nth(3).wait_for(state="detached")
    assert page.locator("svg .edge").count() == 3, "lines lead to what is folded"
    page.get_by_role("button", name="Unfold basket[1]").click()
    page.locator("svg .node", has_text="leaf[0]").wait_for()
    page.locator("svg .frame").wait_for()

    page.goto(f"{there.root}#/run/shopping?step=basket[2]/leaf[1]")
    page.reload()
    page.locator("svg .node.chosen", has_text="leaf[1]").wait_for()


def test_what_came_from_other_hosts_is_drawn(page: Any, url_of_hosts: str) -> None:
    with served(url_of_hosts) as serving:
        page.goto(serving.address)
        page.goto(f"{serving.root}#/run/spread?step=weigh[0]")
        page.locator("svg text.came", has_text="293 KiB from Worker").first.wait_for()
        page.locator("svg.timeline .transfer").first.wait_for()
        page.locator("section.pinned dd", has_text="fetched from Worker").wait_for()
        page.get_by_text("an Object comes from another host").wait_for()


def test_keys_reach_everything(page: Any, there: Served) -> None:
    page.goto(f"{there.root}#/run/order-7")
    page.locator("svg.timeline .bar").first.wait_for()
    page.locator("svg .node", has_text="ship[0]").wait_for()
    assert page.evaluate(_OUT_OF_REACH) == []
    page.get_by_role("group", name="Graph of the Run").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("section.pinned h2", has_text="ship[0]").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("group", name="Timeline of the Run").focus()
    page.keyboard.press("End")
    page.keyboard.press(" ")
    page.locator("section.pinned").wait_for()
    page.get_by_role("button", name="Nearer").press("Enter")
    page.get_by_role("button", name="Earlier").press("Enter")
    page.get_by_role("button", name="Later").press("Enter")
    page.get_by_role("button", name="Whole").press("Enter")


def test_a_run_is_forked_from_a_step(page: Any, there: Served) -> None:
    page.goto(f"{there.root}#/run/order-7?step=charge%5B0%5D")
    page.get_by_role("button", name="Fork from here").click()
    page.locator("h1", has_text="order-7-fork-").wait_for()
    page.locator("h1 .status.failed").wait_for()
    page.get_by_text("was forked from").or_(page.get_by_text("is a fork of")).or_(
        page.get_by_text("order-7 had settled")
    ).first.wait_for()


def test_what_goes_on_is_shown(page: Any, there: Served) -> None:
    page.goto(f"{there.root}#/now")
    page.locator("tr", has_text="wait_for[0]").get_by_text("Sandbox").first.wait_for()
    page.locator("tr", has_text="the signal verdict").get_by_role("link", name="cats").wait_for()
    page.locator("tr", has_text="its turn in the queue mails").get_by_role("link", name="mail-2").wait_for()
    page.locator("tr", has_text="waits to be delivered").get_by_role("link", name="greet-ann").wait_for()
    assert page.locator("tr", has_text="nightly").locator("td").all_inner_texts()[1].endswith("shop:audit")
    page.locator("tr", has_text="its own process").first.wait_for()


def test_what_functions_took_is_shown(page: Any, there: Served) -> None:
    page.goto(f"{there.root}#/functions")
    checked = page.locator("tr", has_text="shop:fetch").locator("td")
    checked.first.wait_for()
    assert checked.all_inner_texts()[1:4] == ["1", "2", ""]
    assert page.locator("tr", has_text="shop:charge").locator("td").all_inner_texts()[3].startswith("✕ ")
    page.get_by_role("link", name="Objects").click()
    page.locator("tr", has_text="shop:fetch").get_by_text(re.compile(r"^\d+ B$")).first.wait_for()
    assert page.locator("tr", has_text="shop:charge").count() == 0, "it gave no value"


def test_a_signal_is_sent_by_a_form_of_its_type(page: Any, there: Served, engine: Any) -> None:
    asking = engine[0].start(shop.review.options(id="dogs"), "Dogs")
    page.goto(f"{there.root}#/run/dogs")
    form = page.locator(".signal")
    form.get_by_label("approved").check()
    form.get_by_role("button", name="Send").click()
    form.get_by_text("stars is missing.").wait_for()
    form.get_by_label("stars").fill("4")
    form.get_by_label("kind").select_option("essay")
    form.get_by_role("button", name="Add an item").click()
    form.get_by_label("item 1").fill("<b>wet</b>")
    form.get_by_role("button", name="Give remark").click()
    form.get_by_label("remark").fill("good")
    form.get_by_role("button", name="Send").click()
    page.locator("h1 .status.succeeded").wait_for()
    assert asking.result(60) == "Dogs: 4, essay, <b>wet</b>, good"

    asking = engine[0].start(shop.publish.options(id="birds"), "Birds")
    page.goto(f"{there.root}#/run/birds")
    form.get_by_role("button", name="As JSON").click()
    form.get_by_label("Signal verdict, as JSON").fill("yes")
    form.get_by_role("button", name="Send").click()
    form.get_by_text("This is no JSON").wait_for()
    form.get_by_label("Signal verdict, as JSON").fill('"yes"')
    form.get_by_role("button", name="Send").click()
    page.locator("h1 .status.succeeded").wait_for()
    assert asking.result(60) == "Birds: yes"


def test_many_runs_are_retried_and_cancelled(page: Any, there: Served, engine: Any) -> None:
    for number in (1, 3, 4):
        with contextlib.suppress(ValueError):
            engine[0].run(shop.audit.options(id=f"many-{number}"), number)
    page.goto(f"{there.root}#/?id=many-")
    for id in ("many-1", "many-3", "many-4"):
        page.get_by_label(f"Choose {id}").check()
    page.get_by_text("3 chosen").wait_for()
    page.get_by_role("button", name="retry").click()
    page.get_by_text("3 chosen").wait_for(state="detached")
    for id in ("many-1", "many-3"):
        with pytest.raises(ValueError, match="odd"):
            engine[0].get(id).result(60)
    page.get_by_role("button", name="retry all that match…").click()
    page.get_by_text("retry 2 Runs?").wait_for()
    page.get_by_role("button", name="Yes, retry").click()
    page.get_by_text("life 3").nth(1).wait_for()

    for number in range(3):
        engine[0].start(shop.publish.options(id=f"wait-{number}"), "x")
    page.goto(f"{there.root}#/?id=wait-")
    page.get_by_role("button", name="cancel all that match…").click()
    page.get_by_text("cancel 3 Runs?").wait_for()
    page.get_by_role("button", name="Yes, cancel").click()
    page.locator(".status.cancelled").nth(2).wait_for()


def test_a_large_run_is_shown_in_parts(page: Any, there: Served, engine: Any) -> None:
    engine[0].run(shop.tree.options(id="large"), 512)
    page.goto(f"{there.root}#/run/large")
    page.get_by_role("button", name="All 1,023").wait_for()
    assert page.locator("table.steps tbody tr").count() == 200
    page.locator("svg .node").nth(20).wait_for()
    page.get_by_role("button", name="1,023 succeeded").click()
    page.get_by_role("button", name="Show more (400 left)").first.click()
    page.get_by_text("and 424 more Steps").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(chromium: Any, let_in: Any, there: Served, axe: str, theme: str) -> None:
    """WCAG 2.2 AA on each page, as far as axe-core can tell; and no page is wider than a small or a large screen."""
    context = chromium.new_context(color_scheme=theme, bypass_csp=True, storage_state=let_in, reduced_motion="reduce")
    page = context.new_page()
    for at, seen in (
        ("#/", "tbody tr"), ("#/run/r1", "svg.timeline .bar"), ("#/run/order-7?step=charge[0]", ".matter.failed"),
        ("#/run/cats", ".signal"), ("#/run/shopping", "svg .frame"),
        ("#/now", "tbody tr"), ("#/functions", "tbody tr"), ("#/objects", "tbody tr"),
    ):  # fmt: skip
        page.goto(f"{there.root}{at}")
        page.locator(seen).first.wait_for()
        page.evaluate(axe)
        found = page.evaluate("tags => axe.run(document, tags)", _TAGS)["violations"]
        assert not found, (at, [(one["id"], [node["html"] for node in one["nodes"]]) for one in found])
        for width in (360, 2560):
            page.set_viewport_size({"width": width, "height": 700})
            wide = page.evaluate(_WIDE, width + 1)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (at, wide)
    context.close()


def test_the_page_is_what_its_sources_make() -> None:
    """Built anew from the pinned packages where npm is there."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(["scripts/page", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_small() -> None:
    """All of it is at most 300 KB compressed."""
    folder = Path(weftrun.__file__).parent / "entrypoints/ui/page"
    packed = sum(
        len(subprocess.run(["gzip", "-9c", file], capture_output=True, check=True).stdout) for file in folder.iterdir()
    )
    assert packed <= 300_000
