"""The port Sandboxes with scripted guests in this process: no fork, no socket, virtual time."""

from __future__ import annotations

from functools import partial

import msgspec

from weftrun.model.ids import ObjectId, SandboxId
from weftrun.model.messages import Batch, Dropped, FromSandbox, ItemBatch, ToSandbox
from weftrun.ports.objects import Objects
from weftrun.ports.sandboxes import Profile, Progress, SandboxEvents
from weftrun.testing.sim.faults import Crash
from weftrun.testing.sim.guest import Running, ScriptedGuest
from weftrun.testing.sim.loop import SimLoop
from weftrun.testing.sim.outside import Died, Letter, Outside
from weftrun.testing.sim.parting import attempts_in

_NOWHERE = Progress(0, -1, False, 0.0)


class _Box:
    """A Sandbox from outside: whether it lives, what it runs, and which Objects it holds."""

    def __init__(self, guest: ScriptedGuest, asked_at: float) -> None:
        self.guest = guest
        self.asked_at = asked_at
        self.alive = True
        self.ready = False
        self.running: Running | None = None
        self.turns = 0
        self.held: set[ObjectId] = set()

    def end(self) -> None:
        """Let what it runs run no further."""
        self.alive = False
        running, self.running = self.running, None
        if running is not None:
            running.close()


