"""How Steps stand, from records alone."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest

from weftrun.model.errors import JournalCorrupt
from weftrun.model.graph import Call
from weftrun.model.hosts import SANDBOXES_EACH
from weftrun.model.ids import RunUid, StepId
from weftrun.model.outcomes import Reason, Success
from weftrun.model.policy import Kind
from weftrun.model.values import Blob, Payload
from weftrun.ports.trace import TraceRow
from weftrun.views.calls import start_of
from weftrun.views.came import CameView
from weftrun.views.progress import apart, attempts_gated, by_status, counted, disk_sentence, progress
from weftrun.views.running import RunningView, last_line, now_text
from weftrun.views.steps import steps
from weftrun.views.trace import texts


def by_id(book):
    return {view.id: view for view in steps(book.rows, book.trace)}


def test_a_finished_run(wordcount, words):
    seen = by_id(wordcount)
    assert list(seen) == ["wordcount", "count[0]", "load[0]", "merge[0]"]
    assert {view.status for view in seen.values()} == {"succeeded"}
    count = seen["count[0]"]
    assert (count.items, count.items_done, count.items_failed) == (10, 10, 0)
    assert (count.entered_at, count.left_at) == (words.T0 + 0.012, words.T0 + 0.2)
    assert count.body_s == pytest.approx(0.038 + 0.005 + 0.005 + 0.014 + 0.1)
    assert count.error == ""
    merge = seen["merge[0]"]
    assert merge.preview == '[["a", 3]]'
    assert merge.sandbox == 1
    assert merge.waited_s == pytest.approx(0.01)  # entered at 0.21, the map settled at 0.2
    assert seen["load[0]"].waited_s == pytest.approx(0.002)
    assert seen["wordcount"].settled_at == words.T0 + 0.261


def test_a_map_shows_its_first_items_whichever_batch_came_last(book, words):
    book.start()
    book.chunk(0.0, "flow", "work[0]", 0, 0, 50, last=True)
    book.graph(0.01, "flow", [(words.spec("work"), Call(0, 0, words.payload(), is_map=True))], words.payload(0))
    book.items(0.1, "work[0]", 40, 50, words.ran(2, 0.02, 0.1, "[80, 82]"))
    assert by_id(book)["work[0]"].preview == ""
    book.items(0.2, "work[0]", 0, 40, words.ran(1, 0.02, 0.05, "[0, 2]"))
    assert by_id(book)["work[0]"].preview == "[0, 2, …]"


@pytest.mark.parametrize(("count", "preview"), [(2, "[1, 2]"), (8, "[1, 2]"), (9, "[1, 2, …]")])
def test_a_map_of_few_items_shows_them_all(book, words, count, preview):
    book.start()
    book.chunk(0.0, "flow", "work[0]", 0, 0, count, last=True)
    book.items(0.1, "work[0]", 0, count, words.ran(1, 0.02, 0.1, "[1, 2]"))
    assert by_id(book)["work[0]"].preview == preview


def test_steps_and_items_are_counted_alike_everywhere(wordcount, words):
    assert by_status(steps(wordcount.rows)) == {"succeeded": 12}
    wordcount.rows = wordcount.rows[:6]
    assert by_status(steps(wordcount.rows)) == {"succeeded": 7, "pending": 5}


def test_the_items_of_a_map_whose_argument_failed_have_failed(book, words):
    book.start()
    book.chunk(0.0, "flow", "work[0]", 1, 0, 3, last=True)
    failure = words.raised("load[0]")
    book.settle(0.1, book.outcome("work[0]", failure=failure, cause="argument"))
    assert by_status(steps(book.rows)) == {"failed": 3}


def test_in_the_middle_what_has_no_record_is_pending_and_a_map_with_some_items_runs(wordcount):
    wordcount.rows = wordcount.rows[:6]
    seen = by_id(wordcount)
    assert {view.id: view.status for view in seen.values()} == {
        "wordcount": "running",
        "count[0]": "running",
        "load[0]": "succeeded",
        "merge[0]": "pending",
    }
    assert seen["count[0]"].items_done == 6


def test_the_trace_says_what_is_running(wordcount):
    wordcount.rows = wordcount.rows[:4]
    assert by_id(wordcount)["load[0]"].status == "pending"
    wordcount.batch(0.011, "load[0]", sandbox=2, size=1)
    assert by_id(wordcount)["load[0]"].status == "running"


def test_steps_come_in_the_order_of_their_calls_with_children_after_their_parents(book, words):
    """An async body's calls are told with their outcomes, in the order of settling."""
    book.start("watch", Kind.WATCHING)
    for n, name in ((2, "c"), (0, "a"), (1, "b")):
        book.settle(0.1, book.outcome(f"{name}[0]", words.ran(1, 0.0, 0.1), call=words.observed("watch", n, name)))
    inner = words.observed("b[0]", 0, "z")
    book.settle(0.2, book.outcome("b[0]/z[0]", words.ran(1, 0.1, 0.2), call=inner))
    assert list(by_id(book)) == ["watch", "a[0]", "b[0]", "b[0]/z[0]", "c[0]"]


