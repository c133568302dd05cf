"""Calls that make a client of S3: one Sandbox a call, FaaSBatch's fixed tick, ours; each with and without sharing."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.faasbatch import functions
from experiments.faasbatch.measuring import arrivals, replay
from experiments.table import Table

_POLICIES: dict[str, dict[str, object]] = {
    "one Sandbox a call": {},
    "fixed tick, 0.2 s": {"concurrency": 64, "window": 0.2},
    "ours, adaptive": {"concurrency": 64},
}
_SANDBOXES_MAX = 64


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Replay 64 calls at once, and without `quick` also the trace's first 400; with `--read` each reads an object."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/io")
    parser.add_argument("--read", action="store_true", help="read an object of a local S3 server with the client, too")
    parser.add_argument("--rounds", type=int, default=1 if quick else 3, metavar="N", help="rounds of each setting")
    chosen = parser.parse_args(arguments)
    loads = {"64 at once": [0.0] * 64}
    if not quick:
        loads["trace, 4 times as fast"] = arrivals(400, speed=4.0)
    with _server() if chosen.read else contextlib.nullcontext() as endpoint:
        return [_table(name, times, endpoint, chosen.rounds, out) for name, times in loads.items()]


def _table(load: str, times: list[float], endpoint: str | None, rounds: int, out: Path) -> Table:
    rows: list[Sequence[object]] = []
    for number in range(1, rounds + 1):
        for strategy, policy in _POLICIES.items():
            for sharing, function in (("no", functions.own_client), ("yes", functions.shared_client)):
                made = function.options(**policy) if policy else function  # type: ignore[arg-type]
                calls = [("eu-west-1", endpoint)] * len(times)
                measured = replay(made, calls, times, sandboxes=_SANDBOXES_MAX, folder=out)
                clients: dict[str, int] = {}
                for process, count in measured.values:
                    clients[process] = max(clients.get(process, 0), count)
                mib = round(measured.memory_bytes / 2**20)
                found = (*map(round, measured.latency_ms()), len(clients), sum(clients.values()), mib, measured.lost)
                rows.append((strategy, sharing, number, *found))
    columns = (
        *("strategy", "shared", "round", "mean ms", "p50 ms", "p99 ms"),
        *("Sandboxes", "clients", "PSS MiB", "lost"),
    )  # fmt: skip
    does = "makes a client of boto3" + (" and reads an object of a local server" if endpoint else "")
    notes = (
        "Latency is what the caller sees, cold starts included: the code is imported, but there is no Sandbox. The "
        "paper's figures count time in the container only, and its baselines wait for the tick, too; here one Sandbox "
        "a call does not."
    )
    name = "io-" + load.split(",", maxsplit=1)[0].replace(" ", "-")
    return Table(name, f"{load}: {len(times)} calls, each {does}", columns, rows, notes)


@contextlib.contextmanager
def _server() -> Iterator[str]:
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
