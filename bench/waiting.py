"""What very many Runs cost that do nothing but wait for another Attempt."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import apsw
from bench.at_rest import SETTLE_S, kept_open, looked_at
from bench.copies import copies_of
from bench.figure import Figure, Setting, limit
from bench.memory import family, pss_bytes

import weftrun
from weftrun import Retry, function
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.model.ids import SessionUid
from weftrun.model.lease import Session
from weftrun.ports.journal import Rest

_LONG_S = 86_400.0


@function(retries=Retry(3, delay_s=_LONG_S, delay_max_s=_LONG_S, jitter=0))
def tomorrow() -> None:
    raise ValueError("not today")


def _fill(folder: Path, runs: int) -> None:
    """Make a Journal with so many Runs that wait: copies of a real one, suspended as an engine suspends them."""
    file = folder / "journal.db"
    with weftrun.open(f"sqlite:///{file}", sandboxes=1) as opened:
        run = opened.start(tomorrow)
        while len(rows := opened._core.rows(run._ticket)) < 2:  # type: ignore[attr-defined]
            time.sleep(0.01)
    journal = SqliteJournal(file, SystemEntropy(), pause)
    journal.begin(Session(SessionUid("0" * 32), "bench", 1, "", 10.0))
    due_at = time.time() + _LONG_S
    for copied in copies_of(rows, runs):
        journal.append(copied)
        journal.suspend({row.uid: Rest(due_at) for row in copied})
    journal.leave()
    journal.close()


def waiting(setting: Setting) -> list[Figure]:
    """Let an engine rest on a Journal in which very many Runs wait, and beside it on one without them."""
    sizes = setting.sizes
    rests = (
        f"an engine that has run 64 Steps, on a Journal in which {sizes.waiting_runs:,} Runs wait until tomorrow, over "
        f"{sizes.idle_s:g} s: "
    )
    many = f"{sizes.waiting_runs:,} Runs wait"
    opens = Figure(
        f"{many}, weftrun.open", "ms", "with no such Run", must=1.5,
        inside="first call in a process, on that Journal. Floor: the same on an empty one.",
    )  # fmt: skip
    writes = limit(
        f"{many}, writes", "commits", 0.5, rests + "whether anybody has changed the file. The limit is none."
    )
    idle = limit(f"{many}, processor", "%", 0.1, rests + "time of all threads of all its processes.")
    memory = Figure(
        f"{many}, engine's PSS", "MB", "with no such Run", rests + "its process. Floor: the same on an empty Journal.",
        must=1.1,
    )  # fmt: skip
    for _ in range(setting.rounds):
        folder = tempfile.mkdtemp(dir=setting.folder)
        told: list[float] = []
        bare_mb = _rest(setting, folder, told)[0]
        folder = tempfile.mkdtemp(dir=setting.folder)
        _fill(Path(folder), sizes.waiting_runs)
        mb, changes, percent = _rest(setting, folder, told)
        opens.add(told[1] * 1e3, told[0] * 1e3)
        writes.add(changes, 0.5)
        idle.add(percent, 0.1)
        memory.add(mb, bare_mb)
    return [opens, writes, idle, memory]


def _rest(setting: Setting, folder: str, told: list[float]) -> tuple[float, float, float]:
    """Return the memory of an engine that rests, in MB, how often its Journal changed, and its processor time."""
    with kept_open("-m", "bench.resting", folder, str(setting.sandboxes)) as (pid, line):
        told.append(json.loads(line)["first_s"])
        time.sleep(SETTLE_S)
        seen = apsw.Connection(f"{folder}/journal.db", flags=apsw.SQLITE_OPEN_READONLY)
        before = seen.pragma("data_version")
        percent, _ = looked_at(family(pid), setting.sizes.idle_s)
        changes = seen.pragma("data_version") - before
        seen.close()
        return pss_bytes(pid) / 1e6, float(changes), percent
