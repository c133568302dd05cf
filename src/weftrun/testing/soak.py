"""`python -m weftrun.testing.soak`: many seeds of the simulator, for as long as there is time.

It goes on where it stopped: what was played stands in a file, with the digest of the code that it was played on. Other
code begins anew.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import click
from msgspec import DecodeError, Struct, field
from msgspec import json as encoding

import weftrun
from weftrun.adapters.system.clock import WallClock
from weftrun.testing.sim.swarm import play_seed

_PART = 20
"""Seeds that a process plays before it says what came of them."""
_SAID_S = 10.0
"""So often a line says how far it is."""


def _engines(seed: int, folder: Path) -> str:
    world, broken = play_seed(seed, folder)
    if broken is None and world.settings.transactions_lost is not None:
        # With those of a file the same workflows and faults make another history.
        _, broken = play_seed(seed, folder, server=False)
    return str(broken) if broken is not None else ""


def _workers(seed: int, folder: Path) -> str:
    _, broken = play_seed(seed, folder, workers=True)
    return str(broken) if broken is not None else ""


def _operators(seed: int, folder: Path) -> str:
    _, broken = play_seed(seed, folder, operators=True)
    return str(broken) if broken is not None else ""


SWARMS: Mapping[str, Callable[[int, Path], str]] = {"engines": _engines, "workers": _workers, "operators": _operators}
"""What can be played: from a seed and a folder for files comes a violation with its history, or nothing."""


class Played(Struct):
    """What was played of one swarm: all seeds below `next`, but the parts that begin with those in `left`.

    Attributes:
        broken: violations with their histories, by seed.
    """

    next: int = 0
    left: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """How many seeds were played."""
        return self.next - len(self.left) * _PART


class SoakState(Struct):
    """What stands in the file."""

    code: str
    swarms: dict[str, Played] = field(default_factory=dict)


def code_digest() -> str:
    """Return a digest of weftrun's own code: seeds that were played on other code say nothing of this one."""
    digest = hashlib.sha256()
    root = Path(weftrun.__file__).parent
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.sql")]):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def load(path: Path, code: str) -> SoakState:
    """Return what was played on this code, by the file; nothing where there is none, or it is of other code.

    Raises:
        DecodeError: the file is not one of a soak.
    """
    if not path.exists():
        return SoakState(code)
    state = encoding.decode(path.read_bytes(), type=SoakState)
    return state if state.code == code else SoakState(code)


def save(path: Path, state: SoakState) -> None:
    """Write the file, so that a soak that is killed loses the parts under way at most."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(encoding.encode(state))
    os.replace(fresh, path)


def _play(swarm: str, first: int) -> dict[int, str]:
    """Play a part in a process of its own; return what is wrong, by seed."""
    with tempfile.TemporaryDirectory(prefix="weftrun-soak-") as folder:
        told = {seed: SWARMS[swarm](seed, Path(folder)) for seed in range(first, first + _PART)}
    return {seed: violation for seed, violation in told.items() if violation}


def _end_with_parent() -> None:
    """A soak that is killed takes its processes with it; they would wait for more for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _parts(state: SoakState, seeds: int) -> Iterator[tuple[str, int]]:
    """Yield what is to be played: what was left when it stopped, then on from there, of all swarms in turn."""
    for name, played in state.swarms.items():
        for first in tuple(played.left):
            yield name, first
    while behind := [(name, played) for name, played in state.swarms.items() if played.next < seeds]:
        for name, played in behind:
            first, played.next = played.next, played.next + _PART
            played.left.append(first)
            yield name, first


def soak(
    state: SoakState, *, seeds: int, clock: WallClock, until: float, processes: int, said: Callable[[SoakState], None]
) -> None:
    """Play until each swarm has `seeds` seeds, or it is `until` by the clock.

    Args:
        state: what was played before; brought up to date as parts end.
        said: called after each part, with what was played.
    """
    for name in SWARMS:
        state.swarms.setdefault(name, Played())
    parts = _parts(state, seeds)
    under_way: dict[Future[dict[int, str]], tuple[str, int]] = {}
    with ProcessPoolExecutor(processes, get_context("fork"), _end_with_parent) as pool:
        while True:
            while len(under_way) < processes and clock.now() < until and (part := next(parts, None)):
                under_way[pool.submit(_play, *part)] = part
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                name, first = under_way.pop(future)
                state.swarms[name].broken.update(future.result())
                state.swarms[name].left.remove(first)
                said(state)


def _line(state: SoakState, seconds: float) -> str:
    done = ", ".join(
        f"{name} {played.seeds:,} seeds, {len(played.broken)} violations" for name, played in state.swarms.items()
    )
    return f"{done}; {seconds:,.0f} s"


@click.command()
@click.option("--seeds", default=50_000, show_default=True, help="Stop when each swarm has so many.")
@click.option("--minutes", default=60.0, show_default=True, help="Stop after so long; go on with the next call.")
@click.option("--processes", default=len(os.sched_getaffinity(0)), show_default=True, help="Play so many at once.")
@click.option(
    "--state",
    "path",
    default="soak.json",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that says what was played.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def main(seeds: int, minutes: float, processes: int, path: Path, as_json: bool) -> None:
    """Play seeds of the simulator and report violations. Exits with 1 if there was one."""
    if seeds < 1 or minutes <= 0 or processes < 1:
        raise click.UsageError("--seeds, --minutes and --processes must be more than 0.")
    try:
        state = load(path, code_digest())
    except (DecodeError, OSError) as error:
        raise click.UsageError(f"{path} can't be read as what a soak has played: {error}") from None
    clock = WallClock()
    began = clock.now()
    told_at = began

    def said(state: SoakState) -> None:
        nonlocal told_at
        save(path, state)
        if clock.now() - told_at >= _SAID_S:
            told_at = clock.now()
            click.echo(_line(state, clock.now() - began), err=True)

    soak(state, seeds=seeds, clock=clock, until=began + 60 * minutes, processes=processes, said=said)
    if as_json:
        click.echo(encoding.encode(state).decode())
    else:
        for name, played in state.swarms.items():
            for seed, violation in sorted(played.broken.items()):
                click.echo(f"{name}, seed {seed}:\n{violation}\n")
        click.echo(_line(state, clock.now() - began))
    if any(played.broken for played in state.swarms.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
