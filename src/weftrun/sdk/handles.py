"""What authors hold: the Engine, and Runs. Values are encoded and decoded here, in the caller's thread."""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Coroutine, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Protocol, TypeVar, overload

from weftrun.model.errors import ArgumentsNotCompared, RunNotFound, UsageError
from weftrun.model.ids import RunId
from weftrun.model.limits import check_id, check_text
from weftrun.model.outcomes import Status
from weftrun.model.telling import add_note
from weftrun.model.values import Inline, Payload
from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.clock import date_and_time
from weftrun.sdk.codec import decode_tree
from weftrun.sdk.core import Core, RunEnd
from weftrun.sdk.failure import error_of
from weftrun.sdk.function import Function
from weftrun.sdk.registry import check_in_force
from weftrun.sdk.warn import warn_caller

if TYPE_CHECKING:
    from weftrun.model.schedules import Timetable
    from weftrun.sdk.queues import KnownQueue, Queue
    from weftrun.sdk.schedules import Schedule

DRAIN_S: Final = 5.0
"""What runs has so long to end when an engine is closed, in seconds."""

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})
"""Status of a Run that changes no more."""


class StepView(Protocol):
    """One Step of a Run, for people."""

    @property
    def id(self) -> str:
        """Path of the Step inside its Run."""

    @property
    def status(self) -> Status:
        """Where it stands."""

    @property
    def preview(self) -> str:
        """Short text of its value."""


class RunView(Protocol):
    """One Run in a listing."""

    @property
    def id(self) -> RunId:
        """The author's name of the Run."""

    @property
    def status(self) -> Status:
        """Where it stands."""

    @property
    def function(self) -> str:
        """Name of its Function."""

    @property
    def place(self) -> int:
        """Place among all Runs of its Journal; one that was started later has a larger one."""


class TextView(Protocol):
    """What one Attempt printed."""

    @property
    def step(self) -> str:
        """Its Step."""

    @property
    def attempt(self) -> int:
        """Its number, from 1."""

    @property
    def text(self) -> str:
        """What it printed; the middle of much is dropped."""


