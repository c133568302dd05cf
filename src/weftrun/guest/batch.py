"""A Batch: Invocations of one Function, one after the other, each outcome told when it ends."""

from __future__ import annotations

import contextlib
import importlib
import time
from typing import Any, Final

from weftrun.guest.attempt import Equipment, does_not_fit, failure_from
from weftrun.guest.memory import memory_limit
from weftrun.guest.slices import time_slice
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.messages import Batch, Invocation, Outcomes
from weftrun.model.outcomes import Failure, Outcome, Ran
from weftrun.model.policy import STREAM, FunctionSpec
from weftrun.model.values import Data
from weftrun.sdk import place
from weftrun.sdk.codec import decode_tree, encode, preview
from weftrun.sdk.statements import Statements
from weftrun.sdk.transaction import NOT_SAID
from weftrun.wire.page import Page

_HOLD_S: Final = 0.000_2
_SHORT_S: Final = 0.000_05
_INDEX, _ENTERED, _ENTERED_AT, _PRINTED = Page.INDEX, Page.ENTERED, Page.ENTERED_AT, Page.PRINTED


class BatchRunner:
    """Runs the Invocations of Batches.

    Outcomes of very short bodies without effects are told together, for one message costs more than such a body:
    one is held back for at most `_HOLD_S` and the length of the next body. With effects, each is told at once, since
    an outcome that dies with the Sandbox is an effect that happens again.
    """

    def __init__(self, equipment: Equipment) -> None:
        """Run with this equipment."""
        self._with = equipment
        self._words = equipment.page.words
        self._times = equipment.page.times
        self._reading = False
        self._held: list[Outcome] = []
        self._said: Statements | None = None
        self._bounds = equipment.bounds
        self._traces: tuple[str, ...] = ()

    def run(self, batch: Batch) -> None:
        """Run all Invocations of a Batch and tell their outcomes."""
        self._words[Page.INDEX] = batch.base - 1
        self._words[Page.BATCH] = batch.no
        may_hold = batch.function.effects == "none"
        told_at = time.time()
        self._traces = batch.traces
        for index, invocation in enumerate(batch.items, batch.base):
            run_id, run_uid = batch.runs[invocation.run]
            with time_slice(batch.slice_s) if batch.slice_s else contextlib.nullcontext():
                outcome = self._attempt(index, invocation, batch.function, run_id, run_uid)
            self._held.append(outcome)
            left_at = outcome.ran.left_at
            if may_hold and left_at - told_at < _HOLD_S and left_at - outcome.ran.entered_at < _SHORT_S:
                continue
            self._tell(batch.no)
            told_at = left_at
        self._tell(batch.no)

    def _tell(self, no: int) -> None:
        if self._held:
            outcomes, self._held = tuple(self._held), []
            self._with.speaker.say(Outcomes(no, outcomes))

    def _attempt(
        self, index: int, invocation: Invocation, spec: FunctionSpec, run_id: RunId, run_uid: RunUid
    ) -> Outcome:
        words, step, attempt = self._words, invocation.id, invocation.undoes or invocation.attempt
        value: Data | None = None
        failure: Failure | None = None
        shown = ""
        opener = NOT_SAID
        if spec.effects == "transaction":
            gear = self._with
            self._said = Statements(gear.ask, words[Page.BATCH], index, gear.fork.transaction_bytes_max)
            opener = self._said.open
        no = words[Page.BATCH]
        place.sandboxed.asks = (self._with.ask, no, index)
        outputs = self._with.outputs(spec, no, index, lambda: self._tell(no))
        current = place.Current(run_id, run_uid, step, attempt, opener, self._bounds, outputs)
        if self._traces:
            current.trace = self._traces[invocation.run]
        if invocation.undoes:
            place.undoes(current)
        token = place.enter(current)
        self._with.check_lease()
        entered_at = time.time()
        words[_INDEX] = index
        self._times[_ENTERED_AT] = entered_at
        words[_ENTERED] = 1
        try:
            if spec.memory_bytes_max is None:
                value, shown = self._execute(spec, invocation, current)
            else:
                with memory_limit(spec.memory_bytes_max):
                    value, shown = self._execute(spec, invocation, current)
        except BaseException as error:  # noqa: BLE001  # the author's code runs here, and SystemExit is a failure too
            self._with.forks.end_if_forked(error)
            failure = failure_from(
                error, spec=spec, step=step, attempt=attempt, fork=self._with.fork, reading=self._reading
            )
        words[_ENTERED] = 0
        left_at = time.time()
        place.leave(token)
        emits = place.emitted(current)
        ran = Ran(self._with.fork.sandbox, entered_at, left_at, shown)
        text = self._with.text.take() if words[_PRINTED] else ""
        # What a failed Attempt has emitted vanishes (E1).
        kept = emits if failure is None else ()
        moved = self._with.received.meter.take()
        note = self._note(spec, failure, current)
        undoes = invocation.undoes
        return Outcome(invocation.step, invocation.attempt, value, failure, ran, undoes, kept, index, text, note, moved)

    def _note(self, spec: FunctionSpec, failure: Failure | None, current: place.Current) -> str:
        """Return what the story is to tell of a success: what was noted, or what was promised and did not happen."""
        if failure is not None:
            return ""
        if spec.effects != "transaction" or self._said is None or self._said.has_begun:
            return place.noted(current)
        return (
            f'{spec.label} has effects="transaction" and succeeded without beginning one: what it did outside commits '
            "with no record, and a crash may have it done again. Write `with weftrun.current().transaction() as db:`, "
            "or take the policy away."
        )

    def _execute(self, spec: FunctionSpec, invocation: Invocation, current: place.Current) -> tuple[Data, str]:
        """Read the arguments, call the Function, and return its encoded result and a preview of it."""
        gear = self._with
        self._reading = True
        call = gear.callables.of(spec.name)
        args, kwargs = decode_tree(invocation.args, gear.received.read)
        self._reading = False
        try:
            result = call(*args, **kwargs)
            if spec.is_stream:
                self._hand_on(result, spec, invocation, current)
                result = None
        except (TypeError, UsageError) as error:
            self._reading = does_not_fit(error, spec, args, kwargs)
            raise
        if gear.forks.forked:
            gear.forks.end_if_forked()
        if spec.effects == "transaction" and self._said is not None:
            self._said.check_left()
        place.check_outputs(current)
        value = gear.speaker.data(encode(result, what=f"the result of {spec.label}"))
        return value, preview(result, gear.fork.preview_bytes_max)

    def _hand_on(self, chunks: Any, spec: FunctionSpec, invocation: Invocation, current: place.Current) -> None:
        """Hand on what a generator yields, chunk by chunk, and then all of it."""
        streams: Any = importlib.import_module("weftrun.sdk.stream")  # only Sandboxes of generators pay for this import
        current.put(STREAM, streams.FlowingAt(invocation.step, invocation.attempt))
        passage = streams.passage_here()
        self._with.put_whole(spec, passage.no, passage.index, streams.hand_on(chunks, spec, passage))
