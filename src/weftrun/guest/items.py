"""An ItemBatch: items of a map, one after the other, their results told in ranges."""

from __future__ import annotations

import time
from sys import getsizeof
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Any, Final

from msgspec.structs import replace

from weftrun.guest.attempt import Equipment, does_not_fit, failure_from
from weftrun.guest.memory import memory_limit
from weftrun.model.errors import InternalError, NotSerializable, UsageError
from weftrun.model.ids import RunId, RunUid, StepId, item_step
from weftrun.model.messages import ItemBatch, ItemOutcomes
from weftrun.model.outcomes import ITEMS_SHOWN, Failure, Ran
from weftrun.model.values import Data, Tree
from weftrun.sdk import place
from weftrun.sdk.codec import decode_tree, encode, preview
from weftrun.sdk.emits import Emits
from weftrun.sdk.transaction import NOT_SAID
from weftrun.wire.page import Page
from weftrun.wire.text import BoundedText

_TELL_S: Final = 0.020
_TELL_BYTES: Final = 64 * 1024
_TELL_FAILURES: Final = 256
_UNKNOWN_BYTES: Final = 1_024


class ItemRunner:
    """Runs the items of one ItemBatch after the other.

    Results are told at the end, or between two items once they have waited 20 ms or grown to about 64 KiB. While
    anything is untold the page says that the last item still runs, so that a crash in encoding has a culprit.
    """

    def __init__(self, equipment: Equipment) -> None:
        """Run with this equipment."""
        self._with = equipment
        self._ranges: list[tuple[int, list[Any]]] = []
        self._failures: list[tuple[int, Failure]] = []
        self._last_items: Tree | None = None
        self._began_at = 0.0
        self._emits = Emits(equipment.bounds)
        self._said: list[str] = []
        self._printed: list[tuple[int, int]] = []
        self._said_bytes = 0

    def run(self, batch: ItemBatch) -> None:
        """Run all ranges of an ItemBatch and tell what became of them."""
        page = self._with.page
        page.words[Page.ENTERED] = 0
        page.words[Page.INDEX] = batch.ranges[0][0]
        page.words[Page.BATCH] = batch.no
        page.times[Page.ENTERED_AT] = self._began_at = time.time()
        page.words[Page.ENTERED] = 1
        try:
            with memory_limit(batch.function.memory_bytes_max):
                call = self._with.callables.of(batch.function.name)
                _, same = decode_tree(batch.same, self._with.received.read)
                items = decode_tree(self.items_of(batch), self._with.received.read)
                self._run_ranges(batch, call, items, same)
        except BaseException as error:  # noqa: BLE001 - the author's code is imported and their values read here
            self._with.forks.end_if_forked(error)
            self._fail_all(batch, error)
        self._tell(batch)

    def items_of(self, batch: ItemBatch) -> Tree:
        """Return the encoded items, kept from the last ItemBatch where they are not sent again.

        They are decoded anew each time, since the author's code may have changed what it was given.
        """
        if not batch.again:
            self._last_items = None if batch.objects else batch.items
            return batch.items
        if self._last_items is None:
            raise InternalError("The engine sent a range of items, but not the items.")
        return self._last_items

    def _run_ranges(self, batch: ItemBatch, call: Any, items: list[tuple[Any, ...]], same: dict[str, Any]) -> None:
        forks, words, times = self._with.forks, self._with.page.words, self._with.page.times
        clock, boot, size_of, base = clock_gettime, CLOCK_BOOTTIME, getsizeof, batch.base
        at_index, at_time, printed, may_enter = (
            Page.INDEX,
            Page.ENTERED_AT,
            Page.PRINTED,
            self._with.lease_page.may_enter_at,
        )
        emits = self._emits = Emits(self._with.bounds)
        current = ItemCurrent(*batch.run, batch.id, batch.attempt, emits)
        current.trace = batch.trace
        token = place.enter(current)
        # The Lease is checked at each item (O3), so its clock is the one that is read; the page has the time of day.
        ahead = time.time() - clock(boot)
        began_at, size = self._began_at - ahead, 0
        try:
            for lo, hi in batch.ranges:
                results = self._open_range(lo)
                for index in range(lo, hi):
                    now = clock(boot)
                    if (
                        now > began_at + _TELL_S
                        or size > _TELL_BYTES
                        or len(self._failures) >= _TELL_FAILURES
                        or emits.nbytes > _TELL_BYTES
                    ):
                        self._tell(batch)
                        results = self._open_range(index)
                        words[Page.ENTERED] = 1
                        self._began_at, now = time.time(), clock(boot)
                        began_at, ahead, size = now, self._began_at - now, 0
                    if not may_enter(now):
                        self._with.check_lease()
                    current.index = words[at_index] = index
                    times[at_time] = now + ahead
                    try:
                        result = call(*items[index - base], **same)
                    except BaseException as error:  # noqa: BLE001 - the author's code runs here
                        forks.end_if_forked(error)
                        unfit = issubclass(type(error), (TypeError, UsageError)) and does_not_fit(
                            error, batch.function, items[index - base], same
                        )
                        self._item_failed(batch, index, error, reading=unfit)
                        results = self._open_range(index + 1)
                    else:
                        results.append(result)
                        try:
                            size += size_of(result)
                        except BaseException:  # noqa: BLE001 - `__sizeof__` may be the author's
                            size += _UNKNOWN_BYTES
                    if words[printed]:
                        self._take_text(index, words[printed])
                    if forks.forked:
                        forks.end_if_forked()
        finally:
            place.leave(token)
            emits.end()

    def _take_text(self, index: int, nbytes: int) -> None:
        """Note what an item printed, as long as all that waits to be told is within its bound."""
        if self._said_bytes + nbytes <= self._with.fork.text_bytes_max:
            self._said_bytes += nbytes
            self._said.append(text := self._with.text.take())
            self._printed.append((index, len(text)))

    def _text(self) -> str:
        """Return what was printed and not told, bounded; `_printed` is for the part of it whose items are known."""
        rest = self._with.text.take()
        text = "".join(self._said) + rest
        self._said.clear()
        if rest and self._said_bytes:
            bounded = BoundedText(self._with.fork.text_bytes_max)
            bounded.add(text.encode("utf-8", "replace"))
            if (kept := bounded.take()) != text:
                self._printed.clear()
                text = kept
        self._said_bytes = 0
        return text

    def _open_range(self, lo: int) -> list[Any]:
        results: list[Any] = []
        self._ranges.append((lo, results))
        return results

    def _item_failed(self, batch: ItemBatch, index: int, error: BaseException, *, reading: bool = False) -> None:
        failure = failure_from(
            error,
            spec=batch.function,
            step=item_step(batch.id, index),
            attempt=batch.attempt,
            fork=self._with.fork,
            reading=reading,
        )
        self._failures.append((index, failure))
        self._emits.drop(index)

    def _fail_all(self, batch: ItemBatch, error: BaseException) -> None:
        """Nothing could be entered, for one reason: the first failure tells it in full, the others briefly."""
        self._ranges.clear()
        self._emits.take()
        first = batch.ranges[0][0]
        self._item_failed(batch, first, error, reading=True)
        brief = replace(self._failures[-1][1], traceback="")
        self._failures += [(index, brief) for lo, hi in batch.ranges for index in range(lo, hi) if index != first]

    # ------------------------------------------------------------------ telling

    def _tell(self, batch: ItemBatch) -> None:
        values: list[tuple[int, int, Data]] = []
        shown = ""
        for lo, results in self._ranges:
            if results:
                shown = shown or preview(results[:ITEMS_SHOWN], self._with.fork.preview_bytes_max)
                values += self._encoded(batch, lo, results)
        self._ranges.clear()
        failures = tuple(sorted(self._failures, key=lambda entry: entry[0]))
        self._failures.clear()
        self._with.page.words[Page.ENTERED] = 0
        text = self._text()
        printed = tuple(self._printed)
        self._printed.clear()
        emits = self._emits.take()
        if values or failures or text:
            ran = Ran(self._with.fork.sandbox, self._began_at, time.time(), shown)
            moved = self._with.received.meter.take()
            self._with.speaker.say(ItemOutcomes(batch.no, tuple(values), failures, ran, text, emits, printed, moved))

    def _encoded(self, batch: ItemBatch, lo: int, results: list[Any]) -> list[tuple[int, int, Data]]:
        """Encode a range as one list; where that fails, item by item, so that only the guilty ones fail."""
        what = f"the result of {batch.function.label}"
        try:
            return [(lo, lo + len(results), self._with.speaker.data(encode(results, what=what)))]
        except BaseException as error:  # noqa: BLE001 - pickling runs the author's code
            if len(results) == 1:
                own = _of_itself(results[0], batch.id, lo) if isinstance(error, NotSerializable) else None
                self._item_failed(batch, lo, own or error)
                return []
        return [one for i, result in enumerate(results) for one in self._encoded(batch, lo + i, [result])]


def _of_itself(result: object, step: StepId, index: int) -> NotSerializable | None:
    """Return why a result can't be encoded with the path inside of it, not inside of the list it is told in."""
    try:
        encode(result, what=f"the result of {item_step(step, index)}")
    except NotSerializable as error:
        return error
    return None


class ItemCurrent(place.Current):
    """What runs now, for whichever item of a map is running: its id is made only when somebody asks."""

    __slots__ = ("index",)

    def __init__(self, run_id: RunId, run_uid: RunUid, step: StepId, attempt: int, emits: Emits) -> None:
        """Stand for items of the map Step `step`."""
        self.run_id = run_id
        self.run_uid = run_uid
        self.attempt = attempt
        self._open = NOT_SAID
        self._emits = emits
        self._outputs = None
        self._notes = []
        self._step = step
        self.trace = ""
        self.index = 0

    @property
    def step_id(self) -> StepId:
        """The id of the item that runs."""
        return item_step(self._step, self.index)

    def _span(self, spans: Any) -> str:
        span: str = spans.span_of_run(self.run_uid)
        return span

    def _item(self) -> int:
        return self.index