class Run(Generic[T_co]):
    """One durable execution of a Workflow or a Function.

    Attributes:
        id: its idempotency key.
        not_compared: why the arguments of the start that joined this Run were not compared with its own, with the
            argument and its type; empty where they were, and where nothing was joined.
    """

    __slots__ = ("_core", "_is_started", "_ticket", "id", "not_compared")

    def __init__(self, core: Core, ticket: Any) -> None:
        """Stand for the Run behind a ticket of `core`."""
        self._core = core
        self._ticket = ticket
        self.id: RunId = ticket.id
        self.not_compared = ""
        self._is_started = False

    def result(self, timeout_s: float | None = None) -> T_co:
        """Wait for the Run's end and return its value.

        Args:
            timeout_s: longest wait, in seconds; the Run goes on after it. None waits without bound.

        Raises:
            TimeoutError: it has not ended in time.
            RunCancelled: it was cancelled.
            Exception: the author's own error where it can be rebuilt, else `StepFailed`.
        """
        ended = self._core.wait(self._ticket, timeout_s)
        _say_otherwise(self)  # where it was still being taken over when it was started
        value: T_co = self._open(ended)
        return value

    def __await__(self) -> Generator[Any, Any, T_co]:
        """Wait for the Run's end in a running asyncio loop, and give its value; raises as `result` does.

        Giving up on it, as `asyncio.timeout` does, leaves the Run alone.
        """
        yield from self._core.future(self._ticket).__await__()
        return self.result(0)

    def _open(self, ended: RunEnd) -> Any:
        if ended.failure is not None:
            error = error_of(ended.failure, run=self.id)
            if self._ticket.ended_before is not None:
                error.add_note(_earlier(self.id, ended.status, self._ticket.ended_before))
            raise error
        if ended.answer is None:
            return None
        try:
            return decode_tree(ended.answer, self._core.read)
        except Exception as error:
            add_note(error, f"raised while the value of run {self.id} was read, which has succeeded")
            raise

    @property
    def status(self) -> Status:
        """Where the Run stands: pending, running, succeeded, failed or cancelled."""
        return self._core.status(self._ticket)[0]

    @property
    def waiting_for(self) -> str | None:
        """What the Run stands still for, e.g. `disk`, `signal verdict` or `sleep`; None where it goes on."""
        return self._core.status(self._ticket)[1]

    @property
    def joined(self) -> bool:
        """Whether a Run with this id was there before it was started here.

        Its arguments were the same, or could not be compared; see `not_compared`.
        """
        return bool(self._ticket.joined)

    def steps(self) -> list[StepView]:
        """Return the Run's Steps in the order of its graph, as far as they are recorded.

        What has been running in this engine for a second or more stands in `running` of its Step.

        Raises:
            UsageError: the Run keeps no records (`durable=False`).
        """
        return self._core.steps(self._ticket)

    def _repr_html_(self) -> str | None:
        """Show the Run in a notebook as it stands now: how far it is, and its graph."""
        return self._core.notebook(self._ticket)

    def _ipython_display_(self) -> None:
        """Show the Run in a cell of Jupyter, and follow it there until it has ended; elsewhere it shows itself once."""
        importlib.import_module("weftrun.sdk.live").show(self._core, self._ticket)  # late: few programs are notebooks

    def logs(self) -> list[TextView]:
        """Return what the Run's Attempts printed, in order; raises as `steps` does."""
        return self._core.logs(self._ticket)

    def cancel(self, *, force: bool = False) -> None:
        """Ask for the Run to be cancelled. Nothing new starts, and what runs is ended; see `result`.

        An `async` workflow first undoes what has a `compensate`; with `force` it does not, or no more.
        """
        self._core.cancel(self._ticket, force=force)

    def signal(self, name: str, value: object = None, *, id: str = "") -> str:
        """Send a signal to the Run, and return once it is durable; `weftrun.signal(name, type)` takes it there.

        It need not be awaited yet, and is taken once, whatever crashes. One that the Run has not taken when it fails is
        there when it is retried. Where the Run waits for other signals only, a sentence that says so is logged and
        returned: the name may be misspelt. Else the text that is returned is empty.

        Args:
            name: letters, digits, `_` and `-`, 100 at most.
            value: what can be pickled, 64 KiB at most. A class should be one of the module that holds the workflow.
            id: names the signal: sent again with the same one, it is still one signal. Without it each call is another.

        Raises:
            SignalRefused: the Run waits for it now, and for a value of another type; nothing was sent.
            UsageError: the Run has ended, keeps no records, or the name is none.
            LimitExceeded: the value is too large, or the Run has very many signals that it has not taken.
            NotSerializable: the value can't be pickled.
        """
        waiting = importlib.import_module("weftrun.sdk.waiting")  # late: few programs send signals
        encoded = waiting.signal_value(waiting.check_name(name), value)
        note = self._core.judged_signal(self._ticket, name, value)
        self._core.signal(self._ticket, name, encoded, check_text(id, "the id of a signal"))
        if note:
            importlib.import_module("logging").getLogger("weftrun").warning("%s", note)
        return note

    def watch(self, name: str, type: Any = Any, *, timeout_s: float | None = None) -> Iterator[Any]:
        """Yield what the Run publishes under a name (`weftrun.publish`), from the first, until the Run has ended.

        Each event comes once it is durable, in their order; who begins later sees the same ones. `timeout_s` is the
        longest wait for the next one, in seconds; `type` that of the values.

        Raises:
            TimeoutError: none came in time.
            TypeError: a value is not of this type.
            UsageError: the Run keeps no records, or the name is none.
        """
        watching = importlib.import_module("weftrun.sdk.watching")  # late: few programs watch Runs
        events: Iterator[Any] = watching.watch(self._core, self._ticket, name, type, timeout_s)
        return events

    def __repr__(self) -> str:
        core, ticket = self._core, self._ticket
        status, waits = core.status(ticket)
        if status not in ENDED and core.state != "open":
            return f"<Run {self.id}: {status} when its engine was {core.state}, in {core.journal}>"
        return f"<Run {self.id}: {status}{f', waiting for {waits}' if waits else ''}, in {core.journal}>"


