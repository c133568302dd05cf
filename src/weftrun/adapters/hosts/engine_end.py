"""The engine's end of one Worker in another process (port Worker)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import msgspec

from weftrun.adapters.passing.adoption import adopted
from weftrun.adapters.passing.readiness import FdLoop, LoopChannel
from weftrun.model import hosts as m
from weftrun.model.commands import WorkCommand
from weftrun.model.errors import UsageError
from weftrun.model.hosts import FromWorker
from weftrun.model.ids import ObjectId, RunId, RunUid, WorkerId
from weftrun.model.messages import Answer
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Bundle
from weftrun.model.values import Object
from weftrun.model.visiting import objects_in
from weftrun.model.work import AttemptAt
from weftrun.ports.objects import Objects
from weftrun.ports.worker import WorkerEvents
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken
from weftrun.wire.lease_page import host_clock_s


class RemoteWorker:
    """Speaks for a Worker over a socket.

    An Object is sent once, with its descriptor; the Worker knows it until it is released.

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
    ) -> None:
        """Say who the Worker is. `channel` belongs to this end from now on."""
        self._loop = loop
        self._objects = objects
        self._sent: set[ObjectId] = set()
        self._number = 0
        self._quiet = True
        self._heard = 0
        self._over = False
        self.heard_at: float | None = None
        self.about: m.WorkerAbout | None = None
        self.end = end
        self._events: WorkerEvents | None = None
        self._channel = LoopChannel(loop, channel, self._readable)
        self._channel.send(begin)

    # ------------------------------------------------------------------ the port

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do, as far as it has told, and has heard of all that was sent."""
        return self._over or (self._quiet and self._heard == self._number)

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
        fresh = tuple({obj.oid: obj for obj in objects_in(command) if obj.oid not in self._sent}.values())
        self._number += 1
        self._send(m.Work(self._number, run, command, fresh), fresh)
        self._sent.update(obj.oid for obj in fresh)

    def release(self, objects: Sequence[ObjectId]) -> None:
        """Forget Objects."""
        if known := tuple(oid for oid in objects if oid in self._sent):
            self._sent.difference_update(known)
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

    def ping(self) -> None:
        """Say that the engine lives, and ask for a sign of life."""
        self._send(m.Ping())

    def close(self) -> None:
        """End the conversation; the Worker's process ends with it. Idempotent."""
        if not self._over:
            self._over = True
            self._channel.close()
            self._sent.clear()

    def finish(self, why: str) -> None:
        """The process has ended: take what it had still said, then count it as gone."""
        while not self._over and self._receive():
            pass
        self.lost(why)

    def lost(self, why: str) -> None:
        """The Worker is gone: close this end, and tell."""
        if not self._over:
            self.close()
            if self._events is not None:
                self._events.gone(why)

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
            self.lost(f"its channel broke: {error}")
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
            self.lost(f"its channel broke: {error}")
        finally:
            for _, descriptors in rest:
                for descriptor in descriptors:
                    os.close(descriptor)
        return True

    def _take(self, message: FromWorker, descriptors: tuple[int, ...]) -> None:
        events = self._events
        if isinstance(message, m.Told):
            event = adopted(message.event, descriptors, self._objects)
            if events is not None:
                events.told(message.run, event)
            else:
                for obj in objects_in(event):
                    self._objects.release(obj.oid)
            return
        if isinstance(message, m.Rested):
            self._quiet, self._heard = message.quiet, message.number
        if isinstance(message, m.Pong):
            self.about = message.about
        if events is None or isinstance(message, m.Pong):
            return
        match message:
            case m.Printed():
                events.printed(message.said)
            case m.SentBatch():
                events.batch_sent(message.batch)
            case m.Shown():
                events.running(message.rows)
            case m.Asked():
                events.asked(message.attempt, message.message)
            case m.SandboxEnded():
                events.sandbox_ended(message.sandbox)
            case _:
                events.rested()
