"""What `faasflow/ray_speed` runs on the first of three hosts: it prints its figures as one line of JSON."""

from __future__ import annotations

import itertools
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import ray
import ray.util
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import weftrun
from weftrun import function, workflow
from weftrun.machines.placement.plan import home_by_hash
from weftrun.views.step import StepView

_JOIN_S = 60.0


@function(deterministic=True, effects="none")
def add(a: int, b: int) -> int:
    """Return the sum: nearly nothing to compute."""
    return a + b


@function(deterministic=True, effects="none")
def block(megabytes: int) -> bytes:
    """Return so many megabytes."""
    return bytes(megabytes * 1_000_000)


@function(deterministic=True, effects="none")
def size(data: bytes) -> int:
    """Return how large a value is, without a look at it."""
    return len(data)


@workflow
def chain(count: int) -> int:
    """Add one, so many times."""
    value: Any = 0
    for _ in range(count):
        value = add(value, 1)
    return cast("int", value)


@workflow
def handed(megabytes: int, maker: int, reader: int) -> int:
    """Make a block in the Step `block[maker]`, and read it in `size[reader]`: by their names they have their homes."""
    for _ in range(maker):
        block(0)
    made = block(megabytes)
    for _ in range(reader):
        size(b"")
    return size(made)


@function(effects="none")
def at(n: int) -> int:  # noqa: ARG001  # so that there are many
    """Return what tells one host of namespaces from another."""
    return Path("/proc/self/ns/net").stat().st_ino


@workflow
def everywhere(count: int) -> list[int]:
    """Ask many Steps where they run."""
    return [at(n) for n in range(count)]


class Echo:
    """An actor that answers, and that calls another one."""

    def echo(self, value: int) -> int:
        """Return what was given."""
        return value

    def listen(self) -> tuple[str, int]:
        """Take what one connection brings, and answer its end; return the address."""
        listening = socket.create_server(("", 0))

        def take() -> None:
            sock, _ = listening.accept()
            with sock, memoryview(bytearray(1 << 20)) as view:
                while sock.recv_into(view):
                    pass
                sock.sendall(b"!")

        threading.Thread(target=take, daemon=True).start()
        return str(ray.util.get_node_ip_address()), listening.getsockname()[1]  # type: ignore[no-untyped-call]

    def send(self, at: tuple[str, int], nbytes: int) -> float:
        """Send so much over one connection; return how long it took until all was taken, in seconds."""
        piece = bytes(1 << 20)
        before = time.perf_counter()
        with socket.create_connection(at) as sock:
            for start in range(0, nbytes, len(piece)):
                sock.sendall(piece[: nbytes - start])
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)
        return time.perf_counter() - before

    def calls(self, other: Any, count: int) -> list[float]:
        """Call another actor so often, one call after the other; return how long each took, in seconds."""
        took = []
        for n in range(count):
            before = time.perf_counter()
            ray.get(other.echo.remote(n))
            took.append(time.perf_counter() - before)
        return took


