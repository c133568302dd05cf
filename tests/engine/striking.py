"""An engine that stands still at a point of `everything`, while something happens to what it has started.

What is struck is found from outside, by the tree of processes: the zygote has children, and Sandboxes have none.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import apsw
from tests.engine import everything as e
from tests.engine.leftovers import descendants, processes_with
from tests.waiting import until

FROZEN_S = 1.5 * e.TTL_S
"""How long something is left frozen: longer than the Lease of the engine."""
KEPT_S = 4 * e.TTL_S
"""How long another engine has until what is frozen is woken in any case."""
POINTS = range(1, 50)
"""Points of the engine that every way through the workflow has."""
BLOWS = int(os.environ.get("WEFTRUN_BLOWS", "2"))
"""How many of each kind, half of them while a body runs."""


def state_of(pid: int) -> str:
    """Return the letter of a process's state, X where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes, those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Stage:
    """An engine in a process of its own that stands still, or whose Sandbox does.

    Attributes:
        chance: what to strike is drawn from, where there is a choice.
    """

    def __init__(self, url: str, folder: Path, at: int | str, chance: random.Random) -> None:
        """Start it, and wait until it stands at a point (a number) or in a body (one of `PLACES`)."""
        self.url = url
        self.folder = folder
        self.chance = chance
        if isinstance(at, str):
            e.stop_at(folder, at)
        self.process = e.started(url, folder, at if isinstance(at, int) else 0, signal.SIGSTOP)
        self.stands = 0
        until(self._stands)

    def _stands(self) -> bool:
        for pid in (self.process.pid, *descendants(self.process.pid)):
            if state_of(pid) == "T":
                self.stands = pid
        return bool(self.stands) or self.process.poll() is not None

    @property
    def engine_stands(self) -> bool:
        """Whether it is the engine that stands, and not a Sandbox of it."""
        return self.stands == self.process.pid

    def zygotes(self) -> list[int]:
        """Return the zygote; where it is the first process of a namespace, also the one that waits for it.

        At the beginning it has no children yet.
        """
        below = self.below()
        return [pid for pid in below if descendants(pid)] or list(below)

    def sandbox(self) -> int:
        """Return the Sandbox that stands, or any."""
        if not self.engine_stands:
            return self.stands
        return self.chance.choice(sorted(pid for pid in self.below() if not descendants(pid)))

    def below(self) -> set[int]:
        """Return all that the engine has started."""
        found = descendants(self.process.pid)
        assert found
        return found

    def started(self) -> set[int]:
        """Return whatever has been started by an engine of this folder, wherever it stands in the tree."""
        return set(processes_with(f"{e.FOLDER}={self.folder}"))

    def go_on(self) -> None:
        """Let go on what stands."""
        send([self.stands], signal.SIGCONT)

    def ended(self) -> dict[str, int]:
        """Return the answer of the engine, which has ended, and nothing that it had started is there any more."""
        out, said = self.process.communicate(timeout=90)
        assert self.process.returncode == 0, said
        until(lambda: not self.started())
        answer: dict[str, int] = json.loads(out)
        return answer

    def close(self) -> None:
        """End the engine, and with it all the others."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            send([*descendants(self.process.pid), self.process.pid], signal.SIGKILL)
            self.process.communicate(timeout=10)


Blow = Callable[[Stage], None]


def zygote_killed(stage: Stage) -> None:
    send(stage.zygotes(), signal.SIGKILL)
    stage.go_on()


def zygote_frozen(stage: Stage) -> None:
    zygotes = stage.zygotes()
    send(zygotes, signal.SIGSTOP)
    stage.go_on()
    time.sleep(FROZEN_S)
    send(zygotes, signal.SIGCONT)


def sandbox_killed(stage: Stage) -> None:
    send([stage.sandbox()], signal.SIGKILL)
    stage.go_on()


def sandbox_frozen(stage: Stage) -> None:
    sandbox = stage.sandbox()
    send([sandbox], signal.SIGSTOP)
    if stage.engine_stands:
        stage.go_on()
    time.sleep(FROZEN_S)
    send([sandbox], signal.SIGCONT)


def all_frozen(stage: Stage) -> None:
    """The engine and all that it has started are frozen in the middle of it, and wake one after the other."""
    everybody = [stage.process.pid, *stage.below()]
    send(everybody, signal.SIGSTOP)
    stage.chance.shuffle(everybody)
    thawed_by_another(stage, everybody)


def thawed_by_another(stage: Stage, frozen: list[int]) -> None:
    """Wake processes when another engine has finished the Run, or can't, since they keep the lock that it needs."""

    def wake() -> None:
        for pid in frozen:
            send([pid], signal.SIGCONT)
            time.sleep(0.02)

    timer = threading.Timer(KEPT_S, wake)
    timer.start()
    try:
        with e.opened(stage.url, stage.folder) as engine:
            engine.start(e.everything.options(id=e.ID), str(stage.folder / "ledger")).result(60)
    finally:
        timer.cancel()
        timer.join()
    wake()


def keeps_lock(url: str) -> bool:
    """Say whether somebody keeps the write lock of a SQLite file."""
    if not url.startswith("sqlite"):
        return False
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    connection.set_busy_timeout(500)
    try:
        connection.execute("BEGIN IMMEDIATE; ROLLBACK")
    except apsw.BusyError:
        return True
    finally:
        connection.close()
    return False


def freeze(process: subprocess.Popen[str], url: str) -> None:
    """Stop an engine at a moment at which it does not keep the write lock of its Journal: nobody could go on then."""
    while True:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # a thread of it may be in the middle of a commit still
        if not keeps_lock(url):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)


def drawn(blow: str, n: int) -> int | str:
    """Draw where the `n`-th blow of a kind hits: by turns a point of the engine and a place in a body."""
    chance = random.Random(f"{blow} {n}")
    return chance.choice(e.PLACES) if n % 2 else chance.choice(POINTS)
