"""Successes without a record (C3): how they show where the trace tells of them, and where only the records do."""

from __future__ import annotations

import pytest

from weftrun.model.graph import Call
from weftrun.model.ids import RunUid, StepId
from weftrun.model.policy import Kind
from weftrun.ports.trace import TraceRow
from weftrun.views.graph import graph
from weftrun.views.progress import by_status
from weftrun.views.steps import steps
from weftrun.views.story import story
from weftrun.views.timeline import timeline

WHY = "it is deterministic, and made again about as fast as it would be written"


@pytest.fixture
def light(book, words):
    """`join(grow(load()), grow.map(...))`: `grow` has no records."""
    grow = words.spec("grow", effects="none", deterministic=True)
    book.start()
    book.chunk(0.001, "flow", "grow[1]", 2, 0, 3, last=True)
    calls = [
        (words.spec("load"), Call(0, 0, words.payload())),
        (grow, Call(1, 0, words.payload(0))),
        (grow, Call(1, 1, words.payload(), is_map=True)),
        (words.spec("join"), Call(2, 0, words.payload(1, 2))),
    ]
    book.graph(0.01, "flow", calls, words.payload(3))
    book.settle(0.03, book.outcome("load[0]", words.ran(1, 0.011, 0.03, "10")))
    return book


def leave_out(book, words, step, entered, left, *, items=0, nbytes=1_000_000):
    facts = {"sandbox": 2, "entered": words.T0 + entered, "left": words.T0 + left, "bytes": nbytes, "items": items}
    row = TraceRow(
        RunUid("u" * 32), "unrecorded", words.T0 + left, StepId(step), 1, WHY, {**facts, "preview": "[1, …]"}
    )
    book.trace.append(row)


def by_id(book):
    return {view.id: view for view in steps(book.rows, book.trace)}


def test_the_trace_tells_of_them(light, words):
    assert by_id(light)["grow[0]"].status == "pending"
    leave_out(light, words, "grow[0]", 0.031, 0.05)
    seen = by_id(light)["grow[0]"]
    assert (seen.status, seen.unrecorded, seen.attempts) == ("succeeded", "deterministic", 1)
    assert seen.entered_at == pytest.approx(words.T0 + 0.031)
    assert seen.settled_at == pytest.approx(words.T0 + 0.05)
    assert seen.waited_s == pytest.approx(0.001)
    assert seen.preview == "[1, …]"
    assert by_status(steps(light.rows, light.trace)) == {"succeeded": 2, "pending": 4}


def test_items_of_a_map_add_up(light, words):
    leave_out(light, words, "grow[1]", 0.012, 0.02, items=2)
    assert by_id(light)["grow[1]"].status != "succeeded"
    leave_out(light, words, "grow[1]", 0.02, 0.025, items=1)
    seen = by_id(light)["grow[1]"]
    assert (seen.status, seen.items_done, seen.unrecorded) == ("succeeded", 3, "deterministic")


def test_a_crash_takes_back_what_only_the_trace_tells(light, words):
    leave_out(light, words, "grow[0]", 0.031, 0.05)
    light.note(0.06, "", epoch=2)
    assert by_id(light)["grow[0]"].status == "pending"
    leave_out(light, words, "grow[0]", 0.07, 0.08)
    assert by_id(light)["grow[0]"].status == "succeeded"


def test_a_reader_that_began_tells_of_what_it_took(light, words):
    light.fail_attempt(0.1, "join[0]", 1, words.raised("join[0]", attempts=2), 0.2, words.ran(1, 0.06, 0.1))
    seen = by_id(light)
    assert (seen["grow[0]"].status, seen["grow[0]"].unrecorded) == ("succeeded", "deterministic")
    assert (seen["grow[1]"].status, seen["grow[1]"].items_done) == ("succeeded", 3)
    assert seen["join[0]"].status == "pending"


def test_a_reader_that_never_began_tells_nothing(light, words):
    failure = words.raised("grow[0]")
    light.settle(0.1, light.outcome("join[0]", failure=failure, cause="argument"))
    assert by_id(light)["grow[0]"].status == "pending"


def test_a_run_that_succeeded_tells_of_all(light):
    light.end(0.2)
    seen = by_id(light)
    assert (seen["grow[0]"].status, seen["grow[1]"].status) == ("succeeded", "succeeded")
    assert seen["join[0]"].status == "cancelled", "its policy has it recorded: rows like these come from no engine"
    assert seen["grow[0]"].entered_at is None