def between_actors(count: int, nbytes: int) -> tuple[float, float]:
    """Return what two actors on different hosts take, in seconds.

    The median of a call from the one to the other, and of sending so many bytes over a plain socket.
    """
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    there: list[Any] = [
        ray.remote(Echo)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote()
        for node in nodes[1:3]
    ]
    for actor in there:
        ray.get(actor.echo.remote(0))
    took = ray.get(there[0].calls.remote(there[1], count))
    sent_s = ray.get(there[0].send.remote(ray.get(there[1].listen.remote()), nbytes))
    for actor in there:
        ray.kill(actor)
    return float(statistics.median(took[count // 5 :])), float(sent_s)


def raw_chain_s(count: int) -> float:
    """Return the time of one task of a chain of Ray tasks, in seconds."""
    task: Any = ray.remote(num_cpus=1)(lambda a, b: a + b)
    ray.get(task.remote(0, 1))
    took = []
    for _ in range(3):
        before = time.perf_counter()
        value: Any = 0
        for _ in range(count):
            value = task.remote(value, 1)
        assert ray.get(value) == count
        took.append(time.perf_counter() - before)
    return min(took) / count


def gaps(run: weftrun.Run[Any], names: Iterable[str]) -> list[tuple[int, int, float]]:
    """Return of each Step and the next one the numbers of their Workers, and what lay between their bodies, in s."""
    run.logs()  # writes what the trace has gathered
    steps = {str(step.id): cast(StepView, step) for step in run.steps()}
    found = []
    for one, other in itertools.pairwise(names):
        before, after = steps[one], steps[other]
        assert before.entered_at is not None, "it has run"
        assert after.entered_at is not None, "it has run"
        left_at = before.entered_at + before.body_s  # by then its value is in memory that others can map
        found.append((before.sandbox // 1_000_000, after.sandbox // 1_000_000, after.entered_at - left_at))
    return found


def pairs(engine: weftrun.Engine) -> dict[str, tuple[int, int]]:
    """Return pairs of Workers, by what is special about them."""
    run = engine.start(everywhere, 12)
    nets = run.result(60)
    run.logs()  # writes what the trace has gathered
    steps = {str(step.id): cast(StepView, step) for step in run.steps()}
    hosts = {steps[f"at[{n}]"].sandbox // 1_000_000: nets[n] for n in range(12)}
    here = Path("/proc/self/ns/net").stat().st_ino
    (mine,), (one, other) = ([w for w in hosts if (hosts[w] == here) is own] for own in (True, False))
    return {"from the engine's host": (mine, one), "to the engine's host": (one, mine), "between others": (one, other)}


def bulk_s(engine: weftrun.Engine, megabytes: int, one: int, other: int) -> float:
    """Hand a block from one Worker to another; return what lay between the two bodies, in seconds."""
    maker, reader = (
        next(n for n in range(100) if home_by_hash(f"{name}[{n}]", 3) == worker - 1)
        for name, worker in (("block", one), ("size", other))
    )
    run = engine.start(handed, megabytes, maker, reader)
    assert run.result(600) == megabytes * 1_000_000
    ((at_one, at_other, gap),) = gaps(run, [f"block[{maker}]", f"size[{reader}]"])
    assert (at_one, at_other) == (one, other), "Steps are where their names put them"
    return gap


def main() -> None:
    """Measure; arguments are the address of the cluster, a folder, calls of each kind, and megabytes."""
    address, folder, count, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ray.init(address=address, log_to_driver=False)
    call_s, socket_s = between_actors(count, megabytes * 1_000_000)
    found: dict[str, Any] = {"actor call": call_s, "socket": socket_s, "raw chain": raw_chain_s(count)}
    with weftrun.open(f"sqlite:///{folder}/planned.db", cluster=address, sandboxes=1) as engine:
        await_workers(engine)
        engine.run(chain, count)
        took = []
        for _ in range(3):
            before = time.perf_counter()
            assert engine.run(chain, count) == count
            took.append(time.perf_counter() - before)
        found["chain"] = min(took) / count
    with weftrun.open(f"sqlite:///{folder}/hash.db", cluster=address, sandboxes=1, placement="hash") as engine:
        await_workers(engine)
        found["idle"] = max(row.memory_bytes for row in engine._core._trace.workers().popitem()[1])  # type: ignore[attr-defined]
        names = [f"add[{n}]" for n in range(count)]
        crossing = []
        for _ in range(2):
            run = engine.start(chain, count)
            run.result(120)
            crossing = [gap for one, other, gap in gaps(run, names) if one != other]
        found["hop"], found["hops"] = statistics.median(crossing), len(crossing)
        found["bulk"] = {name: bulk_s(engine, megabytes, *pair) for name, pair in pairs(engine).items()}
    print(json.dumps(found))


def await_workers(engine: weftrun.Engine) -> None:
    """Return when all hosts have joined and know one another."""
    until = time.monotonic() + _JOIN_S
    while time.monotonic() < until:
        rows: list[Any] = next(iter(engine._core._trace.workers().values()), [])  # type: ignore[attr-defined]
        if len(rows) == 3 and all(row.heard_at for row in rows):
            return
        time.sleep(0.1)
    raise RuntimeError("the hosts did not join")


if __name__ == "__main__":
    main()
