"""Workers on different hosts reach one another: strangers are turned away, and Objects come whole or not at all."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contracts.test_worker import no_blob
from tests.engine.leftovers import wait_until

from weftrun.adapters.hosts import fetching
from weftrun.adapters.hosts.fetching import Fetcher, HostDoor
from weftrun.adapters.hosts.greeting import Membership, Purpose, Stranger, answer, call
from weftrun.adapters.memfd import MemfdObjects
from weftrun.model.ids import ObjectId, WorkerId
from weftrun.model.values import Object
from weftrun.wire.memfd import is_sealed

LOOPBACK = "127.0.0.1"
SILENCE_S = 20.0


def member(worker: int, secret: bytes = b"of this engine") -> Membership:
    return Membership(WorkerId(worker), secret)


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[MemfdObjects]:
    store = MemfdObjects(tmp_path, quota_bytes=20_000_000, descriptors_max=100, open_blob=no_blob)
    yield store
    store.close()


Called = list[tuple[socket.socket, WorkerId]]


@pytest.fixture
def called() -> Called:
    return []


@pytest.fixture
def door(objects: MemfdObjects, called: Called) -> Iterator[HostDoor]:
    door = HostDoor(LOOPBACK, member(1), objects, lambda sock, worker: called.append((sock, worker)), SILENCE_S)
    yield door
    door.close()
    for sock, _ in called:
        sock.close()


def fetched(door: HostDoor, wanted: Object) -> bytes | None:
    fetcher = Fetcher(LOOPBACK, door.port, member(2), SILENCE_S)
    try:
        descriptor = fetcher.fetch(wanted)
        if descriptor is None:
            return None
        assert is_sealed(descriptor)
        found = os.pread(descriptor, wanted.nbytes + 1, 0)
        os.close(descriptor)
        return found
    finally:
        fetcher.close()


@pytest.mark.parametrize("nbytes", [0, 1, 5_000_000, 25_000_000], ids=["empty", "a byte", "in memory", "spilled"])
def test_an_object_comes_as_it_is_kept(door: HostDoor, objects: MemfdObjects, nbytes: int) -> None:
    data = os.urandom(nbytes)
    kept = objects.publish([data])
    assert fetched(door, kept) == data
    objects.release(kept.oid)
    wait_until(lambda: not objects.stats()["objects"], "the door has let go of it")


def test_what_is_not_kept_any_more_is_said_to_be_gone(door: HostDoor, objects: MemfdObjects) -> None:
    kept = objects.publish([b"abc"])
    fetcher = Fetcher(LOOPBACK, door.port, member(2), SILENCE_S)
    assert fetcher.fetch(Object(ObjectId(99), 3)) is None
    descriptor = fetcher.fetch(kept)  # over the same connection
    assert descriptor is not None
    assert os.pread(descriptor, 9, 0) == b"abc"
    os.close(descriptor)
    assert fetcher.fetch(Object(kept.oid, 4)) is None, "it has another size than was told"
    fetcher.close()


def test_who_does_not_know_the_secret_is_turned_away(door: HostDoor, called: Called) -> None:
    for purpose in Purpose:
        with pytest.raises(Stranger, match=f"who answers at {LOOPBACK}:{door.port} is no Worker of this engine"):
            call(LOOPBACK, door.port, member(2, b"of another engine"), purpose)
    with call(LOOPBACK, door.port, member(2), Purpose.VALUES):
        pass
    wait_until(lambda: bool(called), "the door has let somebody in")
    assert [worker for _, worker in called] == [2]


@pytest.mark.parametrize(
    "say",
    [b"GET / HTTP/1.1\r\n\r\n" + bytes(200), b"x", b""],
    ids=["another protocol", "too little", "nothing"],
)
def test_what_is_no_greeting_changes_nothing(door: HostDoor, objects: MemfdObjects, say: bytes) -> None:
    kept = objects.publish([b"abc"])
    with socket.create_connection((LOOPBACK, door.port)) as sock, contextlib.suppress(OSError):
        sock.sendall(say)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1_000):
            pass
    assert fetched(door, kept) == b"abc"


def test_who_only_repeats_what_it_has_heard_is_turned_away() -> None:
    """An answer to one challenge is none to another, and what a Worker answers with is no way to call."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        said = threading.Thread(target=_mirror, args=[theirs])
        said.start()
        with pytest.raises((Stranger, OSError)):
            answer(_Plain(ours), member(1))  # type: ignore[arg-type]
        ours.close()
        said.join()


class _Plain:
    """A socket pair that takes options of TCP."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def setsockopt(self, *_: int) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., object]:
        return getattr(self._sock, name)  # type: ignore[no-any-return]


def _mirror(sock: socket.socket) -> None:
    sock.sendall(bytes(37))
    heard = sock.recv(64, socket.MSG_WAITALL)
    sock.sendall(heard[32:])
    sock.recv(1)


def test_a_door_that_closes_in_the_middle_of_an_object_gives_nothing(
    objects: MemfdObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    amid, closed = threading.Event(), threading.Event()

    def send_half(sock: socket.socket, descriptor: int, start: int, nbytes: int) -> None:
        sock.sendall(os.pread(descriptor, nbytes // 2, 0))
        amid.set()
        assert closed.wait(SILENCE_S)
        sock.sendall(os.pread(descriptor, nbytes, nbytes // 2))

    monkeypatch.setattr(fetching, "_send_file", send_half)
    door = HostDoor(LOOPBACK, member(1), objects, lambda *_: None, SILENCE_S)
    kept = objects.publish([bytes(1_000_000)])
    found: list[bytes | None] = []
    reader = threading.Thread(target=lambda: found.append(fetched(door, kept)))
    reader.start()
    assert amid.wait(SILENCE_S)
    door.close()
    closed.set()
    reader.join()
    assert found == [None]


def test_what_was_promised_counts_until_it_has_left(door: HostDoor, objects: MemfdObjects) -> None:
    """By the speed that was measured; what nobody asks for, or who is gone, does not count for ever."""
    outflow, me, gone = door.outflow, WorkerId(2), WorkerId(3)
    kept = [objects.publish([bytes(6_000_000)]) for _ in range(3)]
    fetcher = Fetcher(LOOPBACK, door.port, member(2), SILENCE_S)
    for obj in kept:
        outflow.promised(me, obj.oid, obj.nbytes)
        outflow.promised(gone, obj.oid, obj.nbytes)
    assert not outflow.leaves_in_s(), "no speed is known yet"
    while not (before_s := outflow.leaves_in_s()):
        os.close(fetcher.fetch(kept[0]) or -1)
    os.close(fetcher.fetch(kept[1]) or -1)
    outflow.part(gone)
    assert before_s > 0
    outflow.forgotten([kept[2].oid])
    wait_until(lambda: not outflow.leaves_in_s(), "all has left, or is wanted no more")
    fetcher.close()
