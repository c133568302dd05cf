"""The Worker's end of the socket to its engine: commands to the Worker of this process, and its events back."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from weftrun.adapters.hosts.peers import PeerLinks
from weftrun.adapters.passing.readiness import FdLoop, LoopChannel
from weftrun.model import hosts as m
from weftrun.model.hosts import ToWorker
from weftrun.model.ids import ObjectId, SandboxId
from weftrun.model.messages import Asking
from weftrun.model.values import Data, Object
from weftrun.model.visiting import change_data
from weftrun.model.work import AttemptAt, BatchSent, Running, Said, WorkEvent
from weftrun.ports.objects import Objects
from weftrun.ports.worker import Worker
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken
from weftrun.wire.lease_page import host_clock_s

_HOST = os.uname().nodename
PlainMessage = m.BeginRun | m.CloseRun | m.LeaveRun | m.AnswerAttempt | m.EndAttempt | m.FenceWork | m.Drain


class WorkerEnd:
    """Serves one engine (port WorkerEvents).

    Args:
        worker: the Worker of this process.
        ttl_s: an engine that gives no sign of life for so long, in seconds, may have lost its Runs to another one (O3).
        ended: called once when the engine has closed its end, has died, or has given no sign of life.
        about: tells of this Worker.
        peers: links to the other Workers of this engine, where it may tell of them.
    """

    def __init__(
        self,
        loop: FdLoop,
        channel: Channel[ToWorker],
        objects: Objects,
        worker: Worker,
        ttl_s: float,
        ended: Callable[[], None],
        about: Callable[[], m.WorkerAbout],
        peers: PeerLinks | None = None,
    ) -> None:
        self._loop = loop
        self._objects = objects
        self._worker = worker
        self._ended = ended
        self._about = about
        self._known: dict[ObjectId, ObjectId] = {}
        self._heard = 0
        self._is_over = False
        self._ttl_s = ttl_s
        self._heard_at = loop.now()
        self._told_rest: tuple[bool, int] | None = None
        self._channel = LoopChannel(loop, channel, self._readable)
        self._peers = peers
        if peers is not None:
            peers.hear_first(self._catch_up)
        worker.listen(self)
        self._watch()

    def _watch(self) -> None:
        """End with an engine that gives no sign of life."""
        if self._loop.now() - self._heard_at > self._ttl_s:
            self._ended()
        else:
            self._loop.call_at(self._loop.now() + self._ttl_s / 3, self._watch)

    def close(self) -> None:
        """Close this end."""
        self._channel.close()

    # ------------------------------------------------------------------ what the engine says

    def _readable(self) -> None:
        self._receive()

    def _catch_up(self) -> None:
        """Take all that the engine has said so far."""
        while not self._is_over and self._receive():
            pass

    def _receive(self) -> bool:
        """Receive once; say whether there was something."""
        try:
            received = self._channel.receive()
        except BlockingIOError:
            return False
        except ChannelBroken:
            received = None
        if received is None:
            self._is_over = True
            self._channel.deaf()
            self._ended()
            return False
        self.take(received)
        return True

    def take(self, received: Sequence[tuple[ToWorker, tuple[int, ...]]]) -> None:
        """Carry out what came."""
        self._heard_at = self._loop.now()
        for message, descriptors in received:
            self._take(message, descriptors)

    def _take(self, message: ToWorker, descriptors: Sequence[int]) -> None:
        worker = self._worker
        match message:
            case m.Work():
                for obj, descriptor in zip(message.objects, descriptors, strict=True):
                    self._known[obj.oid] = self._objects.adopt(descriptor, obj.nbytes).oid
                self._heard = message.number
                worker.work(message.run, change_data(message.command, self._here))
            case m.Forget():
                for oid in message.objects:
                    self._objects.release(self._known.pop(oid))
            case m.HoldUntil():
                left_s = message.at - host_clock_s()
                worker.hold_until(self._loop.now() + left_s if left_s < math.inf else math.inf)
            case m.Ping():
                self._send(m.Pong(self._about()))
            case m.Meet() if self._peers is not None:
                self._peers.meet(message.worker, descriptors[0])
            case m.Meet():
                raise ChannelBroken("This Worker speaks to no other one.")
            case m.Begin():
                raise ChannelBroken("A Worker begins once.")
            case _:
                self._pass_on(message)

    def _pass_on(self, message: PlainMessage) -> None:
        """Carry out what the Worker takes as it comes."""
        worker = self._worker
        match message:
            case m.BeginRun():
                worker.open_run(message.run, message.id, message.uid, message.bundle, message.trace)
            case m.CloseRun():
                worker.close_run(message.run)
            case m.LeaveRun():
                worker.leave_run(message.run)
            case m.AnswerAttempt():
                worker.answer(message.attempt, message.answer)
            case m.EndAttempt():
                worker.overstayed(message.attempt, message.failure)
            case m.FenceWork():
                worker.fence()
            case m.Drain():
                worker.drain()

    def _here(self, data: Data) -> Data:
        return Object(self._known[data.oid], data.nbytes) if isinstance(data, Object) else data

    # ------------------------------------------------------------------ port WorkerEvents

    def told(self, run: int, event: WorkEvent) -> None:
        """Something became of what a Run wanted done: its Objects are the engine's from now on."""
        descriptors: list[int] = []
        given: list[ObjectId] = []

        def numbered(data: Data) -> Data:
            if not isinstance(data, Object):
                return data
            descriptors.append(os.dup(self._objects.descriptor(data.oid)))
            given.append(data.oid)
            return Object(ObjectId(-len(descriptors)), data.nbytes)

        self._send(m.Told(run, change_data(event, numbered)), descriptors)
        for oid in given:
            self._objects.release(oid)

    def printed(self, said: Said) -> None:
        """An Attempt printed text."""
        self._send(m.Printed(said))

    def batch_sent(self, sent: BatchSent) -> None:
        """A Batch went to a Sandbox."""
        self._send(m.SentBatch(replace(sent, host=_HOST)))

    def running(self, rows: Sequence[Running]) -> None:
        """Something has been running for long."""
        self._send(m.Shown(tuple(rows)))

    def asked(self, attempt: AttemptAt, message: Asking) -> None:
        """An Attempt says something to its transaction, or of a stream."""
        self._send(m.Asked(attempt, message))

    def sandbox_ended(self, sandbox: SandboxId) -> None:
        """A Sandbox is gone."""
        self._send(m.SandboxEnded(sandbox))

    def rested(self) -> None:
        """What there was to be done has been handed on; told where that changes what the engine knows."""
        rest = (self._worker.quiet, self._heard)
        if rest != self._told_rest and rest[0]:
            self._send(m.Rested(*rest))
        self._told_rest = rest

    def gone(self, why: str) -> None:
        """A Worker in this process is never gone."""

    def _send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        self._channel.gather(message, descriptors, close=descriptors)
