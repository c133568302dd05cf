"""Workers of one host hand one another values over a socket; what can't be handed over is dropped."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contracts.test_worker import doing, no_blob

from weftrun.adapters.hosts.peers import PeerLinks
from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.ids import WorkerId
from weftrun.model.values import Data, Inline, Object

ONE, TWO = WorkerId(1), WorkerId(2)
WAIT_S = 60.0


class End:
    """One Worker's end: its store, its links, and what it was handed."""

    def __init__(self, loop: UvLoop, folder: Path) -> None:
        self.objects = MemfdObjects(folder, quota_bytes=1 << 20, descriptors_max=100, open_blob=no_blob)
        self.links = PeerLinks(loop, self.objects, 1 << 20)
        self.handed: list[tuple[WorkerId, int, int, Data]] = []
        self.changed = threading.Condition()
        self.links.listen(self.take)

    def take(self, source: WorkerId, run: int, step: int, value: Data, /) -> None:
        with self.changed:
            self.handed.append((source, run, step, value))
            self.changed.notify_all()

    def until(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.handed) >= count, WAIT_S)


@pytest.fixture
def do() -> Iterator[tuple[UvLoop, Callable[[Callable[[], None]], None]]]:
    loop = UvLoop()
    loop.start()
    yield loop, doing(loop)
    loop.stop()


@pytest.fixture
def ends(do: tuple[UvLoop, Callable[[Callable[[], None]], None]], tmp_path: Path) -> Iterator[tuple[End, End]]:
    loop, call = do
    one, two = End(loop, tmp_path / "one"), End(loop, tmp_path / "two")
    ours, theirs = socket.socketpair()
    call(lambda: one.links.meet(TWO, ours.detach()))
    call(lambda: two.links.meet(ONE, theirs.detach()))
    yield one, two
    for end in (one, two):
        call(end.links.close)
        end.objects.close()


def test_values_arrive_in_order_and_objects_without_a_copy(do, ends: tuple[End, End]) -> None:
    one, two = ends
    large = one.objects.publish([b"ab" * 100_000])

    def give() -> None:
        one.links.give(TWO, 7, 1, Inline(b"small"))
        one.links.give(TWO, 7, 2, large)
        one.objects.release(large.oid)  # at once: the message has its own descriptor

    do[1](give)
    two.until(2)
    assert two.handed[0] == (ONE, 7, 1, Inline(b"small"))
    source, run, step, value = two.handed[1]
    assert (source, run, step) == (ONE, 7, 2)
    assert isinstance(value, Object)
    assert bytes(two.objects.view(value.oid)) == b"ab" * 100_000
    two.objects.release(value.oid)
    assert one.objects.stats()["objects"] == two.objects.stats()["objects"] == 0


def test_what_the_engine_has_said_is_heard_first(do, ends: tuple[End, End]) -> None:
    one, two = ends
    heard: list[int] = []
    two.links.hear_first(lambda: heard.append(len(two.handed)))
    do[1](lambda: one.links.give(TWO, 7, 1, Inline(b"small")))
    two.until(1)
    assert heard == [0]


def test_what_is_handed_to_nobody_is_dropped(do, ends: tuple[End, End]) -> None:
    """The other Worker is gone, is not known, or sends what is no message."""
    one, two = ends
    do[1](two.links.close)
    do[1](lambda: one.links.give(TWO, 7, 1, Inline(b"small")))
    do[1](lambda: one.links.give(WorkerId(9), 7, 1, Inline(b"small")))
    ours, theirs = socket.socketpair()
    do[1](lambda: one.links.meet(WorkerId(3), ours.detach()))
    theirs.sendall(b"\xff" * 64)
    assert theirs.recv(1) == b"", "it has closed the link"
    theirs.close()
    assert not two.handed