def test_what_was_seen_running_runs_and_a_later_attempt_only(book, words):
    book.start()
    calls = [
        (words.spec("load"), Call(0, 0, words.payload())),
        (words.spec("work"), Call(1, 0, words.payload(), is_map=True)),
    ]
    book.chunk(0.0, "flow", "work[0]", 1, 0, 9, last=True)
    book.graph(0.01, "flow", calls, words.payload(1))
    book.fail_attempt(0.1, "load[0]", 1, words.raised("load[0]", attempts=3), 5.0, words.ran(1, 0.02, 0.1))

    def view(step, attempt, *, lives=True):
        return RunningView(StepId(step), attempt, words.T0 + 1, words.T0 + 9, 2, 7, "box", lives, "50 %\r75 %")

    old, new, items = view("load[0]", 1), view("load[0]", 2), [view("work[0].3", 1), view("work[0].5", 1)]
    seen = {v.id: v for v in steps(book.rows, book.trace, [old, *items])}
    assert (seen["load[0]"].status, seen["load[0]"].running) == ("pending", ())
    assert (seen["work[0]"].status, seen["work[0]"].running) == ("running", tuple(items))
    assert apart(seen.values()) == ({"pending": 1, "running": 1}, {"pending": 7, "running": 2})
    seen = {v.id: v for v in steps(book.rows, book.trace, [new])}
    assert (seen["load[0]"].status, seen["load[0]"].running, seen["load[0]"].due_at) == ("running", (new,), None)
    assert now_text(new, words.T0 + 11) == "running for 10 s in Sandbox 2 of engine 7 on box"
    assert last_line(new.printed) == "75 %"
    dead = view("load[0]", 2, lives=False)
    seen = {v.id: v for v in steps(book.rows, book.trace, [dead])}
    assert (seen["load[0]"].status, seen["load[0]"].running) == ("pending", (dead,))
    assert now_text(dead, words.T0 + 11).endswith("when that was last seen, 2 s ago")


def test_what_an_engine_that_is_gone_had_given_to_a_sandbox_runs_no_more(wordcount):
    wordcount.rows = wordcount.rows[:4]
    wordcount.batch(0.011, "load[0]", sandbox=2, size=1)
    assert by_id(wordcount)["load[0]"].status == "running"
    wordcount.note(1.0, "", epoch=2, waited=0)
    assert by_id(wordcount)["load[0]"].status == "pending"
    wordcount.batch(1.1, "load[0]", sandbox=1, size=1)
    assert by_id(wordcount)["load[0]"].status == "running"


def test_a_map_with_a_failed_item_fails_and_readers_fail_with_it(book, words):
    book.start()
    book.chunk(0.0, "flow", "work[0]", 0, 0, 3, last=True)
    calls = [
        (words.spec("work"), Call(0, 0, words.payload(), is_map=True)),
        (words.spec("sum"), Call(1, 0, words.payload(0))),
    ]
    book.graph(0.01, "flow", calls, words.payload(1))
    failure = words.raised("work[0].1", "bad\nsecond line")
    book.items(0.1, "work[0]", 0, 3, words.ran(1, 0.02, 0.1), {1: failure})
    book.end(0.11, "failed", failure)
    seen = by_id(book)
    assert seen["work[0]"].status == "failed"
    assert (seen["work[0]"].items_done, seen["work[0]"].items_failed) == (2, 1)
    assert seen["work[0]"].error == "ValueError: bad"
    assert seen["sum[0]"].status == "cancelled"
    assert seen["flow"].status == "failed"
    assert seen["flow"].error == "ValueError: bad"


def test_retries_show_the_last_attempt_and_when_the_next_is_due(book, words):
    book.start()
    book.graph(0.01, "flow", [(words.spec("load"), Call(0, 0, words.payload()))], words.payload(0))
    book.fail_attempt(0.1, "load[0]", 1, words.raised("load[0]", attempts=3), 5.0, words.ran(1, 0.02, 0.1))
    book.batch(0.11, "load[0]")  # told when the Attempt had failed already
    view = by_id(book)["load[0]"]
    assert (view.status, view.attempts, view.due_at) == ("pending", 1, words.T0 + 5.0)
    assert view.error == "ValueError: no such file"
    book.settle(5.2, book.outcome("load[0]", words.ran(2, 5.0, 5.2), attempt=2))
    view = by_id(book)["load[0]"]
    assert (view.status, view.attempts, view.due_at, view.error) == ("succeeded", 2, None, "")
    assert view.body_s == pytest.approx(0.28)
    assert view.sandbox == 2


