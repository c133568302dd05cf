"""Frames, channels, pages and bounded text: the parts that both ends share."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftrun.wire.channel import Channel
from weftrun.wire.frames import HEADER, ChannelBroken, FrameInbox
from weftrun.wire.page import Page, make_page
from weftrun.wire.text import BoundedText

LIMIT = 1 << 20


class Said(msgspec.Struct, frozen=True):
    """A message of these tests."""

    data: bytes


Pair = tuple[Channel[Said], Channel[Said]]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ends: Pair = Channel(ours, Said, frame_bytes_max=LIMIT), Channel(theirs, Said, frame_bytes_max=LIMIT)
    yield ends
    for end in ends:
        end.close()


@given(bodies=st.lists(st.binary(min_size=1, max_size=300_000), max_size=5), cuts=st.lists(st.integers(1, 200_000)))
def test_frames_survive_any_cutting(bodies: list[bytes], cuts: list[int]) -> None:
    inbox = FrameInbox(frame_bytes_max=LIMIT)
    stream = memoryview(b"".join(HEADER.pack(len(body), 0) + body for body in bodies))
    found: list[bytes] = []
    steps = iter([*cuts, *[1 << 20] * 100])
    while stream:
        space = inbox.space()
        nbytes = min(len(stream), len(space), next(steps))
        assert nbytes > 0
        space[:nbytes] = stream[:nbytes]
        stream = stream[nbytes:]
        found += [bytes(body) for body, _ in inbox.arrived(nbytes)]
        inbox.settle()
    assert found == bodies


def test_a_frame_over_the_limit_is_refused(pair: Pair) -> None:
    ours, theirs = pair
    with pytest.raises(ChannelBroken, match="frame_bytes_max"):
        ours.send(Said(bytes(LIMIT + 1)))
    ours.socket.send(HEADER.pack(LIMIT + 1, 0))
    with pytest.raises(ChannelBroken, match="frame_bytes_max"):
        theirs.receive()


def test_many_descriptors_stay_with_their_message(pair: Pair) -> None:
    ours, theirs = pair
    files = [os.memfd_create(f"file {i}") for i in range(150)]
    ours.queue(Said(b"before"))
    ours.queue(Said(b"all"), files)
    ours.queue(Said(b"one"), files[:1])
    ours.queue(Said(b"after"))
    assert ours.flush()
    got: list[tuple[Said, tuple[int, ...]]] = []
    while len(got) < 4:
        got += theirs.receive() or []
    assert [(said.data, len(descriptors)) for said, descriptors in got] == [
        (b"before", 0),
        (b"all", 150),
        (b"one", 1),
        (b"after", 0),
    ]
    names = [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in got[1][1]]
    assert names == [f"/memfd:file {i} (deleted)" for i in range(150)]
    assert not any(os.get_inheritable(descriptor) for descriptor in got[1][1])
    for descriptor in [*files, *got[1][1], *got[2][1]]:
        os.close(descriptor)


def test_a_full_socket_keeps_the_rest(pair: Pair) -> None:
    ours, theirs = pair
    said = [Said(bytes([i]) * 300_000) for i in range(10)]
    done = [ours.send(message) for message in said]
    assert not all(done)
    got: list[bytes] = []
    while len(got) < len(said):
        got += [message.data for message, _ in theirs.receive() or []]
        ours.flush()
    assert got == [message.data for message in said]


def test_lost_descriptors_break_the_channel(pair: Pair) -> None:
    ours, theirs = pair
    null = os.open("/dev/null", os.O_RDONLY)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 100))]
    ours.socket.sendmsg([HEADER.pack(1, 100) + b"\x00"], ancillary)
    with pytest.raises(ChannelBroken, match="Descriptors were lost"):
        theirs.receive()
    os.close(null)


def test_descriptors_that_never_came_break_the_channel(pair: Pair) -> None:
    ours, theirs = pair
    body = msgspec.msgpack.encode(Said(b"x"))
    ours.socket.send(HEADER.pack(len(body), 2) + body)
    with pytest.raises(ChannelBroken, match="0 of its 2 descriptors"):
        theirs.receive()


def test_nonsense_breaks_the_channel(pair: Pair) -> None:
    ours, theirs = pair
    ours.socket.send(HEADER.pack(3, 0) + b"\xff\xff\xff")
    with pytest.raises(ChannelBroken, match="no message"):
        theirs.receive()


def test_the_end_comes_after_the_last_message(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(Said(b"last"))
    theirs.close()
    assert ours.receive() == [(Said(b"last"), ())]
    assert ours.receive() is None
    assert ours.send(Said(b"to nobody"))


def bounded(data: bytes, head: int, tail: int) -> bytes:
    """Return what is kept, without the note."""
    return data if len(data) <= head + tail else data[:head] + data[-tail:]


@given(st.lists(st.text("abc", max_size=40).map(str.encode), max_size=8))
def test_both_kinds_of_bounded_text_keep_head_and_tail(pieces: list[bytes]) -> None:
    kept = BoundedText(16)
    descriptor = make_page(16)
    page = Page(descriptor, 16, writable=True)
    os.close(descriptor)
    for piece in pieces:
        kept.add(piece)
        page.write_text(piece)
    whole = b"".join(pieces)
    for text in (kept.take(), page.text()):
        head, note, tail = text.split("\n") if len(whole) > 16 else (text, "", "")
        assert note == (f"… {len(whole) - 16} bytes left out …" if tail else "")
        assert (head + tail).encode() == bounded(whole, 8, 8)
    assert not kept
    page.close()


def test_a_guest_cannot_resize_the_page() -> None:
    descriptor = make_page(100)
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
    os.close(descriptor)
