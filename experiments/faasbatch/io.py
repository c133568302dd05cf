"""Calls that make a client of S3, replayed as the paper does: all strategies, each with and without sharing."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.faasbatch import functions
from experiments.faasbatch.measuring import FIGURES, Measured, arrivals, replay
from experiments.faasbatch.strategies import WINDOW_S, sandboxes_max, strategies
from experiments.table import Table
from weftrun import Strategy


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Replay 64 calls at once, and without `quick` also the trace's first 400; with `--read` each reads an object."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/io")
    parser.add_argument("--read", action="store_true", help="read an object of a local S3 server with the client, too")
    parser.add_argument("--rounds", type=int, default=1 if quick else 3, metavar="N", help="rounds of each setting")
    parser.add_argument("--only", metavar="STRATEGY", help="leave the other strategies out")
    chosen = parser.parse_args(arguments)
    loads = {"64 at once": [0.0] * 64}
    if not quick:
        loads["trace, 4 times as fast"] = arrivals(400, speed=4.0)
    with served() if chosen.read else contextlib.nullcontext() as endpoint:
        return [_table(name, times, endpoint, chosen.rounds, out, chosen.only) for name, times in loads.items()]


def _table(load: str, times: list[float], endpoint: str | None, rounds: int, out: Path, only: str | None) -> Table:
    rows: list[Sequence[object]] = []
    for number in range(1, rounds + 1):
        for sharing in (False, True):
            for name, strategy in strategies("io", window_s=WINDOW_S, slo_s=1.0, shares=sharing).items():
                if only in (None, name):
                    measured = clients(name, strategy, out, times=times, endpoint=endpoint)
                    shown = "yes" if sharing else "no"
                    measured.write(out / f"calls-{name.replace(', ', '-')}-shared-{shown}-{number}.csv")
                    rows.append((name, shown, number, clients_made(measured), *measured.figures()))
    does = "makes a client of boto3" + (" and reads an object of a local server" if endpoint else "")
    notes = (
        "Latency is what the caller sees, cold starts included: the code is imported, but there is no Sandbox. The "
        "paper's figures count time in the container only, and its vanilla waits for the tick, too."
    )
    name = "io-" + load.split(",", maxsplit=1)[0].replace(" ", "-")
    columns = ("strategy", "shared", "round", "clients", *FIGURES)
    return Table(name, f"{load}: {len(times)} calls, each {does}", columns, rows, notes)


def clients(
    name: str, strategy: Strategy, out: Path, *, times: Sequence[float], endpoint: str | None = None
) -> Measured:
    """Call at these times what uses the client of its process."""
    calls = [("eu-west-1", endpoint)] * len(times)
    return replay(functions.client_of, calls, times, strategy=strategy, sandboxes=sandboxes_max(name), folder=out)


def clients_made(measured: Measured) -> int:
    """Return how many clients were made, in all processes."""
    made: dict[str, int] = {}
    for call in measured.calls:
        process, count = call.value
        made[process] = max(made.get(process, 0), count)
    return sum(made.values())


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve S3 on the loopback with one object."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  # an optional library, only for this option

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would tell of each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        client = functions.make_client("eu-west-1", endpoint)
        client.create_bucket(Bucket="experiment", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_object(Bucket="experiment", Key="object", Body=b"x" * 10_000)
        yield endpoint
    finally:
        server.stop()