class Engine:
    """Runs workflows against one Journal. Made by `weftrun.open`; close it, or use it with `with`.

    Usable from any thread, and from async code by `await engine.astart(...)` and `await run`.
    """

    def __init__(self, core: Core) -> None:
        """Stand for an engine. Authors write `weftrun.open()` instead."""
        self._core = core

    @overload
    def start(self, fn: Function[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...
    @overload
    def start(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...
    def start(self, fn: Function[..., Any], /, *args: Any, **kwargs: Any) -> Run[Any]:
        """Start a Run and return once its start is durable; the same id again joins the Run that has it.

        Args:
            fn: a Workflow or a Function; give the Run an id by `fn.options(id=...)`. With `fn.options(durable=False)`
                it keeps no record: nothing to wait for, to find again, or to be resumed.

        Raises:
            TypeError: the arguments don't fit the signature.
            NotSerializable: an argument can't be pickled.
            RunConflict: the id belongs to a Run of other code or with other arguments, or was deleted.
            QueueFull: `fn.options(queue=...)` names a queue in which as many Runs wait as may.

        Warns:
            ArgumentsNotCompared: the id belongs to a Run, and whether it has these arguments can't be told.
        """
        run = self._start(fn, args, kwargs, wait_start=True)
        _compare(run, fn, args, kwargs)
        return run

    @overload
    async def astart(self, fn: Function[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...
    @overload
    async def astart(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...
    async def astart(self, fn: Function[..., Any], /, *args: Any, **kwargs: Any) -> Run[Any]:
        """Do what `start` does without keeping the running asyncio loop waiting for the disk.

        The arguments are encoded before anything is awaited, in the thread of the loop. If the task that awaits it is
        cancelled, the Run has been started or not, as if the program had ended in `start`; an id makes it certain.

        Raises:
            Exception: as `start`.
        """
        run = self._start(fn, args, kwargs, wait_start=False)
        if fn.durable:
            await self._core.started(run._ticket)
        run.id = run._ticket.id  # of another one, where this is a duplicate in a queue
        _compare(run, fn, args, kwargs)
        return run

    @overload
    def run(self, fn: Function[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def run(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    def run(self, fn: Function[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Start a Run and wait for its value: `start(...).result()` with one wait less."""
        run = self._start(fn, args, kwargs, wait_start=False)
        try:
            return run.result()
        finally:
            _compare(run, fn, args, kwargs)

    def _start(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_start: bool) -> Run[Any]:
        if not isinstance(fn, Function):
            raise UsageError(f"{fn!r} is not a Function: decorate it with @weftrun.function or @weftrun.workflow.")
        if fn.after:
            raise UsageError(f"{fn.spec.label}.options(after=...) orders a call in a workflow; a Run waits for no Ref.")
        check_in_force(fn)
        fn.signature.check(args, kwargs)
        core, bundle = self._core, bundle_of(fn)  # first of all: it lets pickle find the author's classes
        encoded = fn.signature.encode(args, kwargs, refs=False)
        data = Inline(encoded.tobytes()) if encoded.nbytes <= core.inline_bytes_max else core.publish(encoded.pieces)
        id: RunId | None = None
        text, also = "", list[str]()
        if fn.run_id is not None:
            id = RunId(check_id(fn.run_id))
            text, *also = fn.signature.digests(args, kwargs, all_ways=isinstance(data, Inline)) or ("",)
        if fn.spec.kind.is_workflow:
            core.expect(fn.spec, fn.expected)
        wait = wait_start and fn.durable
        ticket = core.start(
            id, fn.spec, bundle, Payload(data), text, tuple(also), wait_start=wait, durable=fn.durable, asked=fn.asked
        )
        run = Run[Any](core, ticket)
        run._is_started = True  # one that is only looked up, or retried, is not compared with this program
        return run

    def keep_warm(self, fn: Function[..., Any], count: int = 1) -> None:
        """Let Sandboxes be there for a Function before anything calls it, and however long nothing does.

        They are made now, and made again when they have ended, within `sandboxes` and `warm` of
        `weftrun.open`. Functions of one file with the same `network`, `protect` and `runtime` share them: the
        largest number counts. For a Workflow they are for its body; name the Functions that it calls, too.

        Args:
            count: how many; 0 ends it.

        Raises:
            UsageError: it is no Function, or `count` is no whole number from 0 to 1,000.
            Unsupported: the engine has a `cluster`.
        """
        if not isinstance(fn, Function):
            raise UsageError(f"{fn!r} is not a Function: decorate it with @weftrun.function or @weftrun.workflow.")
        self._core.keep_warm(fn.spec, bundle_of(fn), count)

    def get(self, id: str) -> Run[Any]:
        """Return the Run with this id.

        Raises:
            RunNotFound: there is none.
        """
        try:
            return Run(self._core, self._core.find(RunId(str(id))))
        except RunNotFound as error:
            raise RunNotFound(f"{str(error).rstrip('.')} in the Journal {self._core.journal}.") from None

    def retry(self, id: str, *, force: bool = False) -> Run[Any]:
        """Run again what failed of a Run, with the code of now, and return it.

        For a Run that failed, was cancelled, or waits for code that fits. What succeeded is kept and never run again:
        its values, its transactions and what it has emitted. A Step that failed has another Attempt, under its key.
        Two who ask at the same time get the same Run.

        Raises:
            RunNotFound: there is none, or it was deleted.
            UsageError: it goes on, or it has succeeded; or, without `force`, it went on after a failure and did what
                others can see, such as undoing a booking: that stands, and what it undid is not done again.
        """
        return Run(self._core, self._core.retry(RunId(check_text(id, "the id of a Run")), force=force))

    def fork(
        self, run: str, from_step: str, *, id: str | None = None, args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None, force: bool = False,
    ) -> Run[Any]:  # fmt: skip
        """Start another Run that has what `run` had settled before a Step, and runs the rest with the code of now.

        The Run that is forked stays as it is. What is reused is not done again, nor emitted again.

        Args:
            run: id of a Run that has ended, or waits for code.
            from_step: the first Step that runs anew, as `weftrun steps` shows it; those called before it are reused.
            id: of the new Run; asked for again, it is the same fork.
            args, kwargs: its arguments, all of them; without either those of `run`. With new ones the arguments of
                reused Steps are not compared, only their names and Functions.
            force: also where the Run did something after a failure that may have undone what is reused.

        Raises:
            RunNotFound: there is no such Run, or it was deleted.
            UsageError: it has not ended, it has no such Step, or none can begin there.
            RunConflict: the id belongs to another Run.
            JournalError: a value that is to be reused is gone.
        """
        forking = importlib.import_module("weftrun.sdk.forking")  # late: few programs fork Runs
        return Run(self._core, forking.fork(self._core, run, from_step, id, args, kwargs, force=force))

    @overload
    def schedule(
        self, id: str, when: Timetable, fn: Function[P, Coroutine[Any, Any, Any]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Schedule: ...
    @overload
    def schedule(
        self, id: str, when: Timetable, fn: Function[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Schedule: ...
    def schedule(self, id: str, when: Timetable, fn: Function[..., Any], /, *args: Any, **kwargs: Any) -> Schedule:
        """Start a Run of a Workflow or a Function whenever it is due, from now on.

        Any engine that is open on the Journal starts it, each Run once, however many there are. A schedule with this id
        gets this definition; where it has it already nothing changes, so a program may say it each time it begins.

        Args:
            id: letters, digits, `_`, `.` and `-`, 100 at most. The Runs are `ID@2026-11-30T03:00:00Z`.
            when: `weftrun.cron("0 3 * * *", timezone="Europe/Berlin")` or `weftrun.every(300)`.
            fn: a Workflow or a Function; the arguments follow, of 64 KiB at most. In it, `current().due` is the time.

        Raises:
            UsageError: the cron line, the time zone or something else of it means nothing.
            TypeError: the arguments don't fit the signature.
        """
        schedules = _schedules()
        kept = self._core.put_schedule(schedules.wanted(id, when, fn, args, kwargs))
        found: Schedule = schedules.Schedule(self._core, kept.id)
        return found

    def get_schedule(self, id: str) -> Schedule:
        """Return the schedule with this id.

        Raises:
            RunNotFound: there is none.
        """
        found: Schedule = _schedules().Schedule(self._core, self._core.schedule(str(id)).id)
        return found

    def schedules(self) -> builtins.list[Schedule]:
        """Return all schedules of the Journal, by their ids."""
        handle = _schedules().Schedule
        return [handle(self._core, kept.id) for kept in self._core.schedules()]

    def queue(self, queue: str | Queue) -> KnownQueue:
        """Return a queue of the Journal, to look at it or to change it; with `weftrun.queue(...)` it is declared.

        Raises:
            RunNotFound: there is none of this name.
        """
        found: KnownQueue = importlib.import_module("weftrun.sdk.queues").KnownQueue(self._core, queue)  # late
        return found

    def list(self, limit: int = 100, *, after: RunView | None = None) -> list[RunView]:
        """Return Runs, newest first.

        Args:
            limit: at most so many.
            after: the last Run of the page before this one; None begins with the newest.
        """
        if type(limit) is not int or limit < 1:
            raise UsageError(f"limit={limit!r} can't be: give a whole number, 1 or more.")
        return self._core.runs(limit, after.place if after is not None else None)

    def close(self, drain_s: float = DRAIN_S) -> None:
        """End the engine: nothing new starts, what runs has `drain_s` seconds to end, nothing is left behind.

        Runs that have not ended are resumed by the next engine on this Journal. Idempotent.
        """
        self._core.close(drain_s=drain_s)

    def __repr__(self) -> str:
        return f"<Engine on {self._core.journal}, {self._core.state}>"

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            importlib.import_module("logging").getLogger("weftrun").warning(  # late: `import weftrun` is light
                "Interrupted: what runs has %g s to end; Runs that are open go on when their Journal is opened again.",
                DRAIN_S,
            )
        self.close()


def _schedules() -> Any:
    return importlib.import_module("weftrun.sdk.schedules")  # late: few programs have schedules


def _compare(run: Run[Any], fn: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Say so if a start joined a Run whose arguments could not be compared, or whose program was started otherwise."""
    _say_otherwise(run)
    if fn.run_id is None or not run.joined or run._ticket.compared:
        return
    run.not_compared = fn.signature.why_not_compared(args, kwargs) or (
        "its record has no digest of them, which an older weftrun may have written, or whoever started it with others"
    )
    warn_caller(
        f"The id {run.id!r} was taken, and its Run is joined with arguments not compared: {run.not_compared}. Its "
        "answer is of the arguments that it was first started with.",
        ArgumentsNotCompared,
    )


def _say_otherwise(run: Run[Any]) -> None:
    """Say once that a program with other arguments, or other options, began a Run that is asked for here."""
    told = run._ticket.begun_otherwise
    if told and run._is_started:
        run._is_started = False
        warn_caller(f"Run {run.id} was begun before. {told}", UserWarning)


def _earlier(id: RunId, status: Status, ended_at: float) -> str:
    """Say that an error is an old one, and what can be done."""
    at = date_and_time(ended_at)
    how = "was cancelled" if status == "cancelled" else "failed"
    return (
        f"Run {id} {how} at {at}, in an earlier start: this is what it ended with then. `weftrun retry {id}`, or "
        f"engine.retry({str(id)!r}), runs again what has not succeeded, with the code of now."
    )
