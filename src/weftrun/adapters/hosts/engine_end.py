"""The engine's end of one Worker in another process (port Worker)."""

from __future__ import annotations

import math
import os
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from weftrun.adapters.hosts.introductions import Introductions
from weftrun.adapters.passing.adoption import adopted
from weftrun.adapters.passing.readiness import FdLoop, LoopChannel
from weftrun.model import hosts as m
from weftrun.model.commands import WorkCommand
from weftrun.model.errors import UsageError
from weftrun.model.events import AttemptsEnded, ItemsEnded, OutputPut
from weftrun.model.hosts import FromWorker
from weftrun.model.ids import ObjectId, RunId, RunUid, WorkerId
from weftrun.model.messages import Answer
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Bundle
from weftrun.model.values import Object
from weftrun.model.visiting import objects_in
from weftrun.model.work import AttemptAt, Came, WorkEvent
from weftrun.ports.objects import Objects
from weftrun.ports.worker import WorkerEvents
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken
from weftrun.wire.lease_page import host_clock_s
from weftrun.wire.said_page import SaidPage

_NOT_HERE: Final = -1
_NO_STEP: Final = -1


class _Untold:
    """A message that is told when the Objects in it are here, and those in all before it."""

    def __init__(self, message: FromWorker, descriptors: Sequence[int]) -> None:
        self.message = message
        self.descriptors = list(descriptors)

    @property
    def is_complete(self) -> bool:
        return _NOT_HERE not in self.descriptors

    def drop(self) -> None:
        """Nobody is told of it."""
        for descriptor in self.descriptors:
            if descriptor != _NOT_HERE:
                os.close(descriptor)