def test_an_async_body_tells_its_calls_with_their_outcomes(countdown):
    seen = by_id(countdown)
    assert list(seen) == ["countdown", "decrement[0]", "decrement[1]", "decrement[2]"]
    assert seen["decrement[0]"].function == "app:decrement"
    assert seen["decrement[1]"].waited_s == pytest.approx(0.02)  # the body was told of the first at 0.1
    assert seen["countdown"].status == "running"


def test_what_was_open_inside_a_body_that_failed_was_cancelled(book, words):
    book.start()
    child = words.spec("child", Kind.WIRING)
    book.graph(
        0.01,
        "flow",
        [(child, Call(0, 0, words.payload())), (words.spec("x"), Call(1, 0, words.payload()))],
        words.payload(0),
    )
    inner = [(words.spec("a"), Call(0, 0, words.payload())), (words.spec("b"), Call(1, 0, words.payload()))]
    book.graph(0.02, "child[0]", inner, words.payload(1))
    failure = words.raised("child[0]/a[0]")
    book.settle(
        0.1,
        book.outcome("child[0]/a[0]", words.ran(1, 0.03, 0.1), failure=failure),
        book.outcome("child[0]", failure=failure),
    )
    seen = by_id(book)
    assert seen["child[0]/b[0]"].status == "cancelled"
    assert seen["child[0]"].status == "failed"
    assert seen["x[0]"].status == "pending"


def test_an_empty_map_has_succeeded(book, words):
    book.start()
    book.chunk(0.0, "flow", "work[0]", 0, 0, 0, last=True)
    book.graph(0.01, "flow", [(words.spec("work"), Call(0, 0, words.payload(), is_map=True))], words.payload(0))
    assert by_id(book)["work[0]"].status == "succeeded"


def test_a_run_of_one_function_is_one_step(book, words):
    book.start("add", Kind.FUNCTION)
    book.end(0.1, ran=words.ran(1, 0.01, 0.1, "3"))
    (view,) = steps(book.rows)
    assert (view.id, view.status, view.preview, view.sandbox) == ("add", "succeeded", "3", 1)
    assert view.waited_s == pytest.approx(0.01)


def test_a_cancelled_step(book, words):
    book.start()
    book.graph(0.01, "flow", [(words.spec("a"), Call(0, 0, words.payload()))], words.payload(0))
    failure = words.raised("a[0]", reason=Reason.CANCELLED)
    book.settle(0.1, book.outcome("a[0]", failure=failure, cause="cancelled"))
    view = by_id(book)["a[0]"]
    assert (view.status, view.cause) == ("cancelled", "cancelled")


def test_rows_without_a_start_are_a_damaged_journal():
    with pytest.raises(JournalCorrupt, match="start record"):
        start_of([])


def test_progress_counts_items_and_leaves_the_root_out(wordcount, words):
    wordcount.rows = wordcount.rows[:6]
    seen = progress(steps(wordcount.rows), elapsed_s=2.0)
    counts = {count.function: count for count in seen.functions}
    assert (counts["app:count"].total, counts["app:count"].done) == (10, 6)
    assert counts["app:merge"].total == 1
    assert (seen.total, seen.settled) == (12, 7)
    assert seen.rate == pytest.approx(3.5)
    assert seen.eta_s == pytest.approx(5 / 3.5)
    later = progress(steps(wordcount.rows), elapsed_s=2.0, settled_before=5)
    assert later.rate == pytest.approx(1.0)


def test_no_eta_while_a_map_is_still_being_read(book, words):
    book.start("watch", Kind.WATCHING)
    book.chunk(0.1, "watch", "work[0]", 0, 0, 10, last=False)
    book.settle(0.2, book.outcome("other[0]", words.ran(1, 0.0, 0.1), call=words.observed("watch", 1, "other")))
    seen = progress(steps(book.rows), elapsed_s=1.0)
    assert seen.rate == 1.0
    assert seen.eta_s is None
    book.chunk(0.3, "watch", "work[0]", 0, 10, 10, last=True)
    seen = progress(steps(book.rows), elapsed_s=1.0)
    assert (seen.total, seen.eta_s) == (21, 20.0)


def test_steps_that_waited_for_the_disk_come_with_advice(wordcount):
    wordcount.batch(0.21, "merge[0]", sandbox=1, size=1, gated=1)
    wordcount.batch(0.22, "merge[0]", sandbox=1, size=8, gated=8)
    wordcount.note(0.3, "", gated=3)
    assert attempts_gated(wordcount.trace) == 12
    assert disk_sentence(12).startswith(
        "12 Attempts waited for the disk before they started, because what they depend on had to be durable first; "
    )
    assert disk_sentence(1).startswith(
        "1 Attempt waited for the disk before it started, because what it depends on had to be durable first; "
    )
    assert 'effects="none"' in disk_sentence(1)
    assert disk_sentence(0) == ""


