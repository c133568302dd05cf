"""The engine's end of one Sandbox: its channel, its page, its pipe, and the Objects it was sent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from weftrun.adapters.passing.adoption import adopted
from weftrun.adapters.passing.readiness import FdLoop, LoopChannel
from weftrun.adapters.process.priorities import put_in_front
from weftrun.adapters.process.whereabouts import authors_line, host_pid, own_bytes, starved_s
from weftrun.model.ids import ObjectId, SandboxId
from weftrun.model.limits import Limits
from weftrun.model.messages import (
    Batch,
    BodyDeliver,
    BodyDrop,
    BodyEnded,
    BodyStart,
    Dropped,
    Fork,
    FromSandbox,
    ItemBatch,
    Room,
    Stop,
    ToSandbox,
)
from weftrun.model.outcomes import Failure
from weftrun.model.values import Inline, Tree
from weftrun.model.work import InSlot
from weftrun.ports.objects import Objects
from weftrun.ports.sandboxes import Profile, Progress
from weftrun.wire.channel import Channel
from weftrun.wire.frames import FrameTooLarge
from weftrun.wire.page import STACK_SIGNAL, Page, Slot, make_page
from weftrun.wire.text import BoundedText

_PIPE_BYTES: Final = 64 * 1024
_DRAINS_MAX: Final = 64
_LEFT_OUT: Final = Tree(Inline(b""))
_ROOM_UNASKED: Final = 256
"""So many descriptors go without asking for room: every host lets a process have a few hundred more."""
_ASKS_S: Final = 0.01
_ASKS_MAX: Final = 20
"""A Sandbox that is to say where it is has so many times so long, in seconds: the signal needs a processor only."""
NO_PROGRESS: Final = Progress(0, -1, False, 0.0)


class SandboxEnd:
    """One Sandbox, from the wish for it to its end.

    Attributes:
        id: its number.
        ready: whether it has said that it takes work.
        killed: whether the engine wants it dead.
        broken: what it did that no Sandbox may do; empty as long as it behaves.
        refused: why its zygote would not make it; empty where it did.
        asked_at: when it was asked for, in seconds since the epoch.
        unforkable: what the import left that no fork may have, for which it imports everything again.
        written: files of its code that were written to after the author's program had begun.
    """

    def __init__(
        self, number: SandboxId, profile: Profile, loop: FdLoop, objects: Objects, limits: Limits,
        readable: Callable[[SandboxEnd], None], hold: int,
    ) -> None:  # fmt: skip
        """Make channel, page and pipe, both ends of each. Raises OSError where descriptors have run out."""
        self.id = number
        self.profile = profile
        self.ready = False
        self.killed = False
        self.stopped = False
        self.broken = ""
        self.refused = ""
        self.asked_at = loop.now()
        self.unforkable: tuple[str, ...] = ()
        self.written: tuple[str, ...] = ()
        self._loop = loop
        self._objects = objects
        self._limits = limits
        self._sent: Counter[ObjectId] = Counter()
        self._printed = BoundedText(limits.text_bytes_max)
        self._bodies: dict[int, BodyStart] = {}
        self._items_there: Tree | None = None
        self._pidfd = -1
        self._pid = 0
        self._when_here: Callable[[], None] = lambda: None
        self._asked = 0
        self._stack = ""
        with contextlib.ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            far = theirs.detach()
            undo.callback(os.close, far)
            page_fd = make_page(limits.text_bytes_max)
            undo.callback(os.close, page_fd)
            self._page = Page(page_fd, limits.text_bytes_max, writable=False)
            self._pipe, pipe_far = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            os.set_blocking(pipe_far, True)
            undo.pop_all()
        self._far: tuple[int, ...] = (far, page_fd, pipe_far, os.dup(hold))
        channel: Channel[FromSandbox] = Channel(ours, FromSandbox, frame_bytes_max=limits.frame_bytes_max)
        self._channel = LoopChannel(loop, channel, lambda: readable(self))
        loop.add_reader(self._pipe, self.drain_pipe)

    # ------------------------------------------------------------------ life

    def fork_request(self, store_folder: str = "", *, shares: bool = True) -> tuple[Fork, tuple[int, ...]]:
        """Return what to ask the zygote for, with the far ends, which belong to the caller from now on."""
        limits = self._limits
        request = Fork(
            sandbox=self.id,
            network=self.profile.network,
            inline_bytes_max=limits.inline_bytes_max,
            preview_bytes_max=limits.preview_bytes_max,
            text_bytes_max=limits.text_bytes_max,
            error_text_bytes_max=limits.error_text_bytes_max,
            map_chunk_items_max=limits.map_chunk_items_max,
            map_chunk_bytes_max=limits.map_chunk_bytes_max,
            map_items_max=limits.map_items_max,
            frame_bytes_max=limits.frame_bytes_max,
            awake_s=limits.awake_s,
            transaction_bytes_max=limits.transaction_bytes_max,
            emit_bytes_max=limits.emit_bytes_max,
            emits_max=limits.emits_max,
            emit_name_bytes_max=limits.emit_name_bytes_max,
            store_folder=store_folder,
            shares=shares,
        )
        far = self._far
        self._far = ()
        return request, far

    def forked(self, pidfd: int) -> None:
        """Take the process, and end it at once where nobody wants it any more."""
        self._pidfd = pidfd
        self._pid = host_pid(pidfd)
        if self.killed:
            self.kill()
        else:
            self._when_here()

    def when_here(self, do: Callable[[], None]) -> None:
        """Do this as soon as the process is known: it may speak before its zygote has told of it."""
        if self._pidfd >= 0:
            do()
        else:
            self._when_here = do

    def kill(self, *, says_where: bool = False) -> None:
        """End the process, now or as soon as it is there. Its zygote ends what it has started.

        One that `says_where` it is is asked, and ended when it has answered, or does not for a moment.
        """
        self.killed = True
        if says_where and self._pidfd >= 0:
            self._signal(STACK_SIGNAL)
            self._end_when_said()
        else:
            self._signal(signal.SIGKILL)

    def _end_when_said(self) -> None:
        if self._pidfd < 0:
            return
        before, self._stack = self._stack, self._page.stack()
        self._asked += 1
        if self._asked > _ASKS_MAX or (before and before == self._stack):
            self._signal(signal.SIGKILL)
        else:
            self._loop.call_at(self._loop.now() + _ASKS_S, self._end_when_said)

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Release everything, the Objects it was sent included."""
        self._channel.close()
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._page.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        for descriptor in self._far:
            os.close(descriptor)
        for oid in self._sent:
            self._objects.release(oid)
        self._sent.clear()

    # ------------------------------------------------------------------ talk

    def send(self, message: ToSandbox) -> None:
        """Send a message with its Objects, each held until the Sandbox has dropped it. Raises `FrameTooLarge`."""
        if isinstance(message, Stop):
            self.stopped = True
        elif isinstance(message, BodyStart):
            self._bodies[message.body] = message
        elif isinstance(message, BodyDrop):
            self._bodies.pop(message.body, None)
        elif isinstance(message, Batch) and message.slice_s:
            self._put_in_front()
        if isinstance(message, ItemBatch):
            self._send_items(message)
        else:
            self._send(message)

    def _put_in_front(self) -> None:
        """Let what comes next run in front of all others, until its time slice is over."""
        if self._pidfd >= 0 and (pid := host_pid(self._pidfd)) > 0:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                put_in_front(pid)

    def body_of(self, message: ToSandbox) -> BodyStart | None:
        """Return how the body that a message is about was entered, while it is here."""
        return self._bodies.get(message.body) if isinstance(message, BodyDeliver | BodyStart) else None

    def _send_items(self, message: ItemBatch) -> None:
        """Send the items of a map only once where range after range of them goes to the same Sandbox."""
        if message.items is self._items_there:
            self._send(replace(message, items=_LEFT_OUT, again=True))
            return
        self._items_there = None
        self._send(message)
        if not message.objects:
            self._items_there = message.items

    def _send(self, message: ToSandbox) -> None:
        objects = getattr(message, "objects", ())
        if not objects:
            self._channel.send(message)
            return
        for oid in objects:
            if not self._sent[oid]:
                self._objects.hold(oid)
            self._sent[oid] += 1
        if len(objects) > _ROOM_UNASKED:
            self._channel.send(Room(len(objects)))
        try:
            self._channel.send(message, [self._objects.descriptor(oid) for oid in objects])
        except FrameTooLarge:
            self._dropped(objects)
            raise

    def receive(self) -> list[FromSandbox] | None:
        """Receive once: messages with engine numbers, `Ready` among them; None at the end.

        BlockingIOError where nothing is there. Raises `ChannelBroken` or `UsageError` for what no Sandbox may say;
        what came before it in the same receive is lost with it.
        """
        received = self._channel.receive()
        if received is None:
            return None
        if self._page.words[Page.PIPED]:
            # Printed before these messages. Otherwise the pipe's own readiness is soon enough, and costs nothing.
            self._read_pipe()
        messages: list[FromSandbox] = []
        rest = iter(received)
        try:
            for message, descriptors in rest:
                if isinstance(message, Dropped):
                    self._dropped(message.objects)
                else:
                    if isinstance(message, BodyEnded):
                        self._bodies.pop(message.body, None)
                    messages.append(adopted(message, descriptors, self._objects))
        finally:
            for _, descriptors in rest:
                for descriptor in descriptors:
                    os.close(descriptor)
        return messages

    def deaf(self) -> None:
        """Listen no more; the zygote will tell of its end."""
        self._channel.deaf()

    def _dropped(self, objects: Sequence[ObjectId]) -> None:
        for oid in objects:
            if self._sent[oid] > 1:
                self._sent[oid] -= 1
            elif self._sent.pop(oid, 0):
                self._objects.release(oid)

    def held(self) -> frozenset[ObjectId]:
        """Return the Objects that it was sent and has not dropped."""
        return frozenset(self._sent)

    def held_bytes(self) -> int:
        """Return how much memory is its own alone, in bytes; 0 before its process is known."""
        return own_bytes(self._pid) if self._pid > 0 else 0

    # ------------------------------------------------------------------ text and page

    def _read_pipe(self) -> bool:
        """Read what programs printed, as much as the pipe can hold; False where there was nothing."""
        try:
            data = os.read(self._pipe, _PIPE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._pipe)
            return False
        self._printed.add(data)
        return True

    def drain_pipe(self) -> None:
        """Read all that is left, bounded in case somebody still writes."""
        for _ in range(_DRAINS_MAX):
            if not self._read_pipe():
                return

    def take_printed(self) -> str:
        """Return what programs printed since the last call, bounded."""
        return self._printed.take() if self._printed else ""

    def progress(self) -> Progress:
        """Read the page, and what programs have printed since the last message."""
        where = authors_line(self._page.stack()) if self._asked else ""
        shown = self._printed.shown()
        slots = tuple(_in_slot(slot) for slot in self._page.slots() if slot.words[Page.ENTERED])
        return Progress(*self._page.snapshot(), self._page.text(), starved_s(self._pid), where, shown, slots)


def _in_slot(slot: Slot) -> InSlot:
    batch, index, _, entered_at = slot.snapshot()
    return InSlot(batch, index, entered_at, slot.text())


def clause(end: SandboxEnd, code: int | None) -> str:
    """Say in a clause why a Sandbox ended; `code` is its exit code or minus its signal, None where unknown."""
    if end.broken:
        return f"its channel broke: {end.broken}"
    if end.killed:
        return "killed by us"
    if end.stopped and code == 0:
        return "stopped"
    how = exit_clause(code)
    return how if end.ready else f"it ended before it was ready: {how}"


def import_clause(failure: Failure) -> str:
    """Say in a clause, with the traceback after it, why the author's code could not be imported."""
    return f"its code could not be imported: {failure.type}: {failure.message}\n{failure.traceback}".strip()


def exit_clause(code: int | None) -> str:
    """Put an exit code, or minus a signal's number, into words."""
    if code is None:
        return "its zygote ended"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
