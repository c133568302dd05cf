"""Each line of a Run is given once: while its Attempt runs, and the rest when that is told."""

from __future__ import annotations

import random

import pytest

from weftrun.model.ids import StepId
from weftrun.views.following import Following
from weftrun.views.running import RunningView
from weftrun.views.trace import TextView

STEP = StepId("load[0]")


def running(text: str, piped: str = "", *, lives: bool = True, entered_at: float = 1.0) -> RunningView:
    return RunningView(STEP, 1, entered_at, 9.0, 2, 7, "box", lives, text, piped)


def told(text: str, step: str = STEP, attempt: int = 1) -> TextView:
    return TextView(10.0, StepId(step), attempt, text)


def test_whole_lines_come_as_they_are_printed_and_the_rest_at_the_end():
    following = Following()
    assert following.news([], []) == []
    news = [following.news([], [running(text)]) for text in ("", "a", "a\nb", "a\nb", "a\nbc\nd")]
    assert [[text.text for text in one] for one in news] == [[], [], ["a\n"], [], ["bc\n"]]
    assert [text.text for text in following.news([told("a\nbc\nd\ne")], [running("a\nbc\nd")])] == ["d\ne"]
    assert following.news([told("a\nbc\nd\ne")], [running("a\nbc\nd")]) == [], "its page may be read a moment longer"


def test_what_other_programs_print_is_given_once_too():
    following = Following()
    assert [text.text for text in following.news([], [running("own\n", "theirs\nha")])] == ["own\ntheirs\n"]
    assert [text.text for text in following.news([], [running("own\nmore\n", "theirs\nhalf\n")])] == ["more\nhalf\n"]
    assert [text.text for text in following.news([told("own\nmore\nlast\ntheirs\nhalf\nend\n")], [])] == ["last\nend\n"]


def test_what_a_dead_engine_saw_is_given_to_its_end_and_a_new_entry_anew():
    following = Following()
    following.news([], [running("a\nhalf")])
    assert [text.text for text in following.news([], [running("a\nhalf", lives=False)])] == ["half"]
    assert following.news([], [running("a\nhalf", lives=False)]) == []
    assert [text.text for text in following.news([], [running("a\n", entered_at=2.0)])] == ["a\n"]


def test_attempts_and_items_are_told_apart():
    following = Following()
    following.news([], [running("a\n")])
    news = following.news([told("a\n"), told("a\n", attempt=2), told("x\n", "map[0].1")], [])
    assert [(text.step, text.attempt) for text in news] == [("load[0]", 2), ("map[0].1", 1)]


def test_a_text_whose_middle_is_left_out_goes_on_after_what_was_given():
    lines = [f"line {n}\n" for n in range(100)]
    following = Following()
    following.news([], [running("".join(lines[:40]))])
    bounded = "".join(lines[:20]) + "\n… 77 bytes left out …\n" + "".join(lines[30:60])
    assert "".join(text.text for text in following.news([], [running(bounded)])) == "".join(lines[40:60])
    gone = "".join(lines[:20]) + "\n… 999 bytes left out …\n" + "".join(lines[90:])
    assert "".join(text.text for text in following.news([told(gone)], [])) == "".join(lines[90:])


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_or_doubled_whenever_one_looks(seed):
    chance = random.Random(seed)
    text = "".join(chance.choice(["a", "b", "\n"]) for _ in range(300))
    following, given, at = Following(), "", 0
    while at < len(text):
        at = min(len(text), at + chance.randrange(40))
        given += "".join(one.text for one in following.news([], [running(text[:at])]))
    assert text.startswith(given)
    assert given + "".join(one.text for one in following.news([told(text)], [])) == text


@pytest.mark.parametrize("seed", range(20))
def test_who_leaves_and_comes_again_is_given_the_rest(seed):
    """At any moment, also when what ran is seen running no more and its text is not told yet."""
    chance = random.Random(seed)
    text = "".join(chance.choice(["a", "b", "\n"]) for _ in range(200))
    following, given, at = Following(), "", 0
    while at < len(text):
        at = min(len(text), at + chance.randrange(40))
        given += "".join(one.text for one in following.news([], [running(text[:at])]))
        following = Following(following.place)
    assert following.news([], []) == []
    following = Following(following.place)
    assert given + "".join(one.text for one in following.news([told(text)], [])) == text
    assert Following(following.place).news([told(text)], []) == []
