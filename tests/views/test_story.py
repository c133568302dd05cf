"""What the story tells, and why."""

from __future__ import annotations

from weftrun.model.graph import Call
from weftrun.model.outcomes import Reason
from weftrun.model.policy import Kind
from weftrun.model.records import CancelAsked
from weftrun.views.story import story


def texts(book, step=None):
    return [told.text for told in story(book.rows, book.trace, step)]


def test_a_run_is_told_in_the_order_of_time(wordcount):
    told = story(wordcount.rows, wordcount.trace)
    assert [told.at for told in told] == sorted(told.at for told in told)
    said = [t.text for t in told]
    assert said[0] == "Run books-1 of app:wordcount was started, code version abcdef012345."
    assert "count[0] has 10 items; its input is complete." in said
    assert "The body of wordcount ended and wired 3 calls; the graph is recorded, so it is not entered again." in said
    assert (
        "merge[0] succeeded in Sandbox 1 after 50 ms; it was entered 10 ms after count[0] settled, the last it needed."
        in said
    )
    assert (
        "Attempt 1 of count[0].7 failed in Sandbox 2 after 5 ms with ValueError: no such file; "
        "the next one begins in 40 ms, because its policy allows 3 Attempts." in said
    )
    assert "The Run succeeded: its answer and every Step it created have settled." in said


def test_one_step_alone_with_its_items(wordcount):
    said = texts(wordcount, "count[0]")
    assert said
    assert all("count[0]" in sentence for sentence in said)
    assert texts(wordcount, "load[0]") == [
        "load[0] succeeded in Sandbox 2 after 18 ms; it was entered 2 ms after its call was known."
    ]


def test_the_trace_gives_batches_sandboxes_and_notes(wordcount):
    wordcount.batch(0.011, "load[0]", "a Sandbox could take it", sandbox=1, size=6, function="load", gated=2)
    wordcount.batch(0.012, "count[0]", "a Sandbox could take it", attempt=0, sandbox=2, size=1)
    wordcount.note(0.02, "Sandboxes are exec'ed, because threads live after the import of app.")
    said = texts(wordcount)
    assert (
        "6 Invocations of load went to Sandbox 1 as one Batch: a Sandbox could take it; "
        "2 Attempts had waited for the disk." in said
    )
    assert "1 item of count[0] went to Sandbox 2: a Sandbox could take it." in said
    assert "Sandboxes are exec'ed, because threads live after the import of app." in said
    assert not any("waited for the disk before" in sentence for sentence in said), "it cost 1 ms of 261"


def test_waiting_for_the_disk_comes_with_advice_where_it_cost_more_than_a_tenth(book, words):
    calls = [(words.spec("a"), Call(0, 0, words.payload())), (words.spec("b"), Call(1, 0, words.payload(0)))]
    for waited_s, is_told in ((0.04, False), (0.06, True)):
        book.rows.clear()
        book.trace.clear()
        book.start()
        book.graph(0.0, "flow", calls, words.payload(1))
        book.settle(0.2, book.outcome("a[0]", words.ran(1, 0.0, 0.2)))
        book.batch(0.2 + waited_s, "b[0]", sandbox=1, size=1, gated=1)
        book.settle(0.5, book.outcome("b[0]", words.ran(1, 0.2 + waited_s, 0.5)))
        book.end(0.5)
        assert (
            any(said.startswith("1 Attempt waited for the disk before it started") for said in texts(book)) is is_told
        )


def test_a_missing_trace_is_said(wordcount):
    assert "There is no trace of this Run" in texts(wordcount)[-1]
    wordcount.printed(0.02, "load[0]", "hello")
    assert "There is no trace of this Run" not in texts(wordcount)[-1]


def test_a_trace_is_not_missed_where_nothing_ran_that_it_tells_of(book, words):
    for kind in (Kind.WIRING, Kind.WATCHING):
        for ran in (words.ran(1, 0.0, 0.1), None):
            book.rows.clear()
            book.start(kind=kind)
            book.end(0.1, "failed", words.raised("flow"), *([ran] if ran is not None else []))
            assert not any("There is no trace" in said for said in texts(book))
    book.rows.clear()
    book.start(kind=Kind.FUNCTION)
    book.end(0.1, ran=words.ran(1, 0.0, 0.1))
    assert "There is no trace of this Run" in texts(book)[-1]