class RemoteWorker:
    """Speaks for a Worker over a socket.

    An Object is sent once, with its descriptor, or with the name of the Worker that keeps it; the Worker knows it until
    it is released.

    Attributes:
        heard_at: when it last gave a sign of life, in seconds since the epoch; None where it never did.
        about: what it told of itself last.
        end: ends whatever is at the other end, which is told as for any other end.
    """

    def __init__(
        self,
        loop: FdLoop,
        channel: Channel[FromWorker],
        objects: Objects,
        begin: m.Begin,
        end: Callable[[], None],
        introductions: Introductions | None = None,
    ) -> None:
        """Say who the Worker is, and who knows the others if they keep what they make.

        `channel` belongs to this end from now on.
        """
        self._loop = loop
        self._objects = objects
        self._me = begin.worker
        self._known = m.KnownBatches.ASKED if begin.is_apart else m.KnownBatches.ALL
        self._introductions = introductions
        self._sent: dict[ObjectId, Object] = {}
        self._number = 0
        self._quiet = True
        self._heard = 0
        self._untold: deque[_Untold] = deque()
        self._wanted: dict[ObjectId, tuple[_Untold, int]] = {}
        self._over = False
        self.heard_at: float | None = None
        self.about: m.WorkerAbout | None = None
        self.end = end
        self._events: WorkerEvents | None = None
        self._channel = LoopChannel(loop, channel, self._readable)
        self._page: SaidPage | None = None
        if begin.is_apart:
            self._channel.send(begin)
        else:
            descriptor = SaidPage.make()
            self._page = SaidPage(descriptor)
            self._channel.send(begin, [descriptor], close=[descriptor])

    # ------------------------------------------------------------------ the port

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do, as far as it has told, and has heard of all that was sent."""
        return self._over or (self._quiet and self._heard == self._number and not self._untold)

    def listen(self, events: WorkerEvents) -> None:
        """Say whom to tell."""
        self._events = events

    def open_run(self, run: int, id: RunId, uid: RunUid, bundle: Bundle, trace: str = "") -> None:
        """A Run may send work from now on."""
        self._send(m.BeginRun(run, id, uid, bundle, trace))

    def close_run(self, run: int) -> None:
        """A Run is over."""
        self._send(m.CloseRun(run))

    def leave_run(self, run: int) -> None:
        """A Run is given up before its end."""
        self._send(m.LeaveRun(run))

    def work(self, run: int, command: WorkCommand) -> None:
        """Take a command of a Run's machine."""
        fresh = {obj.oid: obj for obj in objects_in(command) if obj.oid not in self._sent}
        elsewhere: tuple[m.KeptElsewhere, ...] = ()
        if fresh and self._introductions is not None:
            found = [self._introductions.elsewhere(obj, self._me) for obj in fresh.values()]
            elsewhere = tuple(each for each in found if each is not None)
        kept = {each.obj.oid for each in elsewhere}
        along = tuple(obj for oid, obj in fresh.items() if oid not in kept)
        self._number += 1
        self._send(m.Work(self._number, run, command, along, elsewhere), along)
        self._sent.update(fresh)
        if along and self._introductions is not None and self._events is not None:
            now = self._loop.now()
            for obj in along:
                if (step := self._introductions.step_of(obj.oid)) is not None:
                    self._events.came(Came(run, step, self._me, m.ENGINE, obj.nbytes, now, now))

    def release(self, objects: Sequence[ObjectId]) -> None:
        """Forget Objects."""
        if known := tuple(oid for oid in objects if oid in self._sent):
            for oid in known:
                del self._sent[oid]
            self._send(m.Forget(known))

    def answer(self, attempt: AttemptAt, answer: Answer) -> None:
        """Answer what an Attempt said to its transaction, or of a stream."""
        self._send(m.AnswerAttempt(attempt, answer))

    def overstayed(self, attempt: AttemptAt, failure: Failure) -> None:
        """End the Sandbox for what an Attempt does."""
        self._send(m.EndAttempt(attempt, failure))

    def hold_until(self, at: float) -> None:
        """Enter bodies until then, and not after."""
        self._send(m.HoldUntil(host_clock_s() + (at - self._loop.now()) if at < math.inf else at))

    def fence(self) -> None:
        """Enter nothing more of what was given so far."""
        self._send(m.FenceWork())

    def drain(self) -> None:
        """Start nothing more."""
        self._send(m.Drain())

    def stop(self) -> None:
        """Tell nothing more."""
        self._events = None

    def meet(self, worker: WorkerId, descriptor: int) -> None:
        """Let it speak to another Worker over a socket, which belongs to the other end from now on."""
        if self._over:
            os.close(descriptor)
        else:
            self._channel.gather(m.Meet(worker), [descriptor], close=[descriptor])

    def dial(self, worker: WorkerId, host: str, port: int) -> None:
        """Another Worker can be reached at this address."""
        self._send(m.Dial(worker, host, port))

    def part(self, worker: WorkerId) -> None:
        """Another Worker is gone."""
        self._send(m.Parted(worker))

    def forget_kept(self, number: ObjectId) -> None:
        """Nobody needs what it keeps under this number."""
        self._send(m.Forget((), (number,)))

    def ping(self) -> None:
        """Say that the engine lives, and ask for a sign of life."""
        self._send(m.Ping())

    def close(self) -> None:
        """End the conversation; the Worker's process ends with it. Idempotent."""
        if not self._over:
            self._over = True
            self._channel.close()
            if self._page is not None:
                self._page.close()
            self._sent.clear()
            for untold in self._untold:
                untold.drop()
            self._untold.clear()

    def finish(self, why: str) -> None:
        """The process has ended: take what it had still said, then count it as gone."""
        while not self._over and self._receive():
            pass
        self.lost(why)

    def lost(self, why: str) -> None:
        """The Worker is gone: close this end, and tell."""
        if not self._over:
            self._read_page()
            self.close()
            if self._events is not None:
                self._events.gone(why, self._known)

    # ------------------------------------------------------------------ talk

    def _send(self, message: msgspec.Struct, objects: Sequence[Object] = ()) -> None:
        if self._over:
            return
        # The engine may release an Object before a full socket has taken its descriptor.
        descriptors = [os.dup(self._objects.descriptor(obj.oid)) for obj in objects]
        self._channel.gather(message, descriptors, close=descriptors)

    def _readable(self) -> None:
        self._receive()

    def _receive(self) -> bool:
        """Receive once; say whether there was something."""
        try:
            received = self._channel.receive()
        except BlockingIOError:
            return False
        except ChannelBroken as error:
            self._broke(error)
            return False
        if received is None:
            self.lost("its process ended")
            return False
        self.heard_at = self._loop.now()
        rest = iter(received)
        try:
            for message, descriptors in rest:
                self._take(message, descriptors)
        except (ChannelBroken, UsageError) as error:
            self._broke(error)
        finally:
            for _, descriptors in rest:
                for descriptor in descriptors:
                    os.close(descriptor)
        return True

    def _read_page(self) -> None:
        """Hear of the Batches that had gone to Sandboxes, and of which it could not write any more."""
        if self._page is None or self._events is None:
            return
        try:
            for sent in self._page.noted():
                self._events.batch_sent(sent, _nothing)
        except (msgspec.MsgspecError, struct.error):
            self._known = m.KnownBatches.NOTHING

    def _broke(self, error: Exception) -> None:
        """It has said what can't be understood, and perhaps more after that."""
        self._known = m.KnownBatches.NOTHING
        self.lost(f"its channel broke: {error}")

    def _take(self, message: FromWorker, descriptors: tuple[int, ...]) -> None:
        match message:
            case m.Pong():
                self.about = message.about
            case m.Serves() | m.Met() | m.Lacks() | m.KeptSent():
                self._of_objects(message, descriptors)
            case m.SentBatch():
                self._batch_sent(message)  # waits for no Object: what was said before it is dropped if the Worker dies
            case m.Told() if message.kept:
                self._bring(message)
            case _ if self._untold:
                self._untold.append(_Untold(message, descriptors))
            case _:
                self._tell(message, descriptors)

    def _tell(self, message: FromWorker, descriptors: Sequence[int]) -> None:
        """Tell what came, and that has all its Objects."""
        events = self._events
        if isinstance(message, m.Told):
            self._told(message, tuple(descriptors))
            return
        if isinstance(message, m.Rested):
            self._quiet, self._heard = message.quiet, message.number
        if events is None:
            return
        match message:
            case m.Printed():
                events.printed(message.said)
            case m.Shown():
                events.running(message.rows)
            case m.Asked():
                events.asked(message.attempt, message.message)
            case m.SandboxEnded():
                events.sandbox_ended(message.sandbox)
            case m.CameHere():
                events.came(message.came)
            case _:
                events.rested()

    def _batch_sent(self, message: m.SentBatch) -> None:
        """Hear of a Batch, and let it go where the Worker waits for that."""
        if self._events is not None:
            number = message.number
            self._events.batch_sent(message.batch, lambda: self._send(m.MayGo(number)) if number else None)

    def _told(self, message: m.Told, descriptors: tuple[int, ...]) -> None:
        """Hear what became of what a Run wanted done."""
        event = adopted(message.event, descriptors, self._objects)
        if self._introductions is not None and message.kept:  # a Worker that nobody reaches keeps nothing
            for (step, obj), number in zip(_objects_by_step(event), message.kept, strict=True):
                self._introductions.keeps(self._me, number, obj.oid, step)
        if self._events is not None:
            self._events.told(message.run, event)
        else:
            for obj in objects_in(event):
                self._objects.release(obj.oid)

    def _bring(self, message: m.Told) -> None:
        """Fetch the Objects of what the Worker tells; nothing overtakes it but signs of life."""
        if self._introductions is None:
            raise ChannelBroken("It keeps what it makes, and nobody asked it to.")
        untold = _Untold(message, [_NOT_HERE] * len(message.kept))
        self._untold.append(untold)
        for place, (obj, number) in enumerate(zip(objects_in(message.event), message.kept, strict=True)):
            self._wanted[number] = untold, place
            self._introductions.bring(self._me, Object(number, obj.nbytes), self._brought)

    def _brought(self, number: ObjectId, descriptor: int | None) -> None:
        """An Object is here; without a descriptor the Worker is to send it."""
        if self._over:
            if descriptor is not None:
                os.close(descriptor)
        elif descriptor is None:
            self._send(m.SendKept(number))
        else:
            untold, place = self._wanted.pop(number)
            untold.descriptors[place] = descriptor
            while self._untold and self._untold[0].is_complete:
                first = self._untold.popleft()
                self._tell(first.message, first.descriptors)

    def _of_objects(self, message: m.Serves | m.Met | m.Lacks | m.KeptSent, descriptors: Sequence[int]) -> None:
        """Hear of the way between this Worker and others, and of what did not come over it."""
        if isinstance(message, m.KeptSent):
            self._brought(message.number, descriptors[0])
        elif isinstance(message, m.Lacks):
            wanted = tuple(self._sent[oid] for oid in message.objects if oid in self._sent)
            self._send(m.Bring(wanted), wanted)
        elif self._introductions is None:
            raise ChannelBroken("It speaks of other Workers, which it knows nothing of.")
        elif isinstance(message, m.Serves):
            self._introductions.serves(self._me, message.port)
        else:
            self._introductions.reaches(self._me, message.worker)


def _nothing() -> None:
    """The Batch has gone already, and its Worker too."""


def _objects_by_step(event: WorkEvent) -> list[tuple[int, Object]]:
    """Return the Objects that an event tells of, in order, each with the Step whose value it is."""
    if isinstance(event, AttemptsEnded):
        return [(ended.step, obj) for ended in event.ended for obj in objects_in(ended)]
    step = event.step if isinstance(event, ItemsEnded | OutputPut) else _NO_STEP
    return [(step, obj) for obj in objects_in(event)]