def test_a_run_that_failed_does_not(light, words):
    light.end(0.2, "failed", words.raised("load[0]"))
    assert by_id(light)["grow[0]"].status == "cancelled"
    assert by_id(light)["grow[0]"].unrecorded == ""


def test_inside_a_child_that_succeeded(book, words):
    book.start()
    book.graph(0.01, "flow", [(words.spec("flow", Kind.WIRING), Call(0, 0, words.payload()))], words.payload(0))
    loose = words.spec("loose", effects="none", checkpoint="none")
    book.graph(0.02, "flow[0]", [(loose, Call(0, 0, words.payload()))], words.payload())
    assert by_id(book)["flow[0]/loose[0]"].status == "pending"
    book.settle(0.03, book.outcome("flow[0]"))
    seen = by_id(book)["flow[0]/loose[0]"]
    assert (seen.status, seen.unrecorded) == ("succeeded", 'checkpoint="none"')


def test_a_record_that_came_after_all_counts_alone(light, words):
    leave_out(light, words, "grow[0]", 0.031, 0.05)
    light.settle(0.06, light.outcome("grow[0]", words.ran(2, 0.031, 0.05, "[1, …]")))
    seen = by_id(light)["grow[0]"]
    assert (seen.status, seen.unrecorded) == ("succeeded", "")
    spans = [span for lane in timeline(light.rows, light.trace).lanes for span in lane.spans if span.step == "grow[0]"]
    assert len(spans) == 1
    assert not any("not recorded" in told.text for told in story(light.rows, light.trace))


def test_they_stand_in_timeline_chain_and_graph(light, words):
    leave_out(light, words, "grow[0]", 0.031, 0.05)
    leave_out(light, words, "grow[1]", 0.012, 0.02, items=3)
    light.settle(0.1, light.outcome("join[0]", words.ran(1, 0.06, 0.1)))
    light.end(0.11)
    line = timeline(light.rows, light.trace)
    assert [span.step for lane in line.lanes for span in lane.spans if lane.sandbox == 2] == ["grow[1]", "grow[0]"]
    assert "not recorded" in line.lanes[1].spans[1].text
    assert line.time_breakdown.chain == ("load[0]", "grow[0]", "join[0]")
    assert 'grow[0]"]:::succeeded' in graph(light.rows, light.trace)


def test_the_story_says_why_and_how_much(light, words):
    leave_out(light, words, "grow[0]", 0.031, 0.05)
    leave_out(light, words, "grow[1]", 0.012, 0.02, items=3, nbytes=3_000_000)
    light.settle(0.1, light.outcome("join[0]", words.ran(1, 0.06, 0.1)))
    light.end(0.11)
    told = [sentence.text for sentence in story(light.rows, light.trace)]
    assert f"grow[0] succeeded in Sandbox 2 after 19 ms, not recorded: {WHY} (976.6 KiB not written)." in told
    assert f"3 items of grow[1] succeeded in Sandbox 2 after 8 ms, not recorded: {WHY} (2.9 MiB not written)." in told
    assert f'checkpoint="auto" of grow: 2 values (3.8 MiB) were not written, because {WHY}.' in told
    written = 'checkpoint="auto" of load: 1 value (1 B) was written asynchronously, because another Attempt could give'
    assert any(text.startswith(written) for text in told)


def test_a_map_that_an_async_body_did_not_wait_for(book, words):
    """No graph holds it, and of its items one has a record."""
    book.start(kind=Kind.WATCHING)
    book.chunk(0.01, "child[0]", "child[0]/grow[0]", 0, 0, 2, last=True)
    book.items(0.05, "child[0]/grow[0]", 0, 1, words.ran(1, 0.01, 0.05), call=words.observed("child[0]", 0, "grow"))
    leave_out(book, words, "child[0]/grow[0]", 0.01, 0.02, items=1)
    told = by_id(book)["child[0]/grow[0]"]
    assert (told.status, told.items_done) == ("succeeded", 2)
    assert told.settled_at == pytest.approx(words.T0 + 0.05), "the last item is the recorded one"

    book.trace.clear()
    assert by_id(book)["child[0]/grow[0]"].status == "running"
    child = book.outcome("child[0]", call=words.observed("flow", 0, "child"))
    book.settle(0.06, child)
    told = by_id(book)["child[0]/grow[0]"]
    assert (told.status, told.items_done) == ("succeeded", 2)