def test_a_failure_names_its_origin_and_why_it_is_final(book, words):
    book.start()
    calls = [
        (words.spec("load"), Call(0, 0, words.payload())),
        (words.spec("use"), Call(1, 0, words.payload(0))),
    ]
    book.graph(0.01, "flow", calls, words.payload(1))
    failure = words.raised("load[0]")
    book.settle(
        0.1,
        book.outcome("load[0]", words.ran(1, 0.02, 0.1), failure=failure),
        book.outcome("use[0]", failure=failure, cause="argument"),
    )
    book.end(0.11, "failed", failure)
    said = texts(book)
    assert (
        "load[0] failed in Attempt 1 in Sandbox 1 after 80 ms with ValueError: no such file; "
        "an error that a body raises is final unless the Function asks for retries." in said
    )
    assert "use[0] was never entered: it takes the value of load[0], which had failed." in said
    assert (
        "The Run failed because load[0] had failed with ValueError: no such file; what was open was cancelled." in said
    )


def test_the_last_of_several_attempts_and_a_lost_sandbox(book, words):
    book.start()
    book.graph(0.01, "flow", [(words.spec("load"), Call(0, 0, words.payload()))], words.payload(0))
    lost = words.raised("load[0]", "signal 11 (SIGSEGV)", reason=Reason.LOST, attempts=3)
    book.fail_attempt(0.1, "load[0]", 1, lost, 0.1, words.ran(1, 0.02, 0.1))
    last = words.raised("load[0]", attempt=3, attempts=3)
    book.settle(0.5, book.outcome("load[0]", words.ran(2, 0.4, 0.5), failure=last, attempt=3))
    said = texts(book, "load[0]")
    assert said[0].endswith("the next one begins at once, because a lost Sandbox is not the Function's fault.")
    assert said[1].endswith("that was the last of 3 Attempts.")


def test_a_take_over_and_a_cancel(book, words):
    book.start()
    book.epoch = 2
    book.add(5.0, CancelAsked("m1"))
    book.end(5.1, "cancelled", words.raised("flow", reason=Reason.CANCELLED))
    said = texts(book)
    assert said[1].startswith("Another engine took the Run over (epoch 2)")
    book.batch(4.0, "flow", sandbox=1, size=1)
    book.note(3.9, "", epoch=2)
    began, over, batch, asked, ended = texts(book)
    assert over.startswith("Another engine took the Run over (epoch 2)"), "told when it did, not with its first record"
    assert batch.startswith("flow went to Sandbox 1")
    said = [began, over, asked, ended]
    assert said[2] == "Somebody asked for the Run to be cancelled."
    assert said[3] == "The Run ended cancelled; what was still open was dropped."


def test_an_async_body_orders_its_calls_by_what_it_was_told(countdown):
    said = texts(countdown)
    assert (
        "decrement[2] succeeded in Sandbox 1 after 80 ms; it was entered 20 ms after decrement[1] settled, "
        "the last it needed." in said
    )


def test_many_batches_of_a_map_become_one_sentence(book, words):
    book.start()
    book.chunk(0.0, "flow", "inc[0]", 0, 0, 1_000, last=True)
    book.graph(0.01, "flow", [(words.spec("inc"), Call(0, 0, words.payload(), is_map=True))], words.payload(0))
    for lo in range(0, 1_000, 10):
        book.items(0.02, "inc[0]", lo, lo + 10, words.ran(1, 0.02, 0.03))
    said = texts(book, "inc[0]")
    assert said == [
        "inc[0] has 1,000 items; its input is complete.",
        "inc[0] settled 1,000 items, told in 100 records, with 1 s in bodies.",
    ]


def test_many_traced_batches_of_a_map_become_one_sentence(wordcount):
    for n in range(50):
        wordcount.batch(0.011 + n / 1_000, "count[0]", attempt=0, sandbox=1 + n % 3, size=4)
    assert "count[0]: from here on 200 items went in 50 Batches to 3 Sandboxes." in texts(wordcount, "count[0]")
    assert not any("one Batch:" in sentence for sentence in texts(wordcount))


def test_sync_says_that_nobody_got_the_value_before(book, words):
    book.start()
    spec = words.spec("pay", checkpoint="sync")
    book.graph(0.01, "flow", [(spec, Call(0, 0, words.payload()))], words.payload(0))
    book.settle(0.1, book.outcome("pay[0]", words.ran(1, 0.02, 0.1)))
    assert texts(book, "pay[0]")[0].endswith('Nobody got the value before this record was durable (checkpoint="sync").')


def test_an_async_body_that_ended_with_open_calls(book, words):
    book.start("watch", Kind.WATCHING)
    book.graph(0.5, "watch", [(words.spec("a"), Call(0, 0, words.payload()))], words.payload(0))
    assert "The body of watch ended with 1 call still open; it is not entered again." in texts(book)
