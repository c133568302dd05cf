"""A word count whose readers start when a part is put, against readers that wait for the end: latency, throughput."""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import weftrun
from experiments.dataflower.functions import PARTS, count, text_of, words
from experiments.table import Table

_TRIGGERS = ("control", "data")


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Play the same requests with both triggers, in turns, one at a time and then by several clients at once."""
    parser = argparse.ArgumentParser(prog="python -m experiments dataflower/overlap")
    parser.add_argument("--requests", type=int, default=12 if quick else 60, metavar="N", help="of each setting")
    parser.add_argument("--rounds", type=int, default=2 if quick else 4, metavar="N", help="turns of each setting")
    parser.add_argument("--clients", type=int, default=4, metavar="N", help="at once, for the throughput")
    parser.add_argument("--sandboxes", type=int, default=6, metavar="N", help="of the engine")
    parser.add_argument("--mb-per-s", type=float, default=2.5, metavar="RATE", help="of the link of each request")
    parser.add_argument("--mb", type=float, default=1.0, metavar="SIZE", help="of the text of a request")
    parser.add_argument("--work", type=int, default=24, metavar="TIMES", help="each part is counted so often")
    parser.add_argument("--cluster", default=None, metavar="WHERE", help="local:N for Workers of this host")
    chosen = parser.parse_args(arguments)
    alone: dict[str, list[float]] = {trigger: [] for trigger in _TRIGGERS}
    together: dict[str, list[float]] = {trigger: [] for trigger in _TRIGGERS}
    idle: dict[str, list[float]] = {trigger: [] for trigger in _TRIGGERS}
    each = max(1, chosen.requests // chosen.rounds)
    for turn in range(chosen.rounds):
        for trigger in _TRIGGERS:
            url = f"sqlite:///{out / f'{trigger}-{turn}.db'}"
            Path(out / f"{trigger}-{turn}.db").unlink(missing_ok=True)
            with weftrun.open(url, sandboxes=chosen.sandboxes, cluster=chosen.cluster, trigger=trigger) as engine:
                _requests(engine, chosen, each=2, clients=chosen.clients)  # Sandboxes are warm after that
                alone[trigger] += _requests(engine, chosen, each=each, clients=1)[0]
                before = _idle_and_all()
                took = _requests(engine, chosen, each=max(1, each // 2), clients=chosen.clients)
                idle[trigger].append(_share(before, _idle_and_all()))
                together[trigger].append(len(took[0]) / took[1])
    return [_latency(alone, chosen), _throughput(together, idle, chosen)]


def _requests(
    engine: weftrun.Engine, chosen: argparse.Namespace, *, each: int, clients: int
) -> tuple[list[float], float]:
    """Let clients make so many requests each, one after the other; return all latencies, and the time in all."""
    latencies: list[float] = []

    def client(number: int) -> None:
        for request in range(each):
            began = time.perf_counter()
            engine.run(words, 1000 * number + request, int(chosen.mb * 1e6), chosen.mb_per_s, chosen.work)
            latencies.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, time.perf_counter() - began


def _latency(alone: dict[str, list[float]], chosen: argparse.Namespace) -> Table:
    base = alone["control"]
    rows: list[Sequence[object]] = []
    for trigger, found in alone.items():
        p50, p99 = statistics.median(found), _p99(found)
        less = (f"{p50 / statistics.median(base) - 1:+.1%}", f"{p99 / _p99(base) - 1:+.1%}")
        rows.append((trigger, len(found), round(1e3 * p50, 1), round(1e3 * p99, 1), *less))
    link_s = chosen.mb / chosen.mb_per_s
    notes = (
        f"The link alone takes {1e3 * link_s:.0f} ms of each request, in {PARTS} parts; it is a pause in the body that "
        "fetches, so no processor is busy meanwhile. With few samples p99 is close to the largest. Published: -35.4 % "
        "of p99, on three hosts, against other systems; here only the trigger differs."
    )
    title = f"word count of {chosen.mb:g} MB at {chosen.mb_per_s:g} MB/s, one request at a time"
    columns = ("trigger", "requests", "p50 ms", "p99 ms", "p50 against control", "p99 against control")
    return Table("latency", title, columns, rows, notes)


def _throughput(together: dict[str, list[float]], idle: dict[str, list[float]], chosen: argparse.Namespace) -> Table:
    base = statistics.median(together["control"])
    processors = len(os.sched_getaffinity(0))
    work_s = _counting_s(chosen)
    rows: list[Sequence[object]] = []
    for trigger, found in together.items():
        rate = statistics.median(found)
        busy = (f"{rate * work_s / processors:.0%}", f"{statistics.median(idle[trigger]):.0%}")
        rows.append((trigger, len(found), round(rate, 2), f"{rate / base:.2f}", *busy))
    notes = (
        f"Median of the turns. Counting takes {1e3 * work_s:.0f} ms of a processor for each request, and there are "
        f"{processors}: {processors / work_s:.2f} requests/s are the most that they can count under any trigger, "
        f"{processors / work_s / base:.2f} times what the control trigger gives here. `idle` is the share of this "
        "host's processors that nobody used meanwhile, other programs included. Both settings do the same work; the "
        "data trigger wins only what would stand idle. Published: up to 3.8 times, on hosts of their own, where more "
        "containers by pressure bring more links."
    )
    title = f"the same by {chosen.clients} clients at once on {chosen.sandboxes} Sandboxes"
    return Table(
        "throughput", title, ("trigger", "turns", "requests/s", "against control", "counting", "idle"), rows, notes
    )


def _idle_and_all() -> tuple[float, float]:
    """Return for how long the processors of this host have been idle, and how long that is of, by /proc/stat."""
    fields = [float(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _share(before: tuple[float, float], after: tuple[float, float]) -> float:
    return (after[0] - before[0]) / max(1.0, after[1] - before[1])


def _counting_s(chosen: argparse.Namespace) -> float:
    """Return how much time of a processor the counting of one request takes, in seconds; the least of three times."""
    text = text_of(0, int(chosen.mb * 1e6) // PARTS)
    took = []
    for _ in range(3):
        began = time.process_time()
        count(text, chosen.work)
        took.append(time.process_time() - began)
    return PARTS * min(took)


def _p99(found: Sequence[float]) -> float:
    return sorted(found)[max(0, round(0.99 * len(found)) - 1)]
