"""Entering a body: the one place where user code of a Function runs, and where its errors become Failures."""

from __future__ import annotations

import contextvars
import importlib
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from weftrun.guest.objects import ReceivedObjects, Speaker
from weftrun.guest.text import PageText
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, StepId
from weftrun.model.messages import Fork, Put, PutDurably
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import STREAM, FunctionSpec, Kind
from weftrun.model.telling import add_note
from weftrun.sdk.codec import encode, preview
from weftrun.sdk.emits import EmitBounds
from weftrun.sdk.failure import failure_of
from weftrun.sdk.function import find
from weftrun.sdk.retrying import attempts_told
from weftrun.sdk.statements import Ask
from weftrun.wire.lease_page import LeasePage
from weftrun.wire.page import Page

if TYPE_CHECKING:
    from weftrun.sdk.outputs import Outputs
    from weftrun.sdk.stream import Stream

LAPSED: Final = 72
"""Exit code of a Sandbox that was to enter a body after its engine's Lease was over."""


class AsyncCalls:
    """Runs `async def` Functions, one at a time, on an asyncio loop that is made for the first of them."""

    def __init__(self) -> None:
        self._runner: Any = None
        self._asyncio: Any = None

    def call(self, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        """Return a plain callable that runs the coroutine to its end and cancels what it left running."""
        if self._runner is None:
            # Only Sandboxes of async Functions pay for this import.
            self._asyncio = importlib.import_module("asyncio")
            self._runner = self._asyncio.Runner()

        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._runner.run(function(*args, **kwargs), context=contextvars.copy_context())
            finally:
                self._cancel_rest()

        return run

    def _cancel_rest(self) -> None:
        loop = self._runner.get_loop()
        rest = self._asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        if rest:
            loop.run_until_complete(self._asyncio.gather(*rest, return_exceptions=True))


class Forks:
    """Knows whether this process is one that the author's code has forked, which must not speak for the Sandbox."""

    def __init__(self, leave_behind: Callable[..., None]) -> None:
        """Call `leave_behind` in every forked child, at once, from `watch` on; `is_ours` tells it of one of our own."""
        self.forked = False
        self._leave_behind = leave_behind
        self._is_ours = False

    def fork(self) -> int:
        """Fork for an Attempt: the child goes on in the code that called, and is not one of the author's."""
        self._is_ours = True
        try:
            return os.fork()
        finally:
            self._is_ours = False

    def watch(self) -> None:
        """Look out for forks from now on, which can't be undone."""
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.forked = not self._is_ours
        self._leave_behind(is_ours=self._is_ours)

    def end_if_forked(self, error: BaseException | None = None) -> None:
        """End this process where it is a forked child that came back out of the author's code."""
        if not self.forked:
            return
        code = 0 if error is None else 1
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Callables:
    """The author's Functions by name, each ready to be called like a plain function."""

    def __init__(self) -> None:
        self._found: dict[str, Callable[..., Any]] = {}
        self._async_calls = AsyncCalls()

    def of(self, name: str) -> Callable[..., Any]:
        """Return the callable of a Function; raises whatever finding or importing it raises."""
        found = self._found.get(name)
        if found is None:
            function = find(name)
            if function.spec.kind is not Kind.FUNCTION:
                raise UsageError(f"{name} is a workflow here, and the Run has it as a Function.")
            found = self._async_calls.call(function.callable) if function.is_async else function.callable
            self._found[name] = found
        return found


class Equipment(NamedTuple):
    """What every runner of a Sandbox works with."""

    fork: Fork
    callables: Callables
    forks: Forks
    page: Page
    text: PageText
    received: ReceivedObjects
    speaker: Speaker
    lease_page: LeasePage
    ask: Ask

    @property
    def bounds(self) -> EmitBounds:
        """How much an Attempt may emit."""
        return EmitBounds(self.fork.emit_bytes_max, self.fork.emits_max, self.fork.emit_name_bytes_max)

    def outputs(
        self, spec: FunctionSpec, no: int, index: int, before: Callable[[], None] = lambda: None
    ) -> Outputs | None:
        """Return what tells the engine the outputs of the body at a place of a Batch; None where it has none.

        `before` says what must be said before.
        """
        if not spec.outputs:
            return None

        told = importlib.import_module("weftrun.sdk.outputs")  # only Sandboxes of Functions with outputs pay for it

        def tell(name: str, value: object, durable: bool) -> object:
            encoded = encode(value, what=f"the output {name!r} of {spec.label}")
            shown = preview(value, self.fork.preview_bytes_max)
            if durable:
                told.check_durable(spec, name, encoded.nbytes, self.fork.inline_bytes_max)
                with self.speaker.lock:
                    before()
                put = PutDurably(no, index, name, encoded.tobytes(), time.time(), shown)
                return told.value_fixed(cast("Any", self.ask(put)))
            with self.speaker.lock:
                before()
                self.speaker.say(Put(no, index, name, self.speaker.data(encoded), time.time(), shown))
            return None

        made: Outputs = told.Outputs(spec.label, spec.outputs, tell)
        return made

    def put_whole(self, spec: FunctionSpec, no: int, index: int, value: Stream[Any]) -> None:
        """Tell the engine all that a generator has yielded, in the place of what stood for it."""
        encoded = encode(value, what=f"what {spec.label} has yielded")
        shown = preview(value.chunks, self.fork.preview_bytes_max)
        with self.speaker.lock:
            put = Put(no, index, STREAM, self.speaker.data(encoded), time.time(), shown, is_whole=True)
            self.speaker.say(put)

    def check_lease(self) -> None:
        """End this Sandbox where no body may be entered any more: the Run may be another engine's by now (O3)."""
        if not self.lease_page.may_enter():
            os._exit(LAPSED)


def does_not_fit(error: BaseException, spec: FunctionSpec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Say whether an error tells that the code here is not what the call was made for: it has changed since.

    A call is checked against the signature when it is made, and so is its policy.
    """
    try:
        function = find(spec.name)
        function.signature.check(args, kwargs)
    except TypeError:
        return issubclass(type(error), TypeError)
    except Exception:  # noqa: BLE001  # importing runs the author's code, which may raise anything
        return False
    return issubclass(type(error), UsageError) and function.spec.effects == "transaction" != spec.effects


def failure_from(
    error: BaseException,
    *,
    spec: FunctionSpec,
    step: StepId,
    attempt: int,
    fork: Fork,
    reading: bool = False,
    run: RunId | None = None,
) -> Failure:
    """Turn what came out of a body into a Failure.

    Args:
        reading: it came while the code was being found, or values were decoded for it: it names no Step as its origin,
            since the fault is not of the Step but of what stands here.
        run: of a Workflow's body; see `failure_of`.
    """
    if reading:
        add_note(error, f"raised before {step} was entered, while its code was found and its arguments were read")
    return failure_of(
        error,
        origin=StepId("") if reading else step,
        attempt=attempt,
        attempts=attempts_told(spec.retry, error, attempt),
        bytes_max=fork.error_text_bytes_max,
        reason=Reason.UNREADABLE if reading and not isinstance(error, MemoryError) else None,
        run=run,
    )
