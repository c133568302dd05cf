"""The Worker's end of the socket to its engine: commands to the Worker of this process, and its events back."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from weftrun.adapters.hosts.arriving import ArrivingWork
from weftrun.adapters.hosts.distant_peers import DistantPeers
from weftrun.adapters.hosts.peers import PeerLinks
from weftrun.adapters.passing.readiness import FdLoop, LoopChannel
from weftrun.model import hosts as m
from weftrun.model.hosts import ToWorker
from weftrun.model.ids import ObjectId, SandboxId, WorkerId
from weftrun.model.messages import Asking
from weftrun.model.values import Data, Object
from weftrun.model.visiting import change_data
from weftrun.model.work import AttemptAt, BatchSent, Came, Running, Said, WorkEvent
from weftrun.ports.objects import Objects
from weftrun.ports.worker import Worker
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken
from weftrun.wire.lease_page import host_clock_s
from weftrun.wire.said_page import SaidPage

_HOST = os.uname().nodename
PlainMessage = m.BeginRun | m.CloseRun | m.LeaveRun | m.AnswerAttempt | m.EndAttempt | m.FenceWork | m.Drain


class WorkerEnd:
    """Serves one engine (port WorkerEvents).

    Args:
        worker: the Worker of this process.
        me: its number.
        ttl_s: an engine that gives no sign of life for so long, in seconds, may have lost its Runs to another one (O3).
        page: where a Batch is noted that leaves before the engine is told; None on another host, where what this end
            has said last may be lost together with this process.
        ended: called once when the engine has closed its end, has died, or has given no sign of life.
        about: tells of this Worker.
        peers: links to the other Workers of this engine, where it may tell of them. With those on other hosts this one
            keeps what it makes until the engine forgets it.
    """

    def __init__(
        self,
        loop: FdLoop,
        channel: Channel[ToWorker],
        objects: Objects,
        worker: Worker,
        me: WorkerId,
        ttl_s: float,
        ended: Callable[[], None],
        about: Callable[[], m.WorkerAbout],
        peers: PeerLinks | DistantPeers,
        *,
        page: SaidPage | None = None,
    ) -> None:
        self._loop = loop
        self._objects = objects
        self._worker = worker
        self._ended = ended
        self._about = about
        self._keeps = isinstance(peers, DistantPeers)
        self._arriving = ArrivingWork(
            objects, worker, me, peers if isinstance(peers, DistantPeers) else None,
            lambda oid: self._send(m.Lacks((oid,))), self.came,
        )  # fmt: skip
        self._page = page
        self._asked = 0
        self._waiting: dict[int, Callable[[], None]] = {}
        self._heard = 0
        self._is_over = False
        self._ttl_s = ttl_s
        self._heard_at = loop.now()
        self._told_rest: tuple[bool, int] | None = None
        self._channel = LoopChannel(loop, channel, self._readable)
        self._peers = peers
        peers.hear_first(self._catch_up)
        worker.listen(self)
        if isinstance(peers, DistantPeers):
            peers.tell_what_comes(self.came)
            self._send(m.Serves(peers.port))
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
                self._heard = message.number
                self._arriving.take(message, descriptors)
            case m.Bring():
                self._arriving.bring(message.objects, descriptors)
            case m.Forget():
                self._arriving.forget(message.objects)
                for oid in message.kept:
                    self._objects.release(oid)
                if message.kept and isinstance(self._peers, DistantPeers):
                    self._peers.forgotten(message.kept)
            case m.SendKept():
                descriptor = os.dup(self._objects.descriptor(message.number))
                self._send(m.KeptSent(message.number), [descriptor])
            case m.HoldUntil():
                left_s = message.at - host_clock_s()
                worker.hold_until(self._loop.now() + left_s if left_s < math.inf else math.inf)
            case m.MayGo():
                self._waiting.pop(message.number)()
            case m.Ping():
                self._send(m.Pong(self._about()))
            case m.Meet() | m.Dial() | m.Parted():
                self._meet(message, descriptors)
            case m.Begin():
                raise ChannelBroken("A Worker begins once.")
            case _:
                self._pass_on(message)

    def _meet(self, message: m.Meet | m.Dial | m.Parted, descriptors: Sequence[int]) -> None:
        """Hear of another Worker."""
        peers, worker = self._peers, message.worker
        match message, peers:
            case m.Meet(), PeerLinks():
                peers.meet(worker, descriptors[0])
            case m.Dial(host=host, port=port), DistantPeers():
                peers.dial(worker, host, port, lambda: self._send(m.Met(worker)))
            case m.Parted(), DistantPeers():
                peers.part(worker)
            case _:
                raise ChannelBroken("This Worker speaks to others in another way.")

    def _pass_on(self, message: PlainMessage) -> None:
        """Carry out what the Worker takes as it comes."""
        worker = self._worker
        match message:
            case m.BeginRun():
                worker.open_run(message.run, message.id, message.uid, message.bundle, message.trace)
            case m.CloseRun():
                self._arriving.drop(message.run)
                worker.close_run(message.run)
            case m.LeaveRun():
                self._arriving.drop(message.run)
                worker.leave_run(message.run)
            case m.AnswerAttempt():
                worker.answer(message.attempt, message.answer)
            case m.EndAttempt():
                worker.overstayed(message.attempt, message.failure)
            case m.FenceWork():
                self._arriving.drop_all()
                worker.fence()
            case m.Drain():
                worker.drain()

    # ------------------------------------------------------------------ port WorkerEvents

    def told(self, run: int, event: WorkEvent) -> None:
        """Something became of what a Run wanted done: its Objects are the engine's from now on."""
        given: list[ObjectId] = []

        def numbered(data: Data) -> Data:
            if not isinstance(data, Object):
                return data
            given.append(data.oid)
            return Object(ObjectId(-len(given)), data.nbytes)

        changed = change_data(event, numbered)
        if self._keeps:
            self._send(m.Told(run, changed, tuple(given)))
            return
        self._send(m.Told(run, changed), [os.dup(self._objects.descriptor(oid)) for oid in given])
        for oid in given:
            self._objects.release(oid)

    def printed(self, said: Said) -> None:
        """An Attempt printed text."""
        self._send(m.Printed(said))

    def batch_sent(self, sent: BatchSent, go: Callable[[], None]) -> None:
        """A Batch is to go to a Sandbox (W9).

        On the engine's host it is noted in memory that the engine sees, until the socket keeps it; where there is no
        room it goes after the write. On another host the engine is asked where it must know; for all else nobody waits.
        """
        sent = replace(sent, host=_HOST)
        if self._page is not None:
            self._send(m.SentBatch(sent))
            if self._page.is_clear:
                self._channel.when_sent(self._page.clear)
            if self._page.note(sent):
                go()
            else:
                self._channel.when_sent(go)
        elif sent.holds.must_be_known:
            self._asked += 1
            self._waiting[self._asked] = go
            self._send(m.SentBatch(sent, self._asked))
        else:
            self._send(m.SentBatch(sent))
            go()

    def came(self, came: Came) -> None:
        """An Object came from another Worker."""
        self._send(m.CameHere(came))

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
        rest = (self._worker.quiet and not self._arriving.waits, self._heard)
        if rest != self._told_rest and rest[0]:
            self._send(m.Rested(*rest))
        self._told_rest = rest

    def gone(self, why: str, known: m.KnownBatches) -> None:
        """A Worker in this process is never gone."""

    def _send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        self._channel.gather(message, descriptors, close=descriptors)
