"""When and where bodies ran, in the terminal and as a page; and where the time went."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest

from weftrun.model.graph import Call
from weftrun.model.ids import StepId
from weftrun.model.policy import Kind
from weftrun.views.handovers import takeovers
from weftrun.views.lanes import lanes, parts_of
from weftrun.views.page import page
from weftrun.views.picture import picture
from weftrun.views.running import RunningView
from weftrun.views.story import story
from weftrun.views.timeline import timeline
from weftrun.views.units import count_of, duration, size


def test_spans_stand_in_the_lane_of_their_sandbox(wordcount, words):
    line = timeline(wordcount.rows)
    assert [lane.sandbox for lane in line.lanes] == [1, 2]
    first = line.lanes[0].spans[0]
    assert (first.label, first.step, first.count) == ("count", "count[0].0", 6)
    failed = [span for lane in line.lanes for span in lane.spans if span.failed]
    assert [(span.step, span.attempt, span.text) for span in failed] == [("count[0].7", 1, "ValueError: no such file")]
    assert (line.status, line.began_at, line.over_at) == ("succeeded", words.T0, words.T0 + 0.261)


def test_where_the_time_went(wordcount):
    time_breakdown = timeline(wordcount.rows).time_breakdown
    assert time_breakdown.wall_s == pytest.approx(0.261)
    assert time_breakdown.body_s == pytest.approx(0.018 + 0.162 + 0.05)
    assert time_breakdown.running_s == pytest.approx(0.038 + 0.005 + 0.005 + 0.014 + 0.1 + 0.05)
    assert time_breakdown.committing_s == 0.0
    assert time_breakdown.running_s + time_breakdown.waiting_s == pytest.approx(time_breakdown.wall_s)
    assert time_breakdown.sandboxes == 2
    assert time_breakdown.busy == pytest.approx(time_breakdown.body_s / 2 / 0.261)
    assert time_breakdown.chain == ("count[0]", "merge[0]")
    assert time_breakdown.chain_s == pytest.approx(0.162 + 0.05), "what lies between its items counts for nothing"
    assert not time_breakdown.traced


def test_gated_batches_tell_how_long_the_run_stood_still_for_the_disk(wordcount):
    wordcount.batch(0.208, "merge[0]", sandbox=1, size=1, gated=1)
    line = timeline(wordcount.rows, wordcount.trace)
    (gate,) = line.gated
    assert gate[1] - gate[0] == pytest.approx(0.008)
    assert line.time_breakdown.committing_s == pytest.approx(0.008)
    assert line.time_breakdown.traced


def test_the_start_of_a_sandbox_is_no_wait_for_the_disk(wordcount):
    """Its gate had been open for long when the Batch went."""
    wordcount.batch(0.208, "merge[0]", sandbox=1, size=1, gated=1, gated_s=0.001)
    line = timeline(wordcount.rows, wordcount.trace)
    assert line.time_breakdown.committing_s == pytest.approx(0.001)


def test_the_longest_chain_goes_through_bodies_and_what_they_were_told(book, words, countdown):
    assert timeline(countdown.rows).time_breakdown.chain == ("decrement[0]", "decrement[1]", "decrement[2]")
    book.rows.clear()
    book.ordinal = 0
    book.start()
    child = words.spec("child", Kind.WIRING)
    calls = [
        (words.spec("load"), Call(0, 0, words.payload())),
        (child, Call(1, 0, words.payload(0))),
        (words.spec("use"), Call(2, 0, words.payload(1))),
        (words.spec("aside"), Call(3, 0, words.payload())),
    ]
    book.graph(0.0, "flow", calls, words.payload(2))
    book.settle(0.1, book.outcome("load[0]", words.ran(1, 0.0, 0.1)))
    book.graph(0.11, "child[0]", [(words.spec("a"), Call(0, 0, words.payload()))], words.payload(0))
    book.settle(0.3, book.outcome("child[0]/a[0]", words.ran(1, 0.2, 0.3)), book.outcome("child[0]"))
    book.settle(0.35, book.outcome("aside[0]", words.ran(2, 0.1, 0.35)))
    book.settle(0.4, book.outcome("use[0]", words.ran(1, 0.3, 0.4)))
    book.end(0.4)
    time_breakdown = timeline(book.rows).time_breakdown
    assert time_breakdown.chain == ("load[0]", "child[0]/a[0]", "use[0]")
    assert time_breakdown.chain_s == pytest.approx(0.3)


def test_no_moment_counts_twice_in_a_chain_that_a_second_engine_ran_again(book, words):
    """`c(b(a()))`: `a` was in no record when its engine died, and `b` had failed once; an hour later both run again."""
    book.start()
    calls = [(words.spec(name), Call(n, 0, words.payload(*range(n)[-1:]))) for n, name in enumerate("abc")]
    book.graph(0.0, "flow", calls, words.payload(2))
    book.fail_attempt(2.0, "b[0]", 1, words.raised("b[0]", attempts=3), 3.0, words.ran(1, 1.0, 2.0))
    book.epoch = 2
    book.settle(3_601.0, book.outcome("a[0]", words.ran(1, 3_600.0, 3_601.0)))
    book.fail_attempt(3_601.9, "b[0]", 2, words.raised("b[0]", attempts=3), 3_602.0, words.ran(2, 3_600.5, 3_601.9))
    book.settle(3_603.0, book.outcome("b[0]", words.ran(1, 3_602.0, 3_603.0), attempt=3))
    book.settle(3_604.0, book.outcome("c[0]", words.ran(1, 3_603.0, 3_604.0)))
    book.end(3_604.0)
    time_breakdown = timeline(book.rows).time_breakdown
    assert time_breakdown.chain == ("a[0]", "b[0]", "c[0]")
    assert time_breakdown.chain_s == pytest.approx(1.0 + 1.9 + 2.0), "an hour without an engine is no time in bodies"
    assert time_breakdown.chain_s <= time_breakdown.running_s <= time_breakdown.wall_s


def test_a_clock_that_was_set_back_makes_no_negative_time(book, words):
    book.start()
    book.graph(0.0, "flow", [(words.spec("a"), Call(0, 0, words.payload()))], words.payload(0))
    book.settle(-9.0, book.outcome("a[0]", words.ran(1, -10.0, -9.0)))
    book.end(-9.0)
    time_breakdown = timeline(book.rows).time_breakdown
    assert (time_breakdown.wall_s, time_breakdown.running_s, time_breakdown.chain_s) == (0.0, 0.0, 0.0)


def test_a_run_of_one_function(book, words):
    book.start("add", Kind.FUNCTION)
    book.end(0.1, ran=words.ran(1, 0.02, 0.1))
    time_breakdown = timeline(book.rows).time_breakdown
    assert (time_breakdown.chain, time_breakdown.sandboxes) == (("add",), 1)
    assert time_breakdown.chain_s == pytest.approx(0.08)


def test_terminal_lanes_fit_and_mark_failures(wordcount):
    shown = lanes(timeline(wordcount.rows), width=80)
    assert shown[0].startswith("Sandbox 1 │")
    assert all(len(line) <= 80 for line in shown[:3])
    assert "!" in shown[1]
    assert "!" not in shown[0]
    assert "█" in shown[0]
    assert shown[2].endswith("261 ms")
    assert "on 2 Sandboxes, busy" in shown[-2]
    assert shown[-1] == "Longest chain 212 ms: count[0] → merge[0]."


def test_engines_that_came_and_went_are_marked(book, words):
    book.start()
    book.batch(0.5, "flow", sandbox=1, size=1, engine="engine 7 on box")
    book.epoch = 2
    book.note(5.0, "", epoch=2, waited=0, engine="engine 8 on box")
    book.note(6.0, "", left="engine 8 on box")
    book.note(7.0, "", epoch=3, waited=0, engine="engine 9 on box")
    book.note(8.0, "", epoch=4, waited=1, engine="engine 9 on box")
    book.epoch = 4
    book.end(10.0)
    line = timeline(book.rows, book.trace)
    assert [(mark.kind, mark.at - words.T0) for mark in line.marks] == [
        ("engine", 0.0),
        ("crash", 0.5),
        ("takeover", 5.0),
        ("engine", 7.0),
        ("woken", 8.0),
    ]
    assert line.marks[0].text == "engine 7 on box began the Run"
    assert line.marks[2].text == "engine 8 on box took the Run over (epoch 2)"
    assert takeovers(4, book.trace) == 1, "of three that came later one took it from an engine that was gone"
    shown = lanes(line, 60)
    (engines,) = [row for row in shown if row.startswith("engines")]
    assert re.fullmatch(r"engines +│ *× +↻ +\| +\|", engines)
    assert any("↻ another one took the Run over" in row for row in shown)
    assert all(len(row) <= 60 for row in shown[:4])
    inside = page(line).split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert [mark[1] for mark in json.loads(inside)["marks"]] == ["engine", "crash", "takeover", "engine", "woken"]
    drawn = [one.text for one in ET.fromstring(picture(line)).iter()]
    assert [text for text in drawn if text in ("✕ crash", "↪ taken over", "↪ woken")] == drawn[-5::2]
    said = [told.text for told in story(book.rows, book.trace)]
    assert any(text.startswith("The engine before had been closed and had put the Run back") for text in said)


def test_what_runs_is_a_span_that_is_open(wordcount, words):
    wordcount.rows = wordcount.rows[:6]
    running = RunningView(StepId("count[0].8"), 1, words.T0 + 0.1, words.T0 + 5.1, 2, 7, "box", True, "a\nb\n")
    line = timeline(wordcount.rows, running=[running])
    (span,) = [span for lane in line.lanes for span in lane.spans if span.is_running]
    assert (span.label, span.step, span.text, line.over_at) == ("count", "count[0].8", "b", words.T0 + 5.1)
    assert line.time_breakdown.running_s == pytest.approx(0.038 + 5.0)
    shown = lanes(line, 80)
    assert any(row.endswith(">") for row in shown)
    assert any("> ran still when it was seen last" in row for row in shown)
    assert ("busy" in dict(map(reversed, parts_of(shown[1])))) is True


def test_the_legend_names_only_what_is_there(wordcount):
    shown = lanes(timeline(wordcount.rows), 80)
    assert "░▒▓█ bodies of Functions, darker where busier; ! a failed Attempt" in shown
    assert not any("ran still" in row or "disk:" in row for row in shown)


def test_a_run_that_has_done_nothing_yet(book):
    book.start()
    shown = lanes(timeline(book.rows))
    assert shown[-1].startswith("0 µs in all")


@pytest.mark.sweep
def test_a_million_items_make_a_small_page(book, words):
    book.start()
    book.chunk(0.0, "flow", "inc[0]", 0, 0, 1_000_000, last=True)
    book.graph(0.01, "flow", [(words.spec("inc"), Call(0, 0, words.payload(), is_map=True))], words.payload(0))
    for n, lo in enumerate(range(0, 1_000_000, 20)):
        at = 1 + n / 20_000
        book.items(at, "inc[0]", lo, lo + 20, words.ran(1 + n % 4, at - 0.0001, at))
    book.end(4.0)
    line = timeline(book.rows)
    text = page(line)
    assert sum(span.count for lane in line.lanes for span in lane.spans) == 1_000_000
    assert len(text) < 2_000_000


def test_the_page_needs_nothing_else_and_runs_nothing_of_the_author(wordcount):
    wordcount.rows = wordcount.rows[:-1]
    wordcount.settle(0.27, wordcount.outcome("merge[0]", wordcount.rows[-1].records[0].outcomes[0].ran))
    text = page(timeline(wordcount.rows))
    assert not re.search(r"(?:src|href)\s*=", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "{{" not in text


def test_texts_of_the_author_stay_text(book, words):
    book.start("add", Kind.FUNCTION, id="</script><b>{{data}}")
    book.end(0.1, ran=words.ran(1, 0.02, 0.1, "</script><script>alert(1)</script>"))
    text = page(timeline(book.rows))
    assert "<script>alert" not in text
    assert "&lt;/script&gt;&lt;b&gt;{{data}}" in text
    inside = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    (lane,) = json.loads(inside)["lanes"]
    drawn = ET.fromstring(picture(timeline(book.rows)))
    assert drawn.get("aria-label", "").startswith("</script><b>{{data}}: ")
    assert any((one.text or "").endswith(", </script><script>alert(1)</script>") for one in drawn.iter())
    assert lane["spans"][0][8] == "</script><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.00018, "180 µs"),
        (0.0042, "4.2 ms"),
        (0.9999, "1 s"),
        (3.14, "3.14 s"),
        (59.97, "1 min 00 s"),
        (125, "2 min 05 s"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_sizes_and_counts():
    assert [size(812), size(65_536), size(1_288_490_189), size(3 << 40)] == ["812 B", "64.0 KiB", "1.2 GiB", "3.0 TiB"]
    assert [count_of(1, "item"), count_of(1_000, "item"), count_of(3, "Batch"), count_of(2, "Sandbox")] == [
        "1 item",
        "1,000 items",
        "3 Batches",
        "2 Sandboxes",
    ]