def test_texts_of_one_step_include_its_items_and_not_its_namesakes(book):
    for step in ("count[1]", "count[1].3", "count[1]/inner[0]", "count[10]"):
        book.printed(0.1, step, f"by {step}\n")
    assert [text.step for text in texts(book.trace, "count[1]")] == ["count[1]", "count[1].3", "count[1]/inner[0]"]
    assert len(texts(book.trace)) == 4


def test_texts_of_a_map_name_the_item(book):
    book.printed(0.1, "work[0]", "onetwo\nelse\n", items="3:3 5:4")
    book.printed(0.2, "work[0].7", "alone\n")
    assert [(text.step, text.text) for text in texts(book.trace)] == [
        ("work[0].3", "one"),
        ("work[0].5", "two\n"),
        ("work[0]", "else\n"),
        ("work[0].7", "alone\n"),
    ]
    assert [text.text for text in texts(book.trace, "work[0].5")] == ["two\n"]


def test_what_a_replayed_body_prints_again_is_left_out(book):
    for text, begins in (("one\n", 0), ("two\n", 4), ("one\ntwo\n", 0), ("three\n", 8), ("two\nthree\nfour\n", 4)):
        book.printed(0.1, "flow", text, **{"from": begins})
    assert [text.text for text in texts(book.trace)] == ["one\n", "two\n", "three\n", "four\n"]


def test_steps_and_items_are_told_apart(wordcount):
    assert counted(*apart(steps(wordcount.rows))) == "3 Steps succeeded; 10 items succeeded"
    wordcount.rows = wordcount.rows[:6]
    assert counted(*apart(steps(wordcount.rows)), {"succeeded": "done"}) == (
        "1 Step pending, 1 Step running, 1 Step done; 4 items pending, 6 items done"
    )
    seen = progress(steps(wordcount.rows), elapsed_s=1.0)
    assert {(count.function, count.is_map, count.total) for count in seen.functions} == {
        ("app:count", True, 10), ("app:load", False, 1), ("app:merge", False, 1),
    }  # fmt: skip


def test_a_million_items_fold_small(book, words):
    book.start()
    size = 4_096
    for lo in range(0, 1_000_000, size):
        book.chunk(0.0, "flow", "inc[0]", 0, lo, min(size, 1_000_000 - lo), last=lo + size >= 1_000_000)
    book.graph(0.01, "flow", [(words.spec("inc"), Call(0, 0, words.payload(), is_map=True))], words.payload(0))
    for lo in range(0, 1_000_000, 512):
        book.items(0.02, "inc[0]", lo, min(lo + 512, 1_000_000), words.ran(1 + lo % 4, 0.02, 0.03))
    tracemalloc.start()
    view = steps(book.rows)[1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (view.items, view.items_done, view.status) == (1_000_000, 1_000_000, "succeeded")
    assert peak < 4_000_000


def test_each_edge_of_a_large_value_tells_how_it_came(book, words):
    """By the Worker that made it and the one that read it; small values travel in messages and are not told of."""
    book.start()
    calls = [Call(n, 0, words.payload()) for n in range(3)] + [Call(3, 0, words.payload(0, 1, 2))]
    labels = ["near", "far", "small", "join"]
    book.graph(
        0.01, "flow", [(words.spec(label), call) for label, call in zip(labels, calls, strict=True)], words.payload(3)
    )
    one, other = SANDBOXES_EACH + 1, 2 * SANDBOXES_EACH + 1
    large = Payload(Blob("a" * 64, 1_000_000))
    for ordinal, (label, sandbox, value) in enumerate(
        [("near", one, large), ("far", other, large), ("small", other, words.payload()), ("join", one, words.payload())]
    ):
        done = book.outcome(f"{label}[0]", words.ran(sandbox, 0.1 + ordinal, 0.2 + ordinal))
        book.settle(0.3 + ordinal, msgspec.structs.replace(done, outcome=Success(value)))
    facts = {"worker": 1, "source": 2, "bytes": 1_000_000, "began": 1.5, "came": 1.6}
    book.trace.append(TraceRow(RunUid("u" * 32), "came", 2.0, StepId("far[0]"), 0, "", facts))
    assert by_id(book)["join[0]"].came == (
        CameView(StepId("near[0]"), "local", 1, 1_000_000), CameView(StepId("far[0]"), "fetched", 2, 1_000_000),
    )  # fmt: skip
    book.trace.append(TraceRow(RunUid("u" * 32), "came", 3.0, StepId("far[0]"), 0, "", facts | {"source": 0}))
    assert by_id(book)["join[0]"].came[1] == CameView(StepId("far[0]"), "sent", 0, 1_000_000)
