"""The loop of a Sandbox: receives what is to be done, does it, and ends with its engine."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from typing import Any, Final, NoReturn

from weftrun.guest.at_once import AtOnce
from weftrun.guest.attempt import Callables, Equipment, Forks
from weftrun.guest.batch import BatchRunner
from weftrun.guest.bodies import Bodies
from weftrun.guest.items import ItemRunner
from weftrun.guest.objects import DescriptorRoom, Meter, ReceivedObjects, Speaker
from weftrun.guest.text import PageText, TextPipe, unroute_streams
from weftrun.model.messages import (
    Answer,
    Batch,
    BodyDeliver,
    BodyDrop,
    BodyEnded,
    BodyStart,
    Fork,
    FromSandbox,
    ItemBatch,
    Outcomes,
    Room,
    Stop,
    ToSandbox,
)
from weftrun.model.outcomes import NOT_RUN
from weftrun.sdk import place
from weftrun.wire.awake import Awake
from weftrun.wire.channel import Channel
from weftrun.wire.lease_page import LeasePage
from weftrun.wire.page import Page

_SLEEPS_S: Final = (0.00005, 0.002)
"""Bounds of one sleep of who waits to be let enter a prepared Batch, in seconds."""


class Server:
    """Serves one channel, one message after the other."""

    def __init__(
        self, fork: Fork, channel: Channel[ToSandbox], page: Page, text: PageText, pipe: TextPipe, lease_page: LeasePage
    ) -> None:
        """Serve as the Sandbox that `fork` asked for."""
        self._channel = channel
        self._sandbox = fork.sandbox
        self._shares = fork.shares
        self._lease_page = lease_page
        self._awake = Awake(fork.awake_s)
        self._awake_s = fork.awake_s
        self._received = ReceivedObjects(Meter(), reads=bool(fork.store_folder))
        self._room = DescriptorRoom()
        self._pipe = pipe
        self._speaker = Speaker(
            channel, self._received, page, pipe, inline_bytes_max=fork.inline_bytes_max, store_folder=fork.store_folder
        )
        self._has_left = False
        self._forks = Forks(self._leave)
        equipment = Equipment(
            fork, Callables(), self._forks, page, text, self._received, self._speaker, lease_page, self._ask
        )
        self._inbox: deque[tuple[ToSandbox, tuple[int, ...]]] = deque()
        self._poll = select.poll()
        self._batches = BatchRunner(equipment)
        self._items = ItemRunner(equipment)
        self._at_once = AtOnce(equipment)
        self._bodies = Bodies(equipment)

    def run(self) -> NoReturn:
        """Serve until told to stop, or until the engine is gone."""
        # Sleeping in `recv` would be woken by every message that the engine takes out of the same socket pair, which
        # costs the engine more than the message; sleeping in `poll` is woken by what there is to read only.
        self._forks.watch()
        place.sandboxed.serves = True
        place.sandboxed.shares = self._shares
        self._poll.register(self._channel.socket, select.POLLIN)
        while True:
            self._wait()
            self.serve_once()

    def _wait(self) -> None:
        """Return when there is something to receive."""
        began = now = time.perf_counter()
        # Whoever looks all the time takes turns with the threads that work.
        until = began if self._at_once.is_busy else began + self._awake.seconds
        while not self._poll.poll(0 if now < until and self._lease_page.may_stay_awake(self._sandbox) else None):
            now = time.perf_counter()
        self._awake.waited(time.perf_counter() - began)

    def serve_once(self) -> None:
        """Receive once and serve what came."""
        self._inbox.extend(self._received_now())
        while self._inbox:
            self._serve(*self._inbox.popleft())
        self._speaker.tell_dropped()

    def _received_now(self) -> list[tuple[ToSandbox, tuple[int, ...]]]:
        received = self._channel.receive()
        if received is None:
            os._exit(0)
        return received

    def _ask(self, message: FromSandbox) -> Any:
        """Say something for the body that runs, and wait for the answer; what else comes meanwhile is served later."""
        self._speaker.say(message)
        while True:
            self._wait()
            answers = []
            for received in self._received_now():
                if isinstance(received[0], Answer):
                    answers.append(received[0])
                else:
                    self._inbox.append(received)
            if answers:
                return answers[0]

    def _serve(self, message: ToSandbox, descriptors: tuple[int, ...]) -> None:
        if isinstance(message, Stop):
            os._exit(0)
        if isinstance(message, BodyDrop):
            self._bodies.drop(message.body)
            return
        if isinstance(message, Room):
            self._room.make(message.descriptors)
            return
        if isinstance(message, Answer):
            return  # to a body that is gone
        if message.objects:
            self._received.add(message.objects, descriptors)
        if isinstance(message, Batch | ItemBatch):
            self._run(message)
        elif isinstance(message, BodyStart):
            if self._is_wanted(message.body):
                self._bodies.start(message)
            else:
                self._speaker.say(BodyEnded(message.body, None, None, NOT_RUN))
        elif isinstance(message, BodyDeliver):
            self._bodies.deliver(message)
        if message.objects:
            self._received.settle()
            self._room.give_back()

    def _run(self, message: Batch | ItemBatch) -> None:
        sharing = message.function.sharing
        at_once = sharing is not None and sharing.how != "serial"
        if isinstance(message, Batch):
            if message.is_prepared and not self._is_let(message.no):
                self._speaker.say(Outcomes(message.no, ()))
                return
            (self._at_once if at_once else self._batches).run(message)
        elif at_once:
            self._at_once.run_items(message, self._items.items_of(message))
        else:
            self._items.run(message)

    def _is_let(self, batch: int) -> bool:
        """Wait until a prepared Batch may be entered; False where it is withdrawn.

        Looks as long as a commit often takes, then sleeps for an eighth of what it has waited, and so is a little late.
        """
        began = time.perf_counter()
        least_s, most_s = _SLEEPS_S
        engine_gone = None
        while (is_let := self._lease_page.is_let(batch)) is None:
            waited_s = time.perf_counter() - began
            if waited_s < self._awake_s:
                continue
            if engine_gone is None:
                engine_gone = select.poll()
                engine_gone.register(self._channel.socket, 0)
            if engine_gone.poll(0):
                os._exit(0)
            time.sleep(min(max(waited_s / 8, least_s), most_s))
        return is_let

    def _is_wanted(self, body: int) -> bool:
        """Look at all that was said while others ran: a body that was brought elsewhere is not entered here too."""
        while self._poll.poll(0) and not (self._inbox and isinstance(self._inbox[-1][0], Room)):
            self._inbox.extend(self._received_now())  # not what needs room that is still to be made
        return not any(isinstance(message, BodyDrop) and message.body == body for message, _ in self._inbox)

    def _leave(self, *, is_ours: bool) -> None:
        """Become a process that is no Sandbox: a child that the author's code has forked, or that is for one Attempt.

        What the latter prints stays the Attempt's.
        """
        if not self._has_left:
            self._has_left = True
            self._channel.close()
            self._pipe.close()
        if not is_ours:
            unroute_streams()
