"""The port `Sandboxes`, by processes: which zygote makes which Sandbox, and whom to tell what."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import Final

from msgspec.structs import replace

from weftrun.adapters.passing.readiness import FdLoop
from weftrun.adapters.process.oversized import check_frame_limit, refusal, split_message
from weftrun.adapters.process.sandbox import NO_PROGRESS, SandboxEnd, import_clause
from weftrun.adapters.process.zygote import Surroundings, Zygote
from weftrun.model.errors import InternalError, UsageError
from weftrun.model.ids import ObjectId, SandboxId
from weftrun.model.limits import Limits
from weftrun.model.messages import BodyDeliver, BodyDrop, BodyStart, FromSandbox, Ready, ToSandbox
from weftrun.model.policy import Bundle, Privileges
from weftrun.ports.objects import Objects
from weftrun.ports.sandboxes import Profile, Progress, SandboxEvents
from weftrun.wire.awake import Awake
from weftrun.wire.frames import ChannelBroken, FrameTooLarge
from weftrun.wire.lease_page import LeasePage
from weftrun.wire.level import Level

_IDLE_ZYGOTES_MAX: Final = 4
"""Zygotes without a Sandbox that are kept, in case their code is wanted again."""


class ProcessSandboxes:
    """Makes Sandboxes as processes forked from a zygote per bundle, and one more where privileges are kept.

    Objects that a Sandbox is sent have it as a holder until it has dropped them or is gone; its `Dropped` messages
    end here. Everything is called on the loop, whose thread must outlive the Sandboxes.
    """

    def __init__(
        self, loop: FdLoop, objects: Objects, *, limits: Limits, hash_seed: int, open_files_max: int | None = None,
        since: float = 0.0, store_folder: str = "", shares: bool = True,
    ) -> None:  # fmt: skip
        """Start nothing yet. Raises UsageError for limits under which an outcome might be too large to be told.

        Args:
            hash_seed: the Journal's, for every interpreter (B4).
            open_files_max: soft limit of open descriptors for the author's code; None leaves this process's.
            since: when the author's program began, in seconds since the epoch; 0 where nobody asks.
            store_folder: where Objects lie as files, that guests write and read; empty where they lie in memory.
            shares: whether `weftrun.shared` shares what factories make.
        """
        check_frame_limit(limits)
        self._loop = loop
        self._objects = objects
        self._limits = limits
        self._surroundings = Surroundings(hash_seed, open_files_max, since, store_folder, shares)
        self._zygotes: dict[tuple[Bundle, Privileges, bool], Zygote] = {}
        self._ends: dict[SandboxId, SandboxEnd] = {}
        self._events: SandboxEvents | None = None
        # This process and those that it lets look for their next message are no more than there are processors: whoever
        # looked beyond that would keep from running what it looks for.
        places = len(os.sched_getaffinity(0)) - 1
        if not places:
            self._limits = replace(limits, awake_s=0.0)
        self._closed = False
        self._lease_page = LeasePage.made(max(places, 1))
        self._sends_heartbeats = False
        self._awake = Awake(self._limits.awake_s)
        self._sent_at = 0.0

    @property
    def count(self) -> int:
        """How many Sandboxes there are."""
        return len(self._ends)

    def listen(self, events: SandboxEvents) -> None:
        """Say whom to tell."""
        self._events = events

    # ------------------------------------------------------------------ the port

    def create(self, sandbox: SandboxId, profile: Profile) -> None:
        """Begin to make a Sandbox; answered by `sandbox_ready` or `sandbox_gone`."""
        try:
            zygote = self._zygote(*_zygote_key(profile))
            end = SandboxEnd(
                sandbox, profile, self._loop, self._objects, self._limits, self._readable, self._lease_page.descriptor
            )
        except (OSError, ChannelBroken) as error:
            why = f"it could not be made: {error}"
            self._loop.call_soon(partial(self._tell_gone, sandbox, why, NO_PROGRESS))
            return
        self._ends[sandbox] = end
        if not self._sends_heartbeats:
            self._sends_heartbeats = True
            self._heartbeat()
        zygote.make(end)

    def _heartbeat(self) -> None:
        """Say, while there are Sandboxes, that this engine lives: zygotes end what a frozen one runs (O3)."""
        self._sends_heartbeats = bool(self._ends) and self._events is not None
        if self._sends_heartbeats:
            self._lease_page.live_for(self._limits.lease_ttl_s)
            self._loop.call_at(self._loop.now() + self._limits.lease_ttl_s / 3, self._heartbeat)

    def hold_until(self, at: float) -> None:
        """Let bodies be entered until then, in all Sandboxes."""
        if not self._closed:
            self._lease_page.enter_for(at - self._loop.now())

    def fence(self) -> None:
        """Let no body be entered any more in the Sandboxes that were made so far."""
        if not self._closed:
            self._lease_page.fence()

    def let(self, batch: int) -> None:
        """Let a prepared Batch be entered."""
        if not self._closed:
            self._lease_page.let(batch)

    def withdraw(self, batch: int) -> None:
        """Let a prepared Batch be entered never."""
        if not self._closed:
            self._lease_page.withdraw(batch)

    def send(self, sandbox: SandboxId, message: ToSandbox) -> None:
        """Send a message and the descriptors of its `objects`. A Sandbox that is gone swallows it."""
        end = self._ends.get(sandbox)
        if end is None or end.killed:
            return
        try:
            end.send(message)
        except FrameTooLarge as error:
            self._too_large(end, message, error.frame_bytes)
        self._lease_page.let_stay_awake(sandbox)
        self._sent_at = self._loop.now()
        if self._awake.seconds:
            self._loop.stay_awake(self._awake.seconds)

    def _too_large(self, end: SandboxEnd, message: ToSandbox, frame_bytes: int) -> None:
        """Send a message in halves, or answer in the Sandbox's place, which never gets to know of it."""
        for half in split_message(message):
            self.send(end.id, half)
        answer = refusal(message, end.body_of(message), frame_bytes, self._limits)
        if answer is None:
            return
        if isinstance(message, BodyStart | BodyDeliver):
            end.send(BodyDrop(message.body))
        self._loop.call_soon(partial(self._answer, end, answer))

    def _answer(self, end: SandboxEnd, answer: FromSandbox) -> None:
        if end.id in self._ends:
            self._told.sandbox_spoke(end.id, [answer])

    def progress(self, sandbox: SandboxId) -> Progress:
        """Read the page of a living Sandbox."""
        end = self._ends.get(sandbox)
        return end.progress() if end is not None else NO_PROGRESS

    def held_bytes(self, sandbox: SandboxId) -> int:
        """Return how much memory would be free if a Sandbox were ended, in bytes."""
        end = self._ends.get(sandbox)
        return end.held_bytes() if end is not None else 0

    def kill(self, sandbox: SandboxId, *, says_where: bool = False) -> None:
        """End a Sandbox and all it has started, at once; answered by `sandbox_gone`. Idempotent.

        One that `says_where` it is gets a moment to answer first.
        """
        end = self._ends.get(sandbox)
        if end is None or end.killed:
            return
        end.kill(says_where=says_where)
        zygote = self._zygotes.get(_zygote_key(end.profile))
        if zygote is None or not zygote.give_up(end):
            return
        self._loop.call_soon(partial(self.sandbox_ended, end, "killed by us"))
        if zygote.is_stuck:
            self.zygote_ended(zygote)
            zygote.end()

    def held(self, sandbox: SandboxId) -> frozenset[ObjectId]:
        """Return the Objects that a Sandbox was sent and has not reported as dropped."""
        end = self._ends.get(sandbox)
        return end.held() if end is not None else frozenset()

    def close(self) -> None:
        """End all Sandboxes and zygotes and return when no process is left. Idempotent; tells no more events."""
        self._events = None
        for zygote in self._zygotes.values():
            zygote.begin_end()
        for zygote in self._zygotes.values():
            zygote.end()
        for end in self._ends.values():
            end.close()
        self._zygotes.clear()
        self._ends.clear()
        if not self._closed:
            self._closed = True
            self._lease_page.close()

    # ------------------------------------------------------------------ zygotes

    def _zygote(self, bundle: Bundle, privileges: Privileges, network: bool) -> Zygote:
        found = self._zygotes.pop((bundle, privileges, network), None)
        if found is None:
            idle = [zygote for zygote in self._zygotes.values() if not zygote.sandboxes]
            for zygote in idle[: max(0, len(idle) - _IDLE_ZYGOTES_MAX + 1)]:
                self.zygote_ended(zygote)
                zygote.end()
            found = Zygote(bundle, self._loop, self._limits, self, self._surroundings, privileges, network)
        self._zygotes[bundle, privileges, network] = found
        return found

    def zygote_ended(self, zygote: Zygote) -> None:
        """Forget a zygote; the next Sandbox of its bundle gets a new one."""
        key = zygote.bundle, zygote.privileges, zygote.network
        if self._zygotes.get(key) is zygote:
            del self._zygotes[key]

    # ------------------------------------------------------------------ what Sandboxes say

    @property
    def _told(self) -> SandboxEvents:
        if self._events is None:
            raise InternalError("A Sandbox spoke before listen() was called, or after close().")
        return self._events

    def _readable(self, end: SandboxEnd) -> None:
        self._awake.waited(self._loop.now() - self._sent_at)
        self._loop.stay_awake(0.0)
        try:
            messages = end.receive()
        except BlockingIOError:
            return
        except (ChannelBroken, UsageError, OSError) as error:
            end.broken = str(error)
            end.kill()
            end.deaf()
            return
        if messages is None:
            end.deaf()
        else:
            self._pass_on(end, messages)

    def _pass_on(self, end: SandboxEnd, messages: list[FromSandbox]) -> None:
        printed = end.take_printed()
        if printed:
            self._told.sandbox_printed(end.id, printed)
        if messages and not end.ready and isinstance(ready := messages[0], Ready):
            end.ready = ready.failure is None
            del messages[0]
            if ready.failure is not None:
                end.refused = import_clause(ready.failure)
            elif not end.killed:
                took_s = self._loop.now() - end.asked_at
                end.when_here(partial(self._tell_ready, end, took_s, ready.isolation))
        if messages:
            self._told.sandbox_spoke(end.id, messages)

    def _tell_ready(self, end: SandboxEnd, took_s: float, isolation: tuple[str, ...]) -> None:
        if end.id in self._ends:
            self._told.sandbox_ready(end.id, took_s, isolation, end.unforkable, end.written)

    def sandbox_ended(self, end: SandboxEnd, why: str) -> None:
        """Tell all that a Sandbox had still said, then that it is gone."""
        if self._ends.pop(end.id, None) is None:
            return
        end.drain_pipe()
        with contextlib.suppress(ChannelBroken, UsageError, OSError):
            while not end.broken and (messages := end.receive()) is not None:
                self._pass_on(end, messages)
        self._pass_on(end, [])
        progress = end.progress()
        end.close()
        self._tell_gone(end.id, end.refused or why, progress)

    def _tell_gone(self, sandbox: SandboxId, why: str, progress: Progress) -> None:
        if self._events is not None:
            self._events.sandbox_gone(sandbox, why, progress)


def _zygote_key(profile: Profile) -> tuple[Bundle, Privileges, bool]:
    """Return what a zygote is made for: walls are made with the network or without, all others have it."""
    return profile.bundle, profile.privileges, profile.network or not Level.of(profile.privileges).is_walled
