"""What Functions took, from the records and the trace of Runs."""

from __future__ import annotations

import pytest

from weftrun.model.ids import RunUid, StepId
from weftrun.model.outcomes import Reason
from weftrun.ports.trace import TraceRow
from weftrun.views.functions import FunctionsFold, percentile


def by_name(*books):
    fold = FunctionsFold()
    for book in books:
        fold.add(book.rows, book.trace)
    return {view.function: view for view in fold.views()}


def test_items_count_with_their_share_of_a_batch(wordcount):
    seen = by_name(wordcount)
    count = seen["app:count"]
    assert (count.runs, count.attempts, count.failed, count.is_workflow) == (1, 11, 1, False)
    assert count.max_s == pytest.approx(0.1), "an item that ran alone"
    assert count.p50_s == pytest.approx(0.038 / 6), "six that ran together"
    assert count.body_s == pytest.approx(0.038 + 0.005 + 0.005 + 0.014 + 0.1)
    assert (count.values, count.inline_bytes) == (4, 4), "ranges of items that were recorded together"
    assert next(iter(seen)) == "app:count", "what took most of the time comes first"
    assert seen["app:merge"].attempts == 1


def test_runs_are_added_up_and_what_failed_is_counted(book, words):
    book.start()
    failure = words.raised("work[0]", attempts=2)
    call = words.observed("flow", 0, "work")
    book.fail_attempt(0.1, "work[0]", 1, failure, 0.2, words.ran(1, 0.02, 0.1))
    book.settle(0.5, book.outcome("work[0]", words.ran(1, 0.2, 0.5), failure=failure, attempt=2, call=call))
    cancelled = words.raised("work[1]", reason=Reason.CANCELLED)
    book.settle(0.5, book.outcome("work[1]", failure=cancelled, call=words.observed("flow", 1, "work")))
    book.end(0.6, "failed", failure)
    work = by_name(book, book)["app:work"]
    assert (work.runs, work.attempts, work.failed) == (2, 4, 4)
    assert (work.p50_s, work.max_s) == (pytest.approx(0.08), pytest.approx(0.3))


def test_the_trace_tells_of_batches_cold_starts_and_bytes(wordcount):
    uid = RunUid("u" * 32)
    moved = {"read_bytes": 1000, "read_s": 0.5, "written_bytes": 10, "written_s": 0.25}
    wordcount.trace.append(TraceRow(uid, "sandbox", 1.0, StepId(""), 0, "it began", {"sandbox": 1, "start_s": 0.008}))
    for size in (6, 2):
        wordcount.batch(0.1, "count[0]", sandbox=1, size=size)
    wordcount.batch(0.1, "merge[0]", sandbox=1, size=1)
    wordcount.trace.append(TraceRow(uid, "moved", 1.0, StepId("merge[0]"), 1, "", moved))
    seen = by_name(wordcount)
    count, merge = seen["app:count"], seen["app:merge"]
    assert (count.batches, count.batch_max, count.batch_mean) == (2, 6, 4.0)
    assert (count.cold_starts, count.cold_start_s) == (1, 0.008)
    assert (merge.cold_starts, merge.batches) == (0, 1)
    assert (merge.read_bytes, merge.read_s, merge.written_bytes, merge.written_s) == (1000, 0.5, 10, 0.25)


@pytest.mark.parametrize(("share", "length"), [(0.0, 1.0), (0.5, 1.0), (0.75, 2.0), (0.99, 5.0), (1.0, 5.0)])
def test_percentiles_weigh_each_length(share, length):
    assert percentile([(1.0, 4), (2.0, 3), (5.0, 1)], share) == length
    assert percentile([], share) == 0.0
