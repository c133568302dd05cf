"""Measures the page of `weftrun ui` in a real Chromium: `python -m bench.page [--quick] [--only NAME ...]`.

Every figure is taken on this machine in this run. Times of a browser on a machine that is busy with other things say
little; the ratio is taken in turns, with the page open and without it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import page_app
from tests.ui.serving import browser, served

import weftrun
from weftrun.assembly import Place, open_reader, place_of
from weftrun.entrypoints.http.callers import EVERYBODY
from weftrun.entrypoints.http.looks import LookAsked, told
from weftrun.entrypoints.http.readers import Readers
from weftrun.views.pulse import step_pulses

_PAGE = Path(weftrun.__file__).parent / "entrypoints/ui/page"
_SETTLED = """() => { window.settled = {}; const look = () => {
    for (const row of document.querySelectorAll("table.steps tbody tr")) {
        const name = row.cells[1].innerText.trim(), is_over = row.querySelector(".status.succeeded");
        if (!(name in window.settled) && is_over) window.settled[name] = Date.now() / 1000;
    } };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true }) }"""
Told = Iterator[tuple[str, str, str]]


class Tasks:
    """The longest task of the page's main thread while something went on, in milliseconds.

    Attributes:
        cpu: of the processor's time: what it would have blocked the page for on an idle machine.
        wall: by the clock, with the time in which other programs had the processor.
    """

    cpu = wall = 0.0


@contextmanager
def watched(bench: Bench, page: Any) -> Iterator[Tasks]:
    """Watch the main thread of a page by Chromium's tracing."""
    tasks = Tasks()
    bench.chromium.start_tracing(page=page, categories=["toplevel"])
    yield tasks
    traced = json.loads(bench.chromium.stop_tracing())["traceEvents"]
    mains = {
        (one["pid"], one["tid"]) for one in traced
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }  # fmt: skip
    for one in traced:
        if (one["pid"], one["tid"]) in mains and one["ph"] == "X":
            tasks.cpu = max(tasks.cpu, one.get("tdur", 0) / 1e3)
            tasks.wall = max(tasks.wall, one["dur"] / 1e3)


def task_lines(what: str, tasks: Tasks) -> Told:
    """Return what is told of the longest task."""
    yield f"longest task {what}, processor's time", f"{tasks.cpu:.0f} ms", "50 ms"
    yield "the same by the clock, beside other programs", f"{tasks.wall:.0f} ms", ""


class Bench:
    """A Journal with an engine, its page, and a browser that was let in."""

    def __init__(self, folder: Path, chromium: Any, *, quick: bool) -> None:
        self.url = f"sqlite:///{folder}/journal.db"
        self.folder = folder
        self.chromium = chromium
        self.quick = quick
        self.state: Any = None
        self.root = ""

    @contextmanager
    def page(self, at: str) -> Iterator[Any]:
        """Open a part of the page."""
        context = self.chromium.new_context(storage_state=self.state, viewport={"width": 1280, "height": 860})
        page = context.new_page()
        page.goto(f"{self.root}#/{at}")
        yield page
        context.close()


def assets(bench: Bench) -> Told:  # noqa: ARG001  # as all groups
    """All that a browser loads, compressed."""
    packed = sum(len(gzip.compress(file.read_bytes(), 9)) for file in _PAGE.iterdir())
    yield "assets, compressed", f"{packed / 1000:.0f} kB", "300 kB"


def first_paint(bench: Bench) -> Told:
    """From the request of the page to its first paint with anything on it."""
    took = []
    for _ in range(3 if bench.quick else 9):
        with bench.page("") as page:
            page.locator("h1").wait_for()
            found = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
            if found is not None:
                took.append(found)
    yield "first paint, median", f"{statistics.median(took):.0f} ms", "500 ms"


def events(bench: Bench) -> Told:
    """From the time at which a Step was decided to settle, before its commit, until the page shows it."""
    with weftrun.open(bench.url) as engine, bench.page("") as page:
        run = engine.start(page_app.steady.options(id="steady"), 8 if bench.quick else 25)
        page.goto(f"{bench.root}#/run/steady")
        page.locator("h1 .status").wait_for()
        page.evaluate(_SETTLED)
        committed = _commits(bench, "steady", run)
        page.locator("h1 .status.succeeded").wait_for()
        shown = page.evaluate("window.settled")
        late = sorted(shown[step] - at for step, at in committed.items() if step in shown)
    yield "a Step on the page after its commit, median", f"{statistics.median(late) * 1e3:.0f} ms", "300 ms"
    yield "the same, the latest", f"{late[-1] * 1e3:.0f} ms", "300 ms"


