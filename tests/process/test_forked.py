"""Forks of a warm Sandbox: an oracle of what they may do to one another, at each point of a kill, and planted bugs.

They are forks of this process, so that a bug can be planted in what they do.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.sweeping import shared_rows

from weftrun.guest import forked
from weftrun.guest.forked import ForkEnded, Found, in_fork
from weftrun.sdk.codec import Encoded, decode, encode
from weftrun.wire.frames import HEADER

Plant = Callable[[pytest.MonkeyPatch], None]
AT_ONCE = 4
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
state = {"calls": 0}
"""What an author's module keeps; a fork has one of its own."""
forks: list[int] = []


class DyingFile:
    """A file whose process is killed when so many bytes of what it is given are written."""

    def __init__(self, file: Any, left: int) -> None:
        self._file = file
        self._left = left

    def __enter__(self) -> DyingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def writelines(self, pieces: list[Any]) -> None:
        for piece in pieces:
            part = bytes(piece)[: self._left]
            self._file.write(part)
            self._file.flush()
            self._left -= len(part)
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def told(index: int) -> tuple[Found, Encoded]:
    """Return what Attempt number `index` finds: how often it was called, and much that is its own."""
    state["calls"] += 1
    value = (index, state["calls"], bytes([index]) * 100_000)
    return Found(None, shown=str(index)), encode(value, what="a value")


def at_once(work: Callable[[int], tuple[Found, Encoded | None]], left_s: float | None = None) -> list[ForkEnded]:
    """Run Attempts in forks, each from a thread of its own."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda index: in_fork(lambda: work(index), fork, left_s), range(AT_ONCE)))


def complaints(ends: list[ForkEnded]) -> set[str]:
    """Return what is wrong with what came of Attempts that all succeed but those that were killed (the oracle)."""
    said = set()
    for index, ended in enumerate(ends):
        if ended.found is None:
            continue
        try:
            whose, calls, large = decode(ended.value.tobytes())  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - of half a value anything may be raised
            said.add("half a value is taken for what was returned")
            continue
        if (ended.found.shown, whose, large) != (str(index), index, bytes([index]) * 100_000):
            said.add("an Attempt has the outcome of a neighbour")
        if calls != 1:
            said.add("an Attempt sees what a neighbour has changed")
    if state["calls"]:
        said.add("what an Attempt changes stays in its Sandbox")
        state["calls"] = 0
    if left_behind():
        said.add("a fork is left behind")
    return said


def fork() -> int:
    pid = os.fork()
    forks.append(pid)
    return pid


def left_behind() -> list[int]:
    """Reap what nobody has reaped, and return it."""
    found = []
    while forks:
        pid = forks.pop()
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED)
            found.append(pid)
    return found


def memories() -> int:
    """Return how many descriptors of what forks share with their Sandbox are open."""
    links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum("weftrun-fork" in link for link in links)


def histories(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Let four Attempts succeed, be late, and be killed at each interesting byte of what they tell."""
    ends = at_once(told)
    said = complaints(ends)
    if any(ended.found is None for ended in ends):
        said.add("an Attempt is lost that nobody killed")
    late = at_once(lambda _: signal.pause() or told(0), 0.01)  # type: ignore[func-returns-value]
    if not all(ended.was_late and ended.found is None for ended in late):
        said.add("an Attempt is not ended when its time is over")
    found, value = told(0)
    state["calls"] = 0
    body = len(forked.msgspec.msgpack.encode(found))
    for cut in (1, HEADER.size, HEADER.size + body - 1, HEADER.size + body, HEADER.size + body + value.nbytes // 2):
        with monkeypatch.context() as dying:
            dying.setattr(forked, "open", dies_after(cut), raising=False)
            ends = at_once(told)
        said |= complaints(ends)
        if any(ended.found is not None for ended in ends):
            said.add("a fork that was killed while it told has told")
    if memories():
        said.add("descriptors are left open")
    return said


def dies_after(cut: int) -> Callable[..., Any]:
    def opens(file: int, mode: str, **how: Any) -> Any:
        opened = open(file, mode, **how)  # noqa: SIM115 - whoever asked closes it
        return DyingFile(opened, cut) if mode == "wb" else opened

    return opens


# ---------------------------------------------------------------------- what is planted


def what_a_killed_fork_left_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the memory counts, however the fork ended."""
    waited = forked._waited
    monkeypatch.setattr(forked, "_waited", lambda pid, left_s: (0, waited(pid, left_s)[1]))


def all_forks_have_one_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = os.memfd_create("planted")
    monkeypatch.setattr(forked.os, "memfd_create", lambda *_: os.dup(shared))


def a_fork_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is seen, but nobody reaps it."""

    def seen(pid: int, _options: int) -> tuple[int, int]:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # what it left is looked at, since it tells no exit code
        return pid, 0

    monkeypatch.setattr(forked.os, "waitpid", seen)


def a_late_fork_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a fork is not looked at: here it ends by an alarm."""
    waited = forked._waited

    def waits(pid: int, left_s: float | None) -> tuple[int, bool]:
        if left_s is not None:
            os.kill(pid, signal.SIGTERM)
        return waited(pid, None)

    monkeypatch.setattr(forked, "_waited", waits)


def a_fork_is_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Attempt is run by the thread of the Sandbox itself."""
    real = in_fork

    def here(work: Callable[[], tuple[Found, Encoded | None]], forks: Callable[[], int], left_s: float | None) -> Any:
        return real(work, forks, left_s) if left_s is not None else ForkEnded(*work(), "exit code 0", was_late=False)

    monkeypatch.setitem(globals(), "in_fork", here)


PLANTS: list[tuple[Plant, str]] = [
    (what_a_killed_fork_left_is_taken, "half a value is taken for what was returned"),
    (all_forks_have_one_memory, "an Attempt has the outcome of a neighbour"),
    (a_fork_is_not_waited_for, "a fork is left behind"),
    (a_late_fork_goes_on, "an Attempt is not ended when its time is over"),
    (a_fork_is_no_fork, "what an Attempt changes stays in its Sandbox"),
]


def test_forks_harm_nobody_wherever_they_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert histories(monkeypatch) == set()


@pytest.mark.parametrize(("plant", "says"), shared_rows(PLANTS))
def test_a_planted_bug_is_found(plant: Plant, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as planted:
        plant(planted)
        said = histories(planted)
    assert says in said
