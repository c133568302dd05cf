"""Runs the machine of the Worker on this host against its Sandboxes (port Worker, in the same process)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from weftrun.machines.armed import ArmedMachine
from weftrun.machines.worker import WorkerMachine
from weftrun.model.commands import Arm, EnterBody, Feed, Invoke, InvokeItems, Revoke, WorkCommand
from weftrun.model.events import AttemptsEnded
from weftrun.model.ids import ObjectId, RunId, RunUid, SandboxId, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.messages import (
    Answer,
    Asking,
    Batch,
    BodyEnded,
    BodyStart,
    FromSandbox,
    ItemBatch,
    ItemOutcomes,
    OfStream,
    Outcomes,
    PutDurably,
    StreamAnswer,
    TransactionAnswer,
)
from weftrun.model.outcomes import Failure, Ran, Reason
from weftrun.model.policy import Bundle, FunctionSpec, Reach
from weftrun.model.strategy import ADAPTIVE, Strategy
from weftrun.model.values import Data, Object
from weftrun.model.visiting import distinct_objects, objects_in
from weftrun.model.warm import UNRULED, Warm, WarmCounts
from weftrun.model.work import (
    AttemptAt,
    BatchHolds,
    BatchSent,
    BodyMessage,
    Cold,
    Fact,
    KillSandbox,
    Running,
    Said,
    Send,
    StartSandbox,
    Tell,
    TickAt,
)
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.objects import Objects
from weftrun.ports.peers import Peers
from weftrun.ports.sandboxes import Progress, Sandboxes
from weftrun.ports.worker import LimitKeeper, WorkerEvents
from weftrun.runtime.lookout import Lookout
from weftrun.runtime.profiles import Profiles
from weftrun.runtime.waiting_batches import WaitingBatches

_NO_LIMITS = Failure(
    Reason.MISUSE, "Unsupported",
    "a Function with `limit=` runs in the engine's own Sandboxes only: open the engine without `cluster=`",
)  # fmt: skip
_NOT_ARMED_YET = -1
"""Stands for the reader of a value that came before its `Arm`."""
_EARLY_MAX = 256
"""Values that are kept of Runs that this Worker has not heard of: the engine may be slower than another Worker."""
_OVER_MAX = 1_024
"""Runs that are remembered after their end, for values of them that come late."""


_UNASKED = BatchHolds()
"""An engine that ends with its Worker asks for nothing of a Batch."""


class WorkerDriver:
    """The Worker of this process (ports Worker and SandboxEvents).

    Args:
        sandboxes_max: Sandboxes that run Functions at once.
        first_sandbox: number before that of its first Sandbox, so that numbers are unique within one engine.
        peers: the other Workers of its engine, where it can reach them.
        strategy: by what rule Invocations get their Sandboxes.
        rules: which Sandboxes are kept or made though nothing needs them.
        outlived: whether its engine may outlive it, and so is to know of a Batch before a Sandbox has it (W9).

    Attributes:
        warm: what there is to tell of Sandboxes that wait for work; replaced as a whole, so that any thread may look.
        tell_warm: called with that when it has changed, as far as anybody looks.
    """

    def __init__(
        self,
        loop: Loop,
        sandboxes: Sandboxes,
        objects: Objects,
        limits: Limits,
        sandboxes_max: int,
        *,
        first_sandbox: int = 0,
        peers: Peers | None = None,
        strategy: Strategy = ADAPTIVE,
        rules: Warm = UNRULED,
        outlived: bool = False,
    ) -> None:
        self._loop = loop
        self._sandboxes = sandboxes
        self._machine = WorkerMachine(limits, sandboxes_max, first_sandbox, strategy, rules)
        self.warm = self._machine.warm_counts
        self.tell_warm: Callable[[WarmCounts], None] = lambda _: None
        self._profiles = Profiles()
        self._objects = objects
        self._armed = ArmedMachine()
        self._peers = peers
        self._held: dict[int, dict[int, list[ObjectId]]] = {}
        self._early: deque[tuple[WorkerId, int, int, Data]] = deque()
        self._over: dict[int, None] = {}
        self._bundles: dict[int, Bundle] = {}
        self._traces: dict[RunUid, str] = {}
        self._traced: dict[int, RunUid] = {}
        self._enter_until: float | None = None
        self._place_asked = False
        self._timer: Handle | None = None
        self._fresh: dict[SandboxId, dict[str, Fact]] = {}
        self._cold: dict[SandboxId, Cold] = {}
        self._printed: dict[SandboxId, list[str]] = {}
        self._drains = self._stopped = False
        self._waiting = WaitingBatches(sandboxes, objects) if outlived else None
        self._prepared: BatchSent | None = None
        self._is_prepared = False
        self._keeper: LimitKeeper | None = None
        self._events: WorkerEvents
        self._lookout = Lookout(loop, sandboxes, self._machine, self._piped, self._runs_long)
        sandboxes.listen(self)
        if peers is not None:
            peers.listen(self._handed)

    # ------------------------------------------------------------------ port Worker

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do that would go on by itself."""
        return self._machine.quiet

    def listen(self, events: WorkerEvents) -> None:
        """Say whom to tell."""
        self._events = events

    def open_run(self, run: int, id: RunId, uid: RunUid, bundle: Bundle, trace: str = "") -> None:
        """A Run may send work from now on."""
        self._bundles[run] = bundle
        if trace:
            self._traces[uid] = trace
            self._traced[run] = uid
        self._machine.run_opened(run, (id, uid))
        if self._early:
            early, self._early = self._early, deque()
            for source, of, step, value in early:
                self._handed(source, of, step, value)

    def close_run(self, run: int) -> None:
        """A Run is over."""
        self._machine.run_closed(run)
        self._forget(run)

    def leave_run(self, run: int) -> None:
        """A Run is given up before its end."""
        self._machine.run_left(self._loop.now(), run)
        self._forget(run)
        self._place_soon()

    def work(self, run: int, command: WorkCommand) -> None:
        """Take a command of a Run's machine."""
        if self._is_prepared and type(command) is Invoke:
            self._is_prepared = False
            self._machine.prepared_came(run, command)
            sent, self._prepared = self._prepared, None
            assert sent is not None, "a prepared Batch was sent"
            self._events.batch_sent(sent, _nothing)
            return
        if type(command) is EnterBody and not self._may_enter():
            self._machine.bar()
        if type(command) is Arm:
            self._arm(run, command)
        elif type(command) is Feed:
            self._armed.feed(run, command)
        elif run in self._armed.runs:
            self._work_of_armed(run, command)
        else:
            self._work(run, command)
        if not self._place_asked:
            # Also where there is nothing to place: who waits for rest hears that this was heard.
            self._place_soon()

    def _work(self, run: int, command: WorkCommand) -> None:
        profile = 0
        if isinstance(command, Invoke | InvokeItems | EnterBody):
            profile = self._profiles.number(self._bundles[run], command.function)
        self._machine.work(self._loop.now(), run, command, profile)
        if isinstance(command, Invoke | InvokeItems) and isinstance(command.function.reach, Reach):
            self._keep_limit(command.function, profile)

    def _keep_limit(self, function: FunctionSpec, profile: int) -> None:
        """Ask for places of a Function's limit, where it has one."""
        if function.limit:
            if self._keeper is not None:
                self._keeper.wants(function)
            else:
                self._machine.refuse(self._loop.now(), profile, function, _NO_LIMITS)

    def _work_of_armed(self, run: int, command: WorkCommand) -> None:
        """Take a command of a Run with armed Steps: what these have started is under way."""
        fresh: WorkCommand | None = command
        if type(command) is Invoke:
            fresh = self._armed.invoked(run, command)
        elif type(command) is Revoke:
            self._armed.dropped(run, command.steps)
            self._let_go(run, command.steps)
        if fresh is not None:
            self._work(run, fresh)

    def _arm(self, run: int, command: Arm) -> None:
        """Keep what an armed Step has been given until it has ended."""
        for armed in command.armed:
            self._hold(run, armed.invocation.step, objects_in(armed))
        self._start(run, self._armed.arm(run, command))

    def _hold(self, run: int, reader: int, objects: Sequence[Object]) -> None:
        for obj in objects:
            self._objects.hold(obj.oid)
            self._held.setdefault(run, {}).setdefault(reader, []).append(obj.oid)

    def _let_go(self, run: int, readers: Sequence[int]) -> None:
        """Armed Steps have ended, or are not wanted: release what they took."""
        held = self._held.get(run)
        for reader in readers if held else ():
            for oid in held.pop(reader, ()):  # type: ignore[union-attr]
                self._objects.release(oid)

    def _tell_and_start(self, run: int, event: AttemptsEnded, function: FunctionSpec | None) -> None:
        """Hand on and tell what became of Attempts; then start what has only waited for that."""
        for ended in event.ended:
            if ended.value is not None and not ended.undoes and self._hand_on(run, ended.step, ended.value):
                self._press(function, ended.ran)
        started = self._armed.ended(run, event)
        self._events.told(run, event)
        self._let_go(run, [ended.step for ended in event.ended])
        self._start(run, started)
        self._place_soon()

    def _hand_on(self, run: int, step: int, value: Data) -> bool:
        """Keep a value for who waits for it here, and hand it to others; say whether bytes leave for them."""
        objects = objects_in(value)
        for reader in self._armed.readers_of(run, step):
            self._hold(run, reader, objects)
        others = self._armed.fed_with(run, step) if self._peers is not None else ()
        for worker in others:
            assert self._peers is not None
            self._peers.give(worker, run, step, value)
        return bool(objects and others)

    def _press(self, function: FunctionSpec | None, ran: Ran) -> None:
        """A body has made what other Workers wait for: its Function may be ahead of what this host can send."""
        leaves_in_s = self._peers.leaves_in_s() if self._peers is not None else 0.0
        if function is not None and leaves_in_s:
            self._machine.pressed(self._loop.now(), function, ran.left_at - ran.entered_at, leaves_in_s)

    def _handed(self, source: WorkerId, run: int, step: int, value: Data) -> None:
        """Another Worker has handed over a value, perhaps before the engine told of its Run here."""
        if self._stopped or run in self._over:
            self._release(value)
        elif run not in self._bundles:
            self._early.append((source, run, step, value))
            if len(self._early) > _EARLY_MAX:
                self._release(self._early.popleft()[-1])  # the engine sends what is missing (W5)
        else:
            for reader in self._armed.readers_of(run, step, source) or (_NOT_ARMED_YET,):
                self._hold(run, reader, objects_in(value))
            self._start(run, self._armed.came(run, step, source, value))
            self._place_soon()
            self._release(value)

    def _release(self, value: Data) -> None:
        for obj in objects_in(value):
            self._objects.release(obj.oid)

    def _start(self, run: int, started: Sequence[Invoke]) -> None:
        for invoke in started:
            self._work(run, invoke)

    def _forget(self, run: int) -> None:
        del self._bundles[run]
        self._over[run] = None
        if len(self._over) > _OVER_MAX:
            del self._over[next(iter(self._over))]
        if run in self._traced:
            self._traces.pop(self._traced.pop(run), None)
        self._armed.closed(run)
        self._let_go(run, list(self._held.get(run, ())))
        self._held.pop(run, None)

    def release(self, objects: Sequence[ObjectId]) -> None:
        """Forget Objects: here they are the engine's own."""

    def answer(self, attempt: AttemptAt, answer: Answer) -> None:
        """Answer what an Attempt said to its transaction."""
        self._sandboxes.send(attempt.sandbox, answer)

    def overstayed(self, attempt: AttemptAt, failure: Failure) -> None:
        """End a Sandbox for what an Attempt does."""
        self._machine.overstayed(attempt.sandbox, attempt.no, attempt.index, failure)
        self._pump()

    def hold_until(self, at: float) -> None:
        """Enter bodies until then, and not after."""
        could = self._may_enter()
        self._enter_until = at
        self._sandboxes.hold_until(at)
        if not could and self._may_enter():
            self._place_soon()

    def fence(self) -> None:
        """Enter nothing more of what was given so far."""
        self._sandboxes.fence()

    def drain(self) -> None:
        """Start nothing more."""
        self._drains = True
        self._machine.let_cool()
        self._place()

    def stop(self) -> None:
        """Do nothing more at all."""
        self._stopped = True
        self._lookout.stop()

    # ------------------------------------------------------------------ beside a commit (port PreparingWorker)

    def prepare(self, run: int, command: Invoke) -> bool:
        """Send what will be asked for when a commit has happened, where a Sandbox is idle."""
        if self._stopped or self._drains or not self._may_enter():
            return False
        profile = self._profiles.number(self._bundles[run], command.function)
        is_prepared = self._machine.prepare(self._loop.now(), run, command, profile)
        if is_prepared:
            self._pump()
        return is_prepared

    def prepared_over(self, *, is_asked: bool) -> None:
        """Let what was prepared be entered, which is asked for next; or take it back."""
        no = self._machine.prepared_over(is_asked=is_asked)
        self._is_prepared = is_asked
        if is_asked:
            self._sandboxes.let(no)
        else:
            self._prepared = None
            self._sandboxes.withdraw(no)

    def keep_warm(self, bundle: Bundle, function: FunctionSpec, count: int) -> None:
        """Let so many Sandboxes be there for a Function though nothing waits for them; 0 for as many as it takes."""
        if not self._stopped and not self._drains:
            number = self._profiles.number(bundle, function)
            self._machine.keep_warm(self._loop.now(), number, function, count)
            self._pump()

    # ------------------------------------------------------------------ Functions with a limit (port LimitedWorker)

    def keep_limits(self, keeper: LimitKeeper) -> None:
        """Say whom to ask for places."""
        self._keeper = keeper

    def demand(self, function: str) -> tuple[int, int]:
        """Return how many places of a Function's limit are in use, and how many Attempts wait for one."""
        return self._machine.demand(function)

    def hold_places(self, function: str, count: int) -> None:
        """So many Attempts of a Function may run at once from now on."""
        self._machine.hold_places(function, count)
        self._place_soon()

    def runs_waiting(self, function: str) -> set[int]:
        """Return the numbers of Runs of which Attempts wait for a place of a Function's limit."""
        return self._machine.runs_waiting(function)

    # ------------------------------------------------------------------ placing, and what the machine wants

    def _may_enter(self) -> bool:
        return self._enter_until is None or self._loop.now() < self._enter_until

    def _place_soon(self) -> None:
        """Place what waits, once in this turn of the loop."""
        if not self._place_asked:
            self._place_asked = True
            self._loop.call_soon(self._place)

    def _place(self) -> None:
        self._place_asked = False
        if self._stopped:
            return
        if not self._drains and self._may_enter():
            self._machine.place(self._loop.now())
        if self._machine.state.commands:
            self._pump()
        self._events.rested()

    def _pump(self) -> None:
        """Carry out what the machine wants, until it wants nothing more."""
        while self._machine.state.commands:
            for command in self._machine.take_commands():
                match command:
                    case Tell(run, AttemptsEnded() as event, function) if run in self._armed.runs:
                        self._tell_and_start(run, event, function)
                    case Tell():
                        self._events.told(command.run, command.event)
                    case Send():
                        self._send(command)
                    case StartSandbox():
                        self._cold[command.sandbox] = command.why
                        self._sandboxes.create(command.sandbox, self._profiles.profile(command.profile))
                    case KillSandbox():
                        self._sandboxes.kill(command.sandbox, says_where=command.says_where)
                    case Said():
                        self._events.printed(command)
                    case TickAt():
                        if self._timer is not None:
                            self._timer.cancel()
                        self._timer = self._loop.call_at(command.at, self._tick)

    def _send(self, command: Send) -> None:
        message = command.message
        if self._traces:
            message = _traced(message, self._traces)
        objects = () if self._objects.is_empty else _objects_of(message)
        message = replace(message, objects=objects) if objects else message
        if isinstance(message, Batch) and message.is_prepared:
            self._prepared = self._sent(command.sandbox, message)
            self._sandboxes.send(command.sandbox, message)
        elif isinstance(message, Batch | ItemBatch) and self._waiting is not None:
            sent = self._sent(command.sandbox, message)
            self._waiting.send(command.sandbox, message, partial(self._events.batch_sent, sent))
        else:
            self._sandboxes.send(command.sandbox, message)
            if isinstance(message, Batch | ItemBatch):
                self._events.batch_sent(self._sent(command.sandbox, message), _nothing)
        self._lookout.gave()

    def _sent(self, sandbox: SandboxId, message: Batch | ItemBatch) -> BatchSent:
        fresh = self._fresh.pop(sandbox, None)
        label = message.function.label
        holds = self._machine.holds(sandbox, message.no) if self._waiting is not None else _UNASKED
        if isinstance(message, ItemBatch):
            size = sum(hi - lo for lo, hi in message.ranges)
            return BatchSent(message.run[1], sandbox, label, message.id, 0, size, fresh, holds=holds)
        first, size = message.items[0], len(message.items)
        return BatchSent(message.runs[0][1], sandbox, label, first.id, first.attempt, size, fresh, holds=holds)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.now()
        read = {id: self._sandboxes.progress(id) for id in self._machine.watched_sandboxes()}
        pages = {id: _running(progress) for id, progress in read.items()}
        slots = {id: progress.slots for id, progress in read.items() if progress.slots}
        self._machine.measured({id: self._sandboxes.held_bytes(id) for id in self._machine.unmeasured()})
        self._machine.tick(now, pages, {id: progress.starved_s for id, progress in read.items()}, slots)
        self._place()
        self._note_warm()

    def _note_warm(self) -> None:
        counts = self._machine.warm_counts
        if counts != self.warm:
            self.warm = counts
            self.tell_warm(counts)

    # ------------------------------------------------------------------ port SandboxEvents

    def sandbox_ready(
        self,
        sandbox: SandboxId,
        start_s: float,
        isolation: tuple[str, ...],
        unforkable: tuple[str, ...] = (),
        written: tuple[str, ...] = (),
    ) -> None:
        """The Sandbox takes work."""
        self._fresh[sandbox] = {
            "cold": self._cold.pop(sandbox, "first"),
            "start_s": start_s,
            "isolation": " ".join(isolation),
            "unforkable": ", ".join(unforkable),
            "written": ", ".join(written),
        }
        if not self._may_enter():
            self._machine.bar()
        self._machine.ready(self._loop.now(), sandbox, start_s)
        self._place()

    def sandbox_spoke(self, sandbox: SandboxId, messages: list[FromSandbox]) -> None:
        """Messages came, in order."""
        printed = self._printed.pop(sandbox, None)
        if printed is not None:
            messages = self._with_text(sandbox, messages, "".join(printed))
        self._place_asked = True  # placed below, once for all: no turn of the loop is needed for it
        self._machine.spoke(self._loop.now(), sandbox, messages)
        self._pump()
        for message in messages:
            if isinstance(message, Asking):
                self._asked(sandbox, message)
        self._place()

    def _asked(self, sandbox: SandboxId, message: Asking) -> None:
        no, index = message.no, message.index
        found = self._machine.invocation_at(sandbox, no, index)
        if found is None:
            why = "The Attempt has ended."
            if isinstance(message, OfStream | PutDurably):
                self._sandboxes.send(sandbox, StreamAnswer(no, index, error=why))
            else:
                self._sandboxes.send(sandbox, TransactionAnswer(no, index, error=why, kind="UsageError"))
            return
        run, i = found
        self._events.asked(AttemptAt(sandbox, no, index, run, i.step, i.id, i.attempt, i.undoes), message)

    def sandbox_printed(self, sandbox: SandboxId, text: str) -> None:
        """Text came over descriptor 1 or 2; it belongs to what the Sandbox runs."""
        self._printed.setdefault(sandbox, []).append(text)

    def _runs_long(self, rows: tuple[Running, ...]) -> None:
        self._events.running(rows)

    def _piped(self, sandbox: SandboxId) -> str:
        """Return what came over descriptors 1 and 2 and is not told yet."""
        return "".join(self._printed.get(sandbox, ()))

    def sandbox_gone(self, sandbox: SandboxId, why: str, progress: Progress) -> None:
        """The Sandbox ended."""
        self._events.sandbox_ended(sandbox)
        text = progress.text + "".join(self._printed.pop(sandbox, ()))
        self._fresh.pop(sandbox, None)
        self._cold.pop(sandbox, None)
        if self._waiting is not None:
            self._waiting.drop(sandbox)
        now, running, slots = self._loop.now(), _running(progress), progress.slots
        self._machine.gone(now, sandbox, why, running, text, progress.where, slots)
        self._pump()  # first, for a Run that fails by this must have nothing placed any more
        self._place()
        self._note_warm()

    def _with_text(self, sandbox: SandboxId, messages: list[FromSandbox], text: str) -> list[FromSandbox]:
        """Return the messages with what came over descriptors 1 and 2, as printed by the first that ended."""
        for index, message in enumerate(messages):
            match message:
                case Outcomes(outcomes=(first, *rest)):
                    told: FromSandbox = replace(message, outcomes=(replace(first, text=first.text + text), *rest))
                case ItemOutcomes() | BodyEnded():
                    told = replace(message, text=message.text + text)
                case _:
                    continue
            return [*messages[:index], told, *messages[index + 1 :]]
        self._printed[sandbox] = [text]
        return messages


def _nothing() -> None:
    """A prepared Batch is in its Sandbox already."""


def _objects_of(message: Batch | ItemBatch | BodyMessage) -> tuple[ObjectId, ...]:
    """Return the Objects that a message to a guest names, whose descriptors travel with it."""
    if type(message) is not Batch:
        return distinct_objects(message)
    trees = [item.args for item in message.items if item.args.holes or type(item.args.data) is Object]
    return distinct_objects(trees) if trees else ()


def _running(progress: Progress) -> tuple[int, int, bool, float]:
    return (progress.batch, progress.index, progress.entered, progress.entered_at)


def _traced(message: Batch | ItemBatch | BodyMessage, traces: Mapping[RunUid, str]) -> Batch | ItemBatch | BodyMessage:
    """Return a message with what the bodies in it are to be told of the traces of their Runs."""
    match message:
        case Batch():
            found = tuple(traces.get(uid, "") for _, uid in message.runs)
            return replace(message, traces=found) if any(found) else message
        case ItemBatch() | BodyStart():
            trace = traces.get(message.run[1])
            return replace(message, trace=trace) if trace else message
    return message
