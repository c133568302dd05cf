"""Attempts of one Function at once: each in a thread, in a fork, a coroutine on one loop, or all in one call.

Each is in a slot of the Sandbox's page from its entry until its outcome is told, so that when the Sandbox dies the
engine knows which were entered. Each outcome is told when it is there, whatever the others do.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import heapq
import importlib
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from weftrun.guest.attempt import AsyncCalls, Callables, Equipment, does_not_fit, failure_from
from weftrun.guest.forked import ForkEnded, Found, in_fork
from weftrun.guest.items import ItemCurrent
from weftrun.guest.memory import memory_limit
from weftrun.guest.text import print_into
from weftrun.model.emits import Emit
from weftrun.model.errors import UsageError
from weftrun.model.ids import StepId, item_step
from weftrun.model.messages import Batch, FromSandbox, Invocation, ItemBatch, ItemOutcomes, Outcomes
from weftrun.model.outcomes import Failure, Outcome, Ran, Reason
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data, Tree
from weftrun.sdk import place
from weftrun.sdk.batching import alike, check_list, columns
from weftrun.sdk.codec import Encoded, decode_tree, encode, preview
from weftrun.sdk.emits import Emits
from weftrun.sdk.function import Function, find
from weftrun.wire.page import Slot

UNTOLD: Final = 73
"""Exit code of a Sandbox that could not tell an outcome."""
Arguments = Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]


class _Slots:
    """Which slots of the page are free; the lowest is taken first."""

    def __init__(self, equipment: Equipment) -> None:
        self._page = equipment.page
        self._free: list[int] = []
        self._used = 0
        self._lock = threading.Lock()

    def take(self) -> tuple[int, Slot]:
        with self._lock:
            if self._free:
                number = heapq.heappop(self._free)
            else:
                number = self._used
                self._used += 1
                self._page.use_slots(self._used)
            return number, self._page.slot(number)

    def give_back(self, number: int) -> None:
        with self._lock:
            heapq.heappush(self._free, number)


class _Attempt:
    """One Attempt: an Invocation of a Batch, or, without one, an item of a map."""

    def __init__(
        self, equipment: Equipment, no: int, index: int, spec: FunctionSpec, step: StepId, attempt: int,
        current: place.Current, arguments: Arguments, invocation: Invocation | None = None,
    ) -> None:  # fmt: skip
        self.spec = spec
        self._with = equipment
        self._no = no
        self._index = index
        self._step = step
        self._attempt = attempt
        self._current = current
        self._arguments = arguments
        self._invocation = invocation
        self._slot: Slot | None = None
        self._entered_at = 0.0
        self._reading = True
        self._encoded: Encoded | None = None
        self._shown = ""
        self._failure: Failure | None = None
        self._emits: tuple[Emit, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether it has failed."""
        return self._failure is not None

    def enter(self, slot: Slot, *, alone: bool = True) -> None:
        """Say that it is entered, and `alone`: that what is printed and asked in this context is its own."""
        if self._invocation is not None and self._invocation.undoes:
            place.undoes(self._current)
        self._slot = slot
        self._with.check_lease()
        self._entered_at = time.time()
        slot.enter(self._no, self._index, self._entered_at)
        if alone:
            print_into(slot)
            place.enter(self._current)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read its arguments; raises what the author's code raises when it is imported or unpickled."""
        given = self._arguments()
        self._reading = False
        return given

    def returned(self, result: Any) -> None:
        """Encode what it returned; raises where that can't be."""
        place.check_outputs(self._current)
        encoded = encode([result] if self._invocation is None else result, what=f"the result of {self.spec.label}")
        self._shown = preview(result, self._with.fork.preview_bytes_max)
        self._encoded = encoded

    def failed(self, error: BaseException) -> None:
        """Keep what it raised."""
        self._with.forks.end_if_forked(error)
        reading = self._reading
        if not reading and issubclass(type(error), TypeError | UsageError):
            reading = self._misfit(error)
        self._failure = failure_from(
            error, spec=self.spec, step=self._step, attempt=self._attempt, fork=self._with.fork, reading=reading
        )

    def left_s(self) -> float | None:
        """Return how long it may go on, in seconds."""
        timeout_s = self.spec.timeout_s
        return None if timeout_s is None else self._entered_at + timeout_s - time.time()

    def worked(self, callables: Callables) -> tuple[Found, Encoded | None]:
        """Run it in a fork; return what it found, and what it returned."""
        try:
            call = callables.of(self.spec.name)
            args, kwargs = self.arguments()
            with memory_limit(self.spec.memory_bytes_max):
                self.returned(call(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # the author's code runs here, SystemExit is a failure too
            self.failed(error)
        self._with.forks.end_if_forked()
        if self._failure is not None:
            return Found(self._failure), None
        return Found(None, self._shown, place.emitted(self._current)), self._encoded

    def take(self, ended: ForkEnded) -> None:
        """Take what came of it in a fork."""
        found = ended.found
        if found is not None and not ended.was_late:
            self._failure, self._shown, self._emits = found.failure, found.shown, found.emits
            self._encoded = ended.value
            return
        label, timeout_s = self.spec.label, self.spec.timeout_s
        if ended.was_late:
            failure = Failure(Reason.TIMEOUT, "TimeoutError", f"{label} ran longer than timeout_s={timeout_s:g}")
        else:
            failure = Failure(Reason.LOST, "SandboxLost", f"the fork that ran {label} ended: {ended.why}")
        self._failure = failure

    def _misfit(self, error: BaseException) -> bool:
        try:
            args, kwargs = self._arguments()
        except BaseException:  # noqa: BLE001  # reading runs the author's code
            return False
        return does_not_fit(error, self.spec, args, kwargs)

    def tell(self) -> None:
        """Say how it ended, and leave its slot."""
        slot = self._slot
        assert slot is not None, "it was entered"
        left_at = time.time()
        emits = self._emits or place.emitted(self._current)
        text = slot.text() if slot.words[Slot.PRINTED] else ""
        speaker = self._with.speaker
        with speaker.lock:
            value: Data | None = None
            if self._failure is None and self._encoded is not None:
                try:
                    value = speaker.data(self._encoded)
                except OSError as error:
                    self.failed(error)
            text += self._with.text.take()  # of threads of the author's: nobody knows whose
            ran = Ran(self._with.fork.sandbox, self._entered_at, left_at, self._shown)
            speaker.say(self._message(value, ran, text, emits if self._failure is None else ()))
            slot.leave()

    def _message(self, value: Data | None, ran: Ran, text: str, emits: tuple[Any, ...]) -> FromSandbox:
        index, failure, moved = self._index, self._failure, self._with.received.meter.take()
        if (asked := self._invocation) is not None:
            step, attempt, undoes = asked.step, asked.attempt, asked.undoes
            outcome = Outcome(step, attempt, value, failure, ran, undoes, emits, index, text, moved=moved)
            return Outcomes(self._no, (outcome,))
        values = ((index, index + 1, value),) if value is not None else ()
        failures = ((index, failure),) if failure is not None else ()
        return ItemOutcomes(self._no, values, failures, ran, text, emits, moved=moved)


class AtOnce:
    """Runs the Attempts of Functions that share a Sandbox."""

    def __init__(self, equipment: Equipment) -> None:
        """Run with this equipment; what it takes is made when it is needed first."""
        self._with = equipment
        self._slots = _Slots(equipment)
        self._threads = _Threads(self._in_context(self._call))
        self._forks = _Threads(self._in_context(self._call_in_fork))
        self._coroutines: _Coroutines | None = None
        self._async_calls = AsyncCalls()

    @property
    def is_busy(self) -> bool:
        """Whether anything runs beside the thread that serves."""
        return self._threads.entered + self._forks.entered > 0 or (
            self._coroutines is not None and self._coroutines.entered > 0
        )

    def run(self, batch: Batch) -> None:
        """Begin the Invocations of a Batch; those of a handler of lists are run to their end."""
        gear, spec = self._with, batch.function
        attempts = []
        for index, item in enumerate(batch.items, batch.base):
            run_id, run_uid = batch.runs[item.run]
            number = item.undoes or item.attempt
            outputs = gear.outputs(batch.function, batch.no, index)
            current = place.Current(run_id, run_uid, item.id, number, bounds=gear.bounds, outputs=outputs)
            if batch.traces:
                current.trace = batch.traces[item.run]
            arguments = self._arguments(item.args, at_once=bool(batch.objects))
            attempts.append(_Attempt(gear, batch.no, index, spec, item.id, number, current, arguments, item))
        self._begin(spec, attempts)

    def run_items(self, batch: ItemBatch, items: Tree) -> None:
        """Begin the items of an ItemBatch, each an Attempt; `items` are its encoded ones."""
        gear, spec = self._with, batch.function
        read = functools.cache(self._arguments(items, at_once=bool(batch.objects)))
        same = functools.cache(self._arguments(batch.same, at_once=bool(batch.objects)))
        attempts = []
        for index in (index for lo, hi in batch.ranges for index in range(lo, hi)):
            current = ItemCurrent(*batch.run, batch.id, batch.attempt, Emits(gear.bounds))
            current.index = index
            current.trace = batch.trace
            step = item_step(batch.id, index)
            arguments = functools.partial(_item_of, read, same, index - batch.base)
            attempts.append(_Attempt(gear, batch.no, index, spec, step, batch.attempt, current, arguments))
        self._begin(spec, attempts)

    def _arguments(self, tree: Tree, *, at_once: bool) -> Any:
        """Return what reads a value: later, in the Attempt's own thread, or now where Objects came with the message."""
        read = functools.partial(decode_tree, tree, self._with.received.read)
        if not at_once:
            return read
        try:
            value = read()
        except BaseException as error:  # noqa: BLE001  # unpickling runs the author's code
            return functools.partial(_raise, error)
        return lambda: value

    def _begin(self, spec: FunctionSpec, attempts: list[_Attempt]) -> None:
        sharing = spec.sharing
        assert sharing is not None, "the engine sends others to those who run one after the other"
        if sharing.how == "list":
            for first in range(0, len(attempts), sharing.most):
                self._all_in_one(spec, attempts[first : first + sharing.most])
        elif sharing.how == "coroutines":
            if self._coroutines is None:
                self._coroutines = _Coroutines(self._on_the_loop)
            self._coroutines.begin(attempts, sharing.most)
        elif sharing.how == "processes":
            self._forks.begin(attempts, sharing.most)
        else:
            self._threads.begin(attempts, sharing.most)

    # ------------------------------------------------------------------ the ways

    @staticmethod
    def _in_context(call: Callable[[_Attempt], None]) -> Callable[[_Attempt], None]:
        return lambda attempt: contextvars.copy_context().run(call, attempt)

    def _call_in_fork(self, attempt: _Attempt) -> None:
        number, slot = self._slots.take()
        forks = self._with.forks
        try:
            attempt.enter(slot)
            try:
                ended = in_fork(lambda: attempt.worked(self._with.callables), forks.fork, attempt.left_s())
            except OSError as error:  # no more processes, or no more memory
                ended = ForkEnded(None, None, f"it could not be made: {error}", was_late=False)
            attempt.take(ended)
            attempt.tell()
        finally:
            self._slots.give_back(number)

    def _call(self, attempt: _Attempt) -> None:
        number, slot = self._slots.take()
        try:
            attempt.enter(slot)
            try:
                function = find(attempt.spec.name)
                args, kwargs = attempt.arguments()
                attempt.returned(function.callable(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  # the author's code runs here, SystemExit is a failure too
                attempt.failed(error)
            self._with.forks.end_if_forked()
            attempt.tell()
        finally:
            self._slots.give_back(number)

    async def _on_the_loop(self, attempt: _Attempt) -> None:
        number, slot = self._slots.take()
        try:
            attempt.enter(slot)
            try:
                function = find(attempt.spec.name)
                args, kwargs = attempt.arguments()
                attempt.returned(await function.callable(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  # the author's code runs here
                attempt.failed(error)
            self._with.forks.end_if_forked()
            attempt.tell()
        finally:
            self._slots.give_back(number)

    def _all_in_one(self, spec: FunctionSpec, attempts: list[_Attempt]) -> None:
        """Call a handler of lists for all these; what it prints is told with the first."""
        taken = [self._slots.take() for _ in attempts]
        for attempt, (_, slot) in zip(attempts, taken, strict=True):
            attempt.enter(slot, alone=False)
        given: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        for position, attempt in enumerate(attempts):
            try:
                find(spec.name)
                given[position] = attempt.arguments()
            except BaseException as error:  # noqa: BLE001  # unpickling runs the author's code
                attempt.failed(error)
        positions = list(given)
        for group in alike(list(given.values())):
            chosen = [attempts[positions[n]] for n in group]
            self._handle(find(spec.name), chosen, [given[positions[n]] for n in group])
        for attempt, (number, _) in zip(attempts, taken, strict=True):
            attempt.tell()
            self._slots.give_back(number)

    def _handle(
        self,
        function: Function[..., Any],
        attempts: list[_Attempt],
        given: list[tuple[tuple[Any, ...], dict[str, Any]]],
    ) -> None:
        handler = self._async_calls.call(function.handler) if function.is_async else function.handler
        many, named = columns(given)
        try:
            results = check_list(handler(*many, **named), len(attempts), function.spec.label)
        except BaseException as error:  # noqa: BLE001  # the author's code runs here
            for attempt in attempts:
                attempt.failed(error)
            return
        self._with.forks.end_if_forked()
        for attempt, result in zip(attempts, results, strict=True):
            try:
                if isinstance(result, BaseException):
                    raise result
                attempt.returned(result)
            except BaseException as error:  # noqa: BLE001  # one that is told for it, or pickling failed
                attempt.failed(error)


def _raise(error: BaseException) -> Any:
    raise error


def _item_of(read: Callable[[], Any], same: Callable[[], Any], position: int) -> Any:
    return tuple(read()[position]), same()[1]


@contextlib.contextmanager
def _ends_the_sandbox() -> Iterator[None]:
    """End the Sandbox where an outcome could not be told: its engine would wait for it for ever."""
    try:
        yield
    except BaseException:  # noqa: BLE001  # what the author's code raises was caught before
        traceback.print_exc()
        os._exit(UNTOLD)


class _Threads:
    """Threads that work off what is begun, at most so many at once as the Function may have."""

    def __init__(self, run: Callable[[_Attempt], None]) -> None:
        self._run = run
        self._waiting: deque[tuple[_Attempt, int]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self.entered = 0

    def begin(self, attempts: list[_Attempt], most: int) -> None:
        """Let these be run as soon as a thread may."""
        with self._changed:
            self._waiting.extend((attempt, most) for attempt in attempts)
            missing = min(len(self._waiting) - self._idle, most - self._threads)
            self._threads += max(0, missing)
            self._changed.notify(len(attempts))
        for _ in range(missing):
            threading.Thread(target=self._work, name="weftrun attempt", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._waiting or self.entered >= self._waiting[0][1]:
                    self._changed.wait()
                self._idle -= 1
                attempt, _ = self._waiting.popleft()
                self.entered += 1
            with _ends_the_sandbox():
                self._run(attempt)
            with self._changed:
                self.entered -= 1
                self._changed.notify()
            del attempt  # while this thread waits for the next one, nothing of this one is held


class _Coroutines:
    """One loop, in a thread of its own, for the coroutines of all Attempts."""

    def __init__(self, run: Callable[[_Attempt], Any]) -> None:
        asyncio: Any = importlib.import_module("asyncio")  # only Sandboxes of such Functions pay for this import
        self._run = run
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[tuple[_Attempt, int]] = deque()
        self._tasks: set[Any] = set()
        self.entered = 0
        threading.Thread(target=self._loop.run_forever, name="weftrun loop", daemon=True).start()

    def begin(self, attempts: list[_Attempt], most: int) -> None:
        """Let these be run on the loop."""
        self._loop.call_soon_threadsafe(self._take, [(attempt, most) for attempt in attempts])

    def _take(self, attempts: list[tuple[_Attempt, int]]) -> None:
        self._waiting.extend(attempts)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self.entered < self._waiting[0][1]:
            attempt, _ = self._waiting.popleft()
            self.entered += 1
            task = self._loop.create_task(self._run(attempt), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: Any) -> None:
        with _ends_the_sandbox():
            task.result()
        self._tasks.discard(task)
        self.entered -= 1
        self._go_on()
