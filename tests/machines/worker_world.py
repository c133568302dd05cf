"""The world around one machine of a Worker: Sandboxes that do what they are told, and a naive book of what is where."""

from __future__ import annotations

from tests.machines.worker_guests import (
    EPSILON_S,
    FLOW,
    HELD_UP_S,
    LIMITS,
    RAISED,
    REVOKED_S,
    SPARE,
    TREE,
    Entered,
    Guest,
    IdleEnds,
    Key,
    Sent,
    due_of,
    message_of,
    profile_of,
    stand_still,
)

from weftrun.machines.worker import WorkerMachine
from weftrun.model.commands import Deliver, EnterBody, Invoke, InvokeItems, LeaveBody, Revoke
from weftrun.model.events import AttemptsEnded, BodyLost, BodyMade, BodyReturned, ItemsEnded
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.messages import (
    Batch,
    BodyCalled,
    BodyDeliver,
    BodyDrop,
    BodyEnded,
    BodyStart,
    Invocation,
    ItemBatch,
)
from weftrun.model.outcomes import Failure, Ran, Reason
from weftrun.model.policy import FunctionSpec
from weftrun.model.work import NOBODY, KillSandbox, Said, Send, StartSandbox, Tell, TickAt


class World:
    """Carries out commands, and checks each of them against the book."""

    def __init__(self, sandboxes_max: int) -> None:
        self.machine = WorkerMachine(LIMITS, sandboxes_max)
        self.sandboxes_max = sandboxes_max
        self.now = 1000.0
        self.tick_at = 0.0
        self.steps = 0
        self.waiting: dict[Key, FunctionSpec] = {}
        self.placed: dict[Key, int] = {}
        self.answered: set[Key] = set()
        self.revoked: set[tuple[int, int]] = set()
        self.guests: dict[int, Guest] = {}
        self.boxes_seen: set[int] = set()
        self.parked: list[Entered] = []
        self.bodies: dict[int, Entered] = {}
        self.dropped: dict[int, int] = {}
        self.brought_out: set[int] = set()
        self.ending: tuple[int, Guest] | None = None
        self.runs: set[int] = set()
        self.runs_seen = 0
        self.failed_starts = {1: 0, 2: 0}
        self.idle_ends = IdleEnds()
        self.blamed: Key | None = None
        self.ids: dict[StepId, tuple[int, int]] = {}
        self.held: dict[FunctionSpec, float] = {}

    # ------------------------------------------------------------------ what is asked of the Worker

    def open_run(self) -> int:
        self.runs_seen += 1
        self.runs.add(self.runs_seen)
        self.machine.run_opened(self.runs_seen, self.names(self.runs_seen))
        return self.runs_seen

    def names(self, run: int) -> tuple[RunId, RunUid]:
        return RunId(f"run-{run}"), RunUid(f"{run:032x}")

    def new_step(self, run: int) -> tuple[int, StepId]:
        self.steps += 1
        id = StepId(f"step-{self.steps}")
        self.ids[id] = (run, self.steps)
        return self.steps, id

    def invoke(self, run: int, function: FunctionSpec, count: int, attempt: int = 1) -> list[Key]:
        invocations, keys = [], []
        for _ in range(count):
            step, id = self.new_step(run)
            keys.append((run, step, -1, attempt))
            invocations.append(Invocation(0, step, id, attempt, TREE))
        self.waiting.update(dict.fromkeys(keys, function))
        self.work(run, Invoke(function, tuple(invocations)))
        return keys

    def invoke_items(self, run: int, function: FunctionSpec, ranges: tuple[tuple[int, int], ...]) -> None:
        step, id = self.new_step(run)
        self.waiting.update({(run, step, i, 1): function for lo, hi in ranges for i in range(lo, hi)})
        self.work(run, InvokeItems(function, run, step, id, 1, TREE, TREE, 0, ranges))

    def enter_body(self, run: int, step: int = 0, attempt: int = 1) -> Entered:
        if step == 0:
            step, id = self.new_step(run)
        id = StepId(f"step-{step}")
        body = Entered(run, step, attempt)
        self.parked.append(body)
        self.work(run, EnterBody(step, id, attempt, FLOW, TREE, self.now))
        return body

    def leave_body(self, body: Entered) -> None:
        self.forget(body)
        self.work(body.run, LeaveBody(body.step, body.attempt))

    def revoke(self, run: int, steps: set[int]) -> None:
        self.take_back(run, steps)
        self.work(run, Revoke(tuple(sorted(steps))))

    def take_back(self, run: int, steps: set[int]) -> None:
        """Nobody asks for an answer of these Steps any more."""
        self.revoked |= {(run, step) for step in steps}
        for book in (self.waiting, self.placed):
            for key in [k for k in book if k[0] == run and k[1] in steps]:
                del book[key]

    def open_steps(self, run: int) -> set[int]:
        return {key[1] for key in (*self.waiting, *self.placed) if key[0] == run}

    def give_up(self, run: int) -> None:
        self.take_back(run, self.open_steps(run))
        for body in [*self.parked, *self.bodies.values()]:
            if body.run == run:
                self.forget(body)
        self.runs.discard(run)
        self.machine.run_left(self.now, run)

    def forget(self, body: Entered) -> None:
        """A body that is left stays in its Sandbox until this is told to drop it."""
        if body in self.parked:
            self.parked.remove(body)
            return
        number = next(n for n, b in self.bodies.items() if b is body)
        del self.bodies[number]
        assert body.box is not None
        self.dropped[number] = body.box

    def work(self, run: int, command: object) -> None:
        has_function = isinstance(command, Invoke | InvokeItems | EnterBody)
        self.machine.work(self.now, run, command, profile_of(command.function) if has_function else 0)

    def press(self, function: FunctionSpec, body_s: float, leaves_in_s: float) -> None:
        """What a body of this Function has made is handed to other hosts."""
        held_s = min(leaves_in_s - body_s, LIMITS.transfer_hold_s)
        if held_s >= 0.005:
            self.held[function] = max(self.held.get(function, 0.0), self.now + held_s)
        self.machine.pressed(self.now, function, body_s, leaves_in_s)

    # ------------------------------------------------------------------ what the Worker wants

    def pump(self) -> None:
        """Do what the runtime does after an event: carry out, place, carry out."""
        self.carry_out(places=False)
        self.machine.place(self.now)
        self.carry_out(places=True)
        self.carry_out(places=False)

    def carry_out(self, *, places: bool) -> None:
        """Only placing starts Sandboxes for Functions."""
        while commands := self.machine.take_commands():
            for command in commands:
                match command:
                    case StartSandbox():
                        self.started(command, places)
                    case Send():
                        self.sent(command)
                    case KillSandbox():
                        self.killed(command)
                    case TickAt():
                        self.tick_at = command.at
                    case Said():
                        step = StepId(command.step.partition(".")[0])  # of an item, its map's
                        assert self.ids[step][0] == command.run, "a text of another Run"
                    case Tell():
                        self.told(command)

    def started(self, command: StartSandbox, places: bool) -> None:
        assert command.sandbox not in self.boxes_seen, "a Sandbox is made twice"
        self.boxes_seen.add(command.sandbox)
        for_bodies = self.machine.state.boxes[command.sandbox].for_bodies
        assert for_bodies or places
        self.guests[command.sandbox] = Guest(command.profile, for_bodies, self.now)
        alike = [g for g in self.guests.values() if g.for_bodies == for_bodies and not g.killed]
        held_up = [g for g in alike if g.runs_s(self.now) >= HELD_UP_S - EPSILON_S]
        most = self.sandboxes_max + (SPARE if for_bodies and held_up else 0)
        assert len(alike) <= most, "more Sandboxes than there may be"

    def sent(self, command: Send) -> None:
        guest = self.guests[command.sandbox]
        message = command.message
        match message:
            case Batch() | ItemBatch():
                assert guest.ready and not guest.killed and not guest.for_bodies
                assert profile_of(message.function) == guest.profile, "work for another profile"
                assert self.held.get(message.function, 0.0) <= self.now, "a Function that is held is given out"
                guest.sent.append(Sent(message.no, message.function, self.now, self.keys_of(message)))
                assert len(guest.sent) <= 2
                for _, key in guest.sent[-1].keys:
                    assert self.waiting.pop(key, None) is message.function, f"{key} is sent though it does not wait"
                    self.placed[key] = command.sandbox
            case BodyStart():
                assert guest.ready and not guest.killed and guest.for_bodies
                body = next(b for b in self.parked if (b.step, b.attempt) == (self.ids[message.id][1], message.attempt))
                self.parked.remove(body)
                body.box, body.turn = command.sandbox, True
                assert message.body not in self.bodies
                self.bodies[message.body] = body
                guest.bodies.add(message.body)
                guest.gets_turn(message.body, self.now)
            case BodyDeliver():
                body = self.bodies[message.body]
                assert body.box == command.sandbox and not body.turn and body.child is None
                body.turn = True
                guest.gets_turn(message.body, self.now)
            case BodyDrop():
                if message.body in self.bodies:
                    self.brought_out.add(message.body)
                else:
                    assert self.dropped.pop(message.body) == command.sandbox
                guest.bodies.discard(message.body)

    def keys_of(self, message: Batch | ItemBatch) -> list[tuple[int, Key]]:
        if isinstance(message, Batch):
            assert 0 < len(message.items) <= LIMITS.batch_size_max
            keys = []
            for index, invocation in enumerate(message.items):
                run, step = self.ids[invocation.id]
                assert message.runs[invocation.run] == self.names(run) and run in self.runs
                keys.append((index, (run, step, -1, invocation.attempt)))
            return keys
        run, step = self.ids[message.id]
        assert message.run == self.names(run) and run in self.runs
        return [(i, (run, step, i, message.attempt)) for lo, hi in message.ranges for i in range(lo, hi)]

    def killed(self, command: KillSandbox) -> None:
        """What runs when a Sandbox is ended has run too long, or is revoked; an innocent body is not ended."""
        guest = self.guests[command.sandbox]
        guest.killed = True
        if not guest.ready:
            assert self.now >= guest.since + LIMITS.sandbox_start_s - EPSILON_S
            return
        if guest.turns:
            least_s = LIMITS.body_timeout_s if guest.front in self.bodies else REVOKED_S
            assert guest.runs_s(self.now) >= least_s - EPSILON_S, "a Sandbox is ended for a turn that may go on"
            return
        assert not self.bodies_in(command.sandbox), "a Sandbox that holds bodies is ended"
        open_keys = [key for sent in guest.sent for key in sent.open]
        assert all(k[:2] in self.revoked for k in open_keys) or self.is_guilty(guest), "an innocent body is ended"

    def bodies_in(self, box: int) -> list[int]:
        return [number for number, body in self.bodies.items() if body.box == box]

    def entered(self) -> list[Key]:
        """What runs now, as pages say."""
        pages = [(guest.sent[0], guest.page) for guest in self.guests.values() if guest.sent and guest.page[2]]
        found = [key for sent, page in pages for index, key in sent.keys if (sent.no, index) == page[:2]]
        return [key for key in found if key in self.placed]

    def is_guilty(self, guest: Guest) -> bool:
        no, index, entered, at = guest.page
        key = next((key for sent in guest.sent if sent.no == no for i, key in sent.keys if i == index), None)
        timeout_s = guest.sent[0].function.timeout_s
        late = timeout_s is not None and self.now >= at + timeout_s
        return entered and key is not None and (late or key[:2] in self.revoked)

    # ------------------------------------------------------------------ what the Worker tells

    def told(self, tell: Tell) -> None:
        match tell.event:
            case AttemptsEnded():
                for ended in tell.event.ended:
                    self.answer((tell.run, ended.step, -1, ended.attempt), ended.failure)
            case ItemsEnded():
                event = tell.event
                for lo, hi, _ in event.values:
                    for item in range(lo, hi):
                        self.answer((tell.run, event.step, item, event.attempt), None)
                for item, failure in event.failures:
                    self.answer((tell.run, event.step, item, event.attempt), failure)
            case BodyLost():
                self.body_lost(tell.run, tell.event)
            case BodyReturned() if tell.run != NOBODY:
                self.body_answered(tell.run, tell.event)
            case BodyMade():
                assert tell.run == NOBODY or tell.run in self.runs

    def body_lost(self, run: int, event: BodyLost) -> None:
        """A body counts a loss only if it may be at fault; else it is entered again as the same Attempt."""
        number, body = next((n, b) for n, b in self.bodies.items() if (b.run, b.step) == (run, event.step))
        del self.bodies[number]
        if number in self.brought_out:
            self.brought_out.discard(number)
            guest = self.guests[body.box or 0]
            assert event.failure is None and body.turn and guest.front != number, "it was brought out of its turn"
            assert guest.runs_s(self.now) >= HELD_UP_S - EPSILON_S, "it was brought out though nothing held it up"
        else:
            assert self.ending is not None and body.box == self.ending[0], "a body is lost that is alive"
            guest = self.ending[1]
            is_innocent = guest.killed or guest.front not in (0, number)
            assert (event.failure is None) is is_innocent
        self.enter_body(body.run, body.step, body.attempt + (event.failure is not None))

    def answer(self, key: Key, failure: Failure | None) -> None:
        if key[:2] in self.revoked:
            return
        assert key not in self.answered, f"{key} is answered twice"
        function = self.waiting.pop(key, None)
        box = self.placed.pop(key, None)
        self.answered.add(key)
        if function is not None:
            assert failure is not None and failure.reason is Reason.UNLOADABLE, f"{key} is answered but never ran"
            assert max(self.failed_starts.values()) >= 3
        elif failure is not None and failure.reason is not Reason.RAISED:
            self.check_ended(key, box, failure)
        self.settled(key)

    def check_ended(self, key: Key, box: int | None, failure: Failure) -> None:
        """A body fails by its Sandbox only if it was in it, or had been and must not be entered again."""
        assert self.ending is not None and self.ending[0] == box, "an Attempt is failed though its Sandbox is alive"
        guest = self.ending[1]
        no, index, entered, _ = guest.page
        sent, position = next((s, i) for s in guest.sent for i, k in s.keys if k == key)
        is_culprit = entered and (sent.no, position) == (no, index)
        if failure.reason is Reason.LOST:
            was_entered = sent.no == no and position <= index
            may_not_repeat = was_entered and sent.function.label == "once"
            assert is_culprit or may_not_repeat or key == self.blamed, "failed for a neighbour"
        else:
            assert failure.reason is Reason.TIMEOUT and is_culprit and self.is_guilty(guest)

    def settled(self, child: object) -> None:
        """Hand an outcome to the body that awaits it."""
        for body in list(self.bodies.values()):
            if body.child == child and child is not None:
                body.child = None
                self.work(body.run, Deliver(body.step, body.attempt, 0, TREE, None, self.now))

    def body_answered(self, run: int, event: BodyReturned) -> None:
        unloadable = event.failure is not None and event.failure.reason is Reason.UNLOADABLE
        if unloadable:
            body = next(b for b in self.parked if (b.run, b.step, b.attempt) == (run, event.step, event.attempt))
            self.parked.remove(body)
            assert max(self.failed_starts.values()) >= 3
        else:
            number, body = next((n, b) for n, b in self.bodies.items() if (b.run, b.step) == (run, event.step))
            if event.failure is not None and event.failure.reason is Reason.TIMEOUT:
                assert self.ending is not None and body.box == self.ending[0]
                guest = self.ending[1]
                assert guest.killed and guest.front == number, "a body has failed for the turn of another"
                assert guest.runs_s(self.now) >= LIMITS.body_timeout_s - EPSILON_S
            del self.bodies[number]
        self.settled((run, event.step))

    # ------------------------------------------------------------------ what Sandboxes do

    def goes_on(self, box: int, seconds: float, fails: bool, tells: bool) -> None:
        """The first Batch goes a step further: its next body is entered, or the one that runs is left."""
        guest = self.guests[box]
        sent = guest.sent[0]
        no, index, entered, entered_at = guest.page
        if entered:
            self.now += seconds
            sent.untold.append((*sent.keys[sent.at_position], fails))
            sent.at_position += 1
            guest.page = (no, index, False, entered_at)
            is_told_at_once = sent.function.effects == "visible" and sent.keys[0][1][2] < 0
            if tells or sent.done or is_told_at_once:
                self.tell(box, guest, sent)
        else:
            guest.page = (sent.no, sent.keys[sent.at_position][0], True, self.now)

    def tell(self, box: int, guest: Guest, sent: Sent) -> None:
        untold, sent.untold = sent.untold, []
        ran = Ran(box, guest.page[3], self.now)
        self.idle_ends.count[guest.profile, sent.function] = 0
        if sent.done:
            guest.sent.popleft()
        self.machine.spoke(self.now, box, [message_of(sent.no, untold, ran)])

    def starts(self, box: int) -> None:
        guest = self.guests[box]
        guest.ready = not guest.killed
        if guest.ready:
            self.failed_starts[guest.profile] = 0
        self.machine.ready(self.now, box)

    def ends(self, box: int, why: str) -> None:
        """A Sandbox is gone: what it had not told goes with it, and waits again or has failed."""
        guest = self.guests.pop(box)
        if not guest.ready:
            self.failed_starts[guest.profile] += 1
        self.ending = (box, guest)
        self.blamed = self.idle_ends.whom_to_blame(guest)
        self.machine.gone(self.now, box, why, guest.page, "text")
        self.carry_out(places=False)
        self.ending = self.blamed = None
        no, index, _, _ = guest.page
        for sent in guest.sent:
            for position, key in sent.keys:
                if self.placed.get(key) == box:
                    was_entered = sent.no == no and position <= index
                    assert sent.function.label != "once" or not was_entered, "entered twice in spite of retries=0"
                    del self.placed[key]
                    self.waiting[key] = sent.function

    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds
        if self.tick_at and self.tick_at <= self.now:
            stand_still(self.guests.values(), self.now - self.tick_at, self.now)
            self.tick_at = 0.0
            self.machine.tick(self.now, {box: self.guests[box].page for box in self.machine.watched_sandboxes()})

    def in_turn(self) -> list[int]:
        """Return the bodies that run now."""
        fronts = [guest.front for guest in self.guests.values() if not guest.killed]
        return [number for number in fronts if number in self.bodies]

    def strays(self) -> list[int]:
        """Return the Sandboxes in which a body runs that was left, or brought elsewhere."""
        return [b for b, g in self.guests.items() if g.front and not g.killed and g.front not in self.bodies]

    def stray_speaks(self) -> None:
        """The turn of a body that was left ends all the same."""
        box = self.strays()[0]
        number = self.guests[box].front
        self.body_speaks(box, BodyEnded(number, None, RAISED, Ran(box, self.now, self.now)))

    def body_speaks(self, box: int, message: BodyCalled | BodyEnded) -> None:
        if isinstance(message, BodyEnded) or message.awaits:
            assert self.guests[box].front == message.body
            self.guests[box].turn_ends(self.now)
        self.machine.spoke(self.now, box, [message])

    # ------------------------------------------------------------------ what must hold after each burst

    def check(self) -> None:
        for box, guest in self.guests.items():
            due = due_of(guest, self.now, self.revoked)
            assert due is None or 0 < self.tick_at <= due + EPSILON_S, f"nobody will look at Sandbox {box} in time"
        pool = [guest for guest in self.guests.values() if not guest.for_bodies]
        free_to_go = [key for key, function in self.waiting.items() if self.held.get(function, 0.0) <= self.now]
        held = [self.held[function] for function in self.waiting.values() if self.held.get(function, 0.0) > self.now]
        assert pool or not free_to_go, "work waits and nothing is under way"
        assert not held or 0 < self.tick_at <= min(held) + EPSILON_S, "nobody will look at a Function that is held"
        free = {guest.profile for guest in pool if guest.ready and not guest.killed and not guest.sent}
        if free:
            late = [key for key in free_to_go if profile_of(self.waiting[key]) in free]
            assert not late, f"{late} wait though a Sandbox is free"
        assert not self.dropped, "a body that was left stays in its Sandbox"
        assert all(body.box in self.guests for body in self.bodies.values()), "nobody was told of a lost body"
        if self.parked:
            alike = [g for g in self.guests.values() if g.for_bodies and not g.killed]
            starts = any(not g.ready for g in alike)
            held_up = all(g.runs_s(self.now) >= HELD_UP_S - EPSILON_S for g in alike)
            full = held_up and len(alike) >= self.sandboxes_max + SPARE
            assert starts or full, f"{self.parked} wait for nothing"