def _commits(bench: Bench, id: str, run: weftrun.Run[Any]) -> dict[str, float]:
    """Return when each Step of a Run was first there for another reader of the Journal, until the Run has ended."""
    found: dict[str, float] = {}
    reader = open_reader(bench.url)
    info = reader.find(id)
    assert info is not None
    after = 0
    while run.status == "running":
        for row in reader.newer(info.uid, after, 1_000):
            after = row.seq
            found |= {pulse.step: time.time() for pulse in step_pulses([row])}
        time.sleep(0.005)
    reader.close()
    return found


def frames(bench: Bench) -> Told:
    """The longest task of the page while many Steps settle each second."""
    with weftrun.open(bench.url) as engine, bench.page("") as page:
        count = 2_000 if bench.quick else 8_000
        run = engine.start(page_app.stream.options(id="stream"), count)
        page.goto(f"{bench.root}#/run/stream")
        page.locator("h1 .status").wait_for()
        began = time.monotonic()
        with watched(bench, page) as tasks:
            run.result(300)
            took = time.monotonic() - began
            page.locator("h1 .status.succeeded").wait_for()
    yield from task_lines(f"at {count / took:,.0f} Steps a second", tasks)


def throughput(bench: Bench) -> Told:
    """Steps a second of an engine while a page shows its Run, to those while it does not, in slices that take turns."""
    slices = 16 if bench.quick else 60
    engine = subprocess.Popen([sys.executable, "-m", "bench.page_app", bench.url, "rate", "1000000"])
    reader = open_reader(bench.url)
    try:
        with bench.page("") as page:
            while (info := reader.find("rate")) is None or not reader.newer(info.uid, 100, 1):
                time.sleep(0.05)
            place = reader.newer(info.uid, 0, 1_000_000)[-1].seq
            steps: dict[bool, list[float]] = {True: [], False: []}
            for number in range(slices):
                is_open = number % 4 in (0, 3)
                page.goto(f"{bench.root}#/run/rate" if is_open else "about:blank")
                if is_open:
                    page.locator("h1 .status").wait_for()
                time.sleep(0.3)
                place = max([place, *(row.seq for row in reader.newer(info.uid, place, 1_000_000))])
                began = time.monotonic()
                time.sleep(1.0)
                rows = reader.newer(info.uid, place, 1_000_000)
                settled = sum(1 for _ in step_pulses(rows))
                steps[is_open].append(settled / (time.monotonic() - began))
                place = rows[-1].seq if rows else place
    finally:
        engine.terminate()
        engine.wait(60)
        reader.close()
    ratios = sorted(shown / bare for shown, bare in zip(steps[True], steps[False], strict=True) if bare)
    low, middle, high = statistics.quantiles(ratios, n=4)
    whole = sum(steps[True]) / max(sum(steps[False]), 1e-9)
    yield f"Steps a second, page open and not, ratio, median of {len(ratios)} pairs", f"{middle:.3f}", "0.95"
    yield "half of the pairs lie between", f"{low:.3f}-{high:.3f}", ""
    yield "all pairs lie between", f"{ratios[0]:.3f}-{ratios[-1]:.3f}", ""
    yield "all slices together", f"{whole:.3f}", ""
    yield "Steps a second without", f"{statistics.median(steps[False]):,.0f}", ""