class ScriptedSandboxes:
    """Makes, feeds and ends scripted Sandboxes."""

    def __init__(self, loop: SimLoop, outside: Outside, objects: Objects) -> None:
        """Make Sandboxes that live in the world `outside`, hand their Objects to `objects` and speak on `loop`."""
        self._loop = loop
        self._outside = outside
        self._beside = outside.loop
        self._objects = objects
        self._boxes: dict[SandboxId, _Box] = {}
        self._events: SandboxEvents | None = None
        self._closed = False

    @property
    def alive(self) -> int:
        """How many Sandboxes live."""
        return sum(box.alive for box in self._boxes.values())

    def listen(self, events: SandboxEvents) -> None:
        """Say whom to tell."""
        self._events = events

    def create(self, sandbox: SandboxId, profile: Profile) -> None:  # noqa: ARG002  # all are alike here
        """Begin to make a Sandbox."""
        guest = ScriptedGuest(sandbox, self._outside, lambda letter: self._post(sandbox, letter))
        self._boxes[sandbox] = _Box(guest, self._loop.now())
        self._beside.after(self._outside.pace.start_s, _inside(sandbox), lambda: self._started(sandbox))

    def send(self, sandbox: SandboxId, message: ToSandbox) -> None:
        """Send a message and the mappings of its Objects, which the Sandbox then holds by itself."""
        if isinstance(message, Batch | ItemBatch):
            self._outside.ledger.handed.update(attempts_in(message))
        box = self._boxes.get(sandbox)
        if box is None or not box.alive:
            return
        again: ToSandbox = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=ToSandbox)
        objects = {oid: self._objects.view(oid) for oid in getattr(again, "objects", ())}
        box.held |= set(objects)
        box.guest.hears(again)
        if isinstance(again, Batch) and again.is_prepared:
            self._arrived(sandbox, again, objects)  # it may well be there before the commit has happened
            return
        self._beside.after(
            self._outside.pace.hop_s, f"to sandbox {sandbox}", lambda: self._arrived(sandbox, again, objects)
        )

    def let(self, batch: int) -> None:
        """Let a prepared Batch be entered."""
        self._outside.hold.let = batch
        self._decided()

    def withdraw(self, batch: int) -> None:
        """Let a prepared Batch be entered never."""
        self._outside.hold.withdrawn = batch
        self._decided()

    def _decided(self) -> None:
        for sandbox, box in self._boxes.items():
            if box.guest.waits_to_be_let:
                self._beside.after(self._outside.pace.hop_s, _inside(sandbox), partial(self._looks, sandbox))

    def _looks(self, sandbox: SandboxId) -> None:
        """A Sandbox looks whether it may enter what it has."""
        if self._boxes[sandbox].guest.waits_to_be_let:
            self._go_on(sandbox)

    def hold_until(self, at: float) -> None:
        """Let bodies be entered until then."""
        self._outside.hold.until = at

    def fence(self) -> None:
        """Let no body be entered any more in the Sandboxes that were made so far."""
        self._outside.hold.fences += 1

    def progress(self, sandbox: SandboxId) -> Progress:
        """Read the page of a Sandbox."""
        box = self._boxes.get(sandbox)
        return box.guest.page if box is not None else _NOWHERE

    def held_bytes(self, sandbox: SandboxId) -> int:
        """Return a size that differs from Sandbox to Sandbox."""
        return (1 + sandbox % 3) << 20

    def kill(self, sandbox: SandboxId, *, says_where: bool = False) -> None:  # noqa: ARG002  # nobody asks scripts
        """End a Sandbox a little later: what it says until then is still told."""
        self._beside.after(
            self._outside.pace.hop_s, f"kill sandbox {sandbox}", lambda: self._die(sandbox, "killed by us")
        )

    def held(self, sandbox: SandboxId) -> frozenset[ObjectId]:
        """Return the Objects that a Sandbox holds."""
        box = self._boxes.get(sandbox)
        return frozenset(box.held) if box is not None else frozenset()

    def close(self) -> None:
        """End all Sandboxes; nothing more is told."""
        self._closed = True
        for box in self._boxes.values():
            box.end()

    def end_all(self, why: str) -> None:
        """End all Sandboxes, as a zygote does that hears no heartbeat."""
        for sandbox in list(self._boxes):
            self._die(sandbox, why)

    def linger(self, until_told: bool) -> None:
        """Let what runs go on after the engine died, to its end, though nobody hears of it (an abandoned Attempt)."""
        for box in self._boxes.values():
            if box.alive and box.running is not None and until_told:
                try:
                    for pause in box.running:
                        if pause is None:
                            break  # nobody answers any more, or it never ends
                except (Died, Crash):
                    pass
            box.end()

    # ------------------------------------------------------------------ inside

    def _started(self, sandbox: SandboxId) -> None:
        box = self._boxes[sandbox]
        try:
            self._outside.point("guest.start")
        except Died as died:
            self._die(sandbox, str(died))
            return
        if box.alive:
            box.guest.maps_hold()
            took_s = self._loop.now() - box.asked_at
            box.ready = True
            self._loop.after(self._outside.pace.hop_s, _said(sandbox), lambda: self._tell_ready(sandbox, took_s))
            self._go_on(sandbox)

    def _tell_ready(self, sandbox: SandboxId, took_s: float) -> None:
        if self._events is not None and not self._closed:
            self._events.sandbox_ready(sandbox, took_s, ())

    def _arrived(self, sandbox: SandboxId, message: ToSandbox, objects: dict[ObjectId, memoryview]) -> None:
        box = self._boxes[sandbox]
        if box.alive:
            box.guest.take(message, objects)
            if box.ready and (box.running is None or box.guest.wants(message)):
                self._go_on(sandbox)

    def _go_on(self, sandbox: SandboxId) -> None:
        """Let a Sandbox run until its next pause."""
        box = self._boxes[sandbox]
        if not box.alive:
            return
        box.turns += 1
        turn = box.turns
        if box.running is None:
            box.running = box.guest.serve()
        try:
            pause = next(box.running)
        except StopIteration:
            box.running = None
        except Died as died:
            self._die(sandbox, str(died))
        else:
            if pause is not None:
                self._beside.after((pause, pause), _inside(sandbox), lambda: self._wake(sandbox, turn))

    def _wake(self, sandbox: SandboxId, turn: int) -> None:
        """Let it go on after a pause, unless a message that it wanted has made it go on sooner."""
        if self._boxes[sandbox].turns == turn:
            self._go_on(sandbox)

    def _die(self, sandbox: SandboxId, why: str) -> None:
        box = self._boxes.get(sandbox)
        if box is None or not box.alive or self._closed:
            return
        box.end()
        page = box.guest.page
        self._loop.after(self._outside.pace.hop_s, _said(sandbox), lambda: self._tell_gone(sandbox, why, page))

    def _post(self, sandbox: SandboxId, letter: Letter) -> None:
        self._loop.after(self._outside.pace.hop_s, _said(sandbox), lambda: self._tell(sandbox, letter))

    def _tell(self, sandbox: SandboxId, letter: Letter) -> None:
        if self._closed or self._events is None:
            return
        message: FromSandbox = letter.told(self._objects.publish)
        if type(message) is Dropped:
            self._boxes[sandbox].held -= set(message.objects)
            return
        self._events.sandbox_spoke(sandbox, [message])

    def _tell_gone(self, sandbox: SandboxId, why: str, page: Progress) -> None:
        if self._events is not None and not self._closed:
            self._events.sandbox_gone(sandbox, why, page)


def _inside(sandbox: SandboxId) -> str:
    """Name the strand of what happens inside a Sandbox; a kill has one of its own and may come between any turns."""
    return f"in sandbox {sandbox}"


def _said(sandbox: SandboxId) -> str:
    return f"from sandbox {sandbox}"
