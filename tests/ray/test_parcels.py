"""What travels over Ray: messages arrive as they were sent, each with the bytes of its Objects."""

from __future__ import annotations

import os
import pickle
import socket

import msgspec

from weftrun.adapters.ray.parcels import deliver, packed
from weftrun.model.commands import Revoke
from weftrun.model.hosts import Forget, Ping, ToWorker, Work
from weftrun.model.ids import ObjectId
from weftrun.model.values import Object
from weftrun.wire.channel import Channel
from weftrun.wire.memfd import is_sealed, sealed

FRAME_BYTES_MAX = 1_000_000


def channels() -> tuple[Channel[ToWorker], Channel[ToWorker]]:
    ours, theirs = socket.socketpair()
    return tuple(Channel(sock, ToWorker, frame_bytes_max=FRAME_BYTES_MAX) for sock in (ours, theirs))  # type: ignore[return-value]


def test_messages_and_bytes_arrive_in_order() -> None:
    sender, receiver = channels()
    work = Work(1, 7, Revoke((3,)), (Object(ObjectId(5), 3), Object(ObjectId(6), 0)))
    descriptors = [sealed([b"abc"])[0], sealed([])[0]]
    parcel = pickle.loads(pickle.dumps(packed([(Ping(), ()), (work, descriptors), (Forget((ObjectId(5),)), ())]), 5))
    deliver(parcel, sender, msgspec.msgpack.Decoder(ToWorker))

    received: list[tuple[ToWorker, tuple[int, ...]]] = []
    while len(received) < 3:
        received += receiver.receive() or []
    assert [message for message, _ in received] == [Ping(), work, Forget((ObjectId(5),))]
    arrived = received[1][1]
    assert all(is_sealed(descriptor) for descriptor in arrived)
    assert [os.pread(descriptor, 10, 0) for descriptor in arrived] == [b"abc", b""]
    for descriptor in arrived:
        os.close(descriptor)
    sender.close()
    receiver.close()