def many_runs(bench: Bench) -> Told:
    """Pages of a long list, in the middle and at its end, as the API answers them and as the page adds them."""
    count = 5_000 if bench.quick else 100_000
    page_app.fill(bench.folder / "journal.db", count)
    reader = open_reader(bench.url)
    with bench.page("") as page:
        page.locator("tbody tr").first.wait_for()
        took = []
        with watched(bench, page) as tasks:
            for _ in range(5):
                before = page.locator("tbody tr").count()
                began = time.monotonic()
                page.get_by_role("button", name="Show more").click()
                page.locator("tbody tr").nth(before).wait_for()
                took.append(time.monotonic() - began)
        middle = reader.runs(limit=count // 2)[-1].place
        told = page.evaluate(
            "async after => { const t = performance.now();"
            " await (await fetch(`/api/v1/runs?limit=50&after=${after}`)).json(); return performance.now() - t }",
            middle,
        )  # fmt: skip
    reader.close()
    yield f"the next 50 of {count:,} Runs, median", f"{statistics.median(took) * 1e3:.0f} ms", ""
    yield from task_lines("meanwhile", tasks)
    yield "50 Runs in the middle, by the API", f"{told:.0f} ms", ""


def long_run(bench: Bench) -> Told:
    """A Run of very many Steps: until its Steps are there, and the longest task meanwhile."""
    count = 5_000 if bench.quick else 100_000
    with weftrun.open(bench.url) as engine:
        engine.run(page_app.wide.options(id="wide"), count)
    yield from _shown(bench, "wide", f"a Run of {count:,} Steps", "table.steps tbody tr")


def server_loop(bench: Bench) -> Told:
    """What reading a Run of very many Steps keeps the loop of the server for: beside it, and in its own process."""
    count = 20_000 if bench.quick else 100_000
    with weftrun.open(bench.url) as engine:
        engine.run(page_app.wide.options(id="long"), count)
    sys.setswitchinterval(1e-3)  # as the server does
    with ThreadPoolExecutor(1) as thread:  # this one has a loop already, which drives the browser
        work = _loop_lines(place_of(bench.url), f"a Run of {count:,} Steps")
        yield from thread.submit(lambda: asyncio.run(work)).result()


async def _loop_lines(place: Place, what: str) -> list[tuple[str, str, str]]:
    asked = LookAsked(
        what="view", run="long", caller=EVERYBODY, nodes=2_100, spans=600, lines=600,
        parts=frozenset({"steps", "graph", "timeline", "logs"}),
    )  # fmt: skip
    readers = Readers(place)
    try:
        beside, took_s = await _longest_turn(lambda: readers.look(asked))
        inside, _ = await _longest_turn(lambda: readers.read(lambda reader: told(reader, asked)))
        still, _ = await _longest_turn(lambda: asyncio.sleep(took_s))
    finally:
        readers.close()
    return [
        (f"reading {what} keeps the loop for, the longest", f"{beside * 1e3:.0f} ms", "20 ms"),
        ("the same in the server's own process", f"{inside * 1e3:.0f} ms", ""),
        ("the same while nothing is read", f"{still * 1e3:.0f} ms", ""),
        ("the answer is there after", f"{took_s:.2f} s", ""),
    ]


async def _longest_turn(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return how long a timer of a millisecond was late at most while something was awaited, and how long that took."""
    late = 0.0
    is_over = False

    async def beat() -> None:
        nonlocal late
        while not is_over:
            due = time.perf_counter() + 1e-3
            await asyncio.sleep(1e-3)
            late = max(late, time.perf_counter() - due)

    beating = asyncio.ensure_future(beat())
    began = time.perf_counter()
    await work()
    took = time.perf_counter() - began
    is_over = True
    await beating
    return late, took


def large_graph(bench: Bench) -> Told:
    """A graph of 2,000 nodes: until it is drawn, and the longest task while a node is chosen and it is scrolled."""
    with weftrun.open(bench.url) as engine:
        engine.run(page_app.wide.options(id="graph"), 2_000)
    yield from _shown(bench, "graph", "a graph of 2,000 nodes", "svg .node")
    with bench.page("run/graph") as page:
        page.locator("svg .node").first.wait_for()
        page.wait_for_timeout(1_000)
        with watched(bench, page) as tasks:
            page.locator("svg .node").nth(5).click()
            for _ in range(10):
                page.locator(".drawing").first.evaluate("box => box.scrollBy(0, 300)")
                page.wait_for_timeout(50)
    yield from task_lines("as it is used", tasks)


def _shown(bench: Bench, id: str, what: str, seen: str) -> Told:
    with bench.page("now") as page:
        page.locator("h1").wait_for()
        with watched(bench, page) as tasks:
            began = time.monotonic()
            page.goto(f"{bench.root}#/run/{id}")
            page.locator(seen).first.wait_for(timeout=120_000)
            took = time.monotonic() - began
            page.wait_for_timeout(1_000)
    yield f"{what} is there after", f"{took:.2f} s", ""
    yield from task_lines("meanwhile", tasks)


GROUPS: dict[str, Callable[[Bench], Told]] = {
    one.__name__: one
    for one in (assets, first_paint, events, frames, throughput, large_graph, long_run, server_loop, many_runs)
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: a look, not a measurement")
    parser.add_argument("--only", action="append", choices=list(GROUPS), metavar="NAME", help=", ".join(GROUPS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        bench = Bench(Path(folder), chromium, quick=options.quick)
        with weftrun.open(bench.url) as engine:
            engine.run(page_app.wide.options(id="first"), 10)
        with served(bench.url) as there:
            context = chromium.new_context()
            context.new_page().goto(there.address)
            bench.state, bench.root = context.storage_state(), there.root
            context.close()
            for name in options.only or GROUPS:
                for what, figure, bound in GROUPS[name](bench):
                    way = "at least" if "ratio" in what else "at most"
                    print(f"{what:<62} {figure:>12}   {f'{way} {bound}' if bound else ''}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
