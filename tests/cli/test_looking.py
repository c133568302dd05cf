"""Commands that look at a Run: they show previews and never decode a value."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import apsw
import pytest

PAGE = (Path(__file__).parents[2] / "docs/concepts/cli.md").read_text(encoding="utf-8")
FIELDS = {
    name: re.findall(r'"(\w+)"', told)
    for name, told in re.findall(r"^\| `(\w+)[^|]*\|[^|]*\|[^{|]*`(\{[^}]*\})`", PAGE, re.MULTILINE)
}


@pytest.fixture
def books(cli, words, kept):
    """A Run that has succeeded."""

    def run() -> None:
        assert cli("run", words("wordcount"), "texts=hello", "texts=world", "--id", "books").code == 0

    kept("books", run)


@pytest.fixture
def broken(cli, words, kept):
    """A Run that has failed."""

    def run() -> None:
        assert cli("run", words("broken"), "text=no luck", "--id", "broken").code == 1

    kept("broken", run)


def test_list(cli, books, broken):
    assert [line.split("\t")[:3] for line in cli("list").out.splitlines()] == [
        ["id", "status", "function"],
        ["broken", "failed", "words:broken"],
        ["books", "succeeded", "words:wordcount"],
    ]
    only = json.loads(cli("list", "--status", "failed", "--json").out)
    assert [info["id"] for info in only] == ["broken"]
    assert only[0]["file"].endswith("/words.py")
    assert len(json.loads(cli("list", "--limit", "1", "--json").out)) == 1
    assert cli("list", "--status", "odd").code == 2


@pytest.mark.parametrize("command", ["list", "get", "steps", "logs", "story", "graph", "timeline", "doctor"])
def test_the_page_names_what_scripts_may_read(cli, books, command):
    named = () if command in ("list", "doctor") else ("books",)
    told = json.loads(cli(command, *named, "--json").out)
    for one in told if isinstance(told, list) else [told]:
        assert list(one) == FIELDS[command]


def test_get(cli, books, broken):
    shown = cli("get", "books").out
    assert "Run books of words:wordcount: succeeded" in shown
    assert 'answer, from merge[0]: [["l", 3], ["o", 2], ["h", 1]]' in shown
    assert "  2 Steps succeeded; 2 items succeeded\n" in shown, "as in the last line of `run`"
    got = json.loads(cli("get", "broken", "--json").out)
    assert (got["status"], got["error"]) == ("failed", "ValueError: no luck")
    assert got["steps"] == {"failed": 1, "cancelled": 1}
    assert "words.py" in cli("get", "broken").out


def test_steps(cli, books):
    views = {view["id"]: view for view in json.loads(cli("steps", "books", "--json").out)}
    assert list(views) == ["wordcount", "count[0]", "merge[0]"]
    assert (views["count[0]"]["items"], views["count[0]"]["items_done"]) == (2, 2)
    table = cli("steps", "books", "count[0]").out.splitlines()
    assert len(table) == 2
    assert table[1].split("\t")[:4] == ["count[0]", "succeeded", "1", "2/2"]
    limited = cli("steps", "books", "--limit", "1")
    assert "2 more" in limited.err
    assert [view["preview"] for view in views.values()][1].startswith('[{"h": 1, "e": 1')


@pytest.mark.parametrize("command", ["steps", "logs", "story"])
def test_a_step_that_is_not_there(cli, books, command):
    said = cli(command, "books", "nope[0]")
    assert (said.code, said.out) == (2, "")
    assert "Run books has no Step 'nope[0]'; `weftrun steps books` shows its Steps." in said.err
    if command == "logs":
        return
    item = cli(command, "books", "count[0].1")
    assert (item.code, item.out) == (2, "")
    assert "count[0].1 is an item of a map; what is known of items is told with the map, count[0]." in item.err


def test_logs(cli, books):
    assert "counting hello" in cli("logs", "books").out
    told = json.loads(cli("logs", "books", "count[0]", "--json").out)
    lines = "".join(text["text"] for text in told).splitlines()
    assert sorted(lines) == ["counting hello", "counting world"], "items run beside each other"
    assert cli("logs", "books", "merge[0]").out == ""


def test_logs_of_a_map_name_the_item(cli, books):
    told = json.loads(cli("logs", "books", "--json").out)
    assert [(text["step"], text["text"]) for text in sorted(told, key=lambda text: text["step"])] == [
        ("count[0].0", "counting hello\n"),
        ("count[0].1", "counting world\n"),
    ]
    assert "── count[0].1, " in cli("logs", "books", "count[0].1").out
    beyond = cli("logs", "books", "count[0].2")
    assert (beyond.code, beyond.out) == (2, "")
    assert "Run books has no Step 'count[0].2'" in beyond.err


def test_following_a_run_that_has_ended(cli, books, broken):
    said = cli("logs", "books", "--follow")
    assert sorted(said.out.splitlines()) == ["count[0].0 │ counting hello", "count[0].1 │ counting world"]
    assert (said.code, said.err) == (0, "Run books has succeeded.\n")
    failed = cli("logs", "broken", "-f", "--json")
    assert (failed.code, failed.out, failed.err) == (1, "", "Run broken has failed.\n")
    assert cli("logs", "nope", "-f").code == 3


def test_steps_come_in_the_order_of_the_graph(cli, words):
    assert cli("run", words("nested"), "--id", "nested").code == 0
    ids = [view["id"] for view in json.loads(cli("steps", "nested", "--json").out)]
    assert ids == ["nested", "inner[0]", "inner[0]/raw[0]", "inner[0]/late[0]", "late[0]", "raw[0]"]


def test_what_is_empty_says_so(cli, books, journal):
    outbox = cli("outbox")
    assert (outbox.code, outbox.out.count("\n")) == (0, 1)
    assert "Nothing waits in the outbox" in outbox.err
    assert json.loads(cli("outbox", "--json").out) == []
    assert cli("list", "--status", "failed").err == f"No Run in the Journal sqlite:///{journal} is failed.\n"
    cli("delete", "books", "--forget")
    assert cli("list").err == f"No Run is in the Journal sqlite:///{journal}.\n"
    assert json.loads(cli("list", "--json").out) == []


def test_story(cli, books):
    told = cli("story", "books").out.splitlines()
    assert told[0].lstrip().startswith("+0.000000 s  Run books of words:wordcount was started")
    assert any(line.endswith("its answer and every Step it created have settled.") for line in told)
    assert 'checkpoint="auto" of merge: 1 value (' in told[-1]
    one = json.loads(cli("story", "books", "merge[0]", "--json").out)
    assert {sentence["step"] for sentence in one} == {"merge[0]"}


def test_graph(cli, books):
    text = cli("graph", "books").out
    assert text.startswith("flowchart TD\n")
    assert 's1["count[0] × 2"]:::succeeded' in text
    assert json.loads(cli("graph", "books", "--json").out)["mermaid"] == text


def test_timeline(cli, books, tmp_path):
    assert "│" in cli("timeline", "books").out
    said = cli("timeline", "books", "--html", "line.html")
    assert (said.code, said.out) == (0, "")
    assert "<!doctype html>" in (tmp_path / "line.html").read_text()
    assert (cli("timeline", "books", "--svg", "line.svg").out, cli("timeline", "books", "--svg", ".").code) == ("", 2)
    assert cli("timeline", "books", "--png", "line.png").out == ""
    assert (tmp_path / "line.png").read_bytes().startswith(b"\x89PNG")
    drawn = ET.fromstring((tmp_path / "line.svg").read_text())
    assert drawn.get("aria-label", "").startswith("books: ")
    assert json.loads(cli("timeline", "books", "--json").out)["time_breakdown"]["sandboxes"] >= 1
    assert cli("timeline", "books", "--html", "nowhere/line.html").code == 2


@pytest.mark.parametrize(
    "command", ["get", "steps", "logs", "story", "graph", "timeline", "cancel", "resume", "delete"]
)
def test_what_is_not_there(cli, books, command, journal):
    odd = cli(command, "caf\udce9\x1b[2J")
    assert (odd.code, odd.out) == (3, "")
    assert "No Run has the id" in odd.err
    assert "\x1b" not in odd.err
    said = cli(command, "nope")
    assert (said.code, said.out) == (3, "")
    assert f"No Run has the id 'nope' in the Journal sqlite:///{journal};" in said.err
    nowhere = cli(command, "nope", "--db", f"sqlite:///{journal}.other")
    assert nowhere.code == 4
    assert "There is no Journal at" in nowhere.err


def test_cancel_of_a_run_that_has_ended(cli, books):
    said = cli("cancel", "books")
    assert (said.code, said.out) == (0, "Run books has ended already: succeeded.\n")


def test_delete_leaves_the_id_taken_and_forget_frees_it(cli, words, books):
    assert cli("delete", "books").code == 0
    said = cli("get", "books")
    assert said.code == 3
    assert "was deleted" in said.err
    assert cli("run", words("wordcount"), "texts=hello", "--id", "books").code == 5
    assert json.loads(cli("delete", "books", "--forget", "--json").out)["forgotten"] is True
    assert cli("run", words("wordcount"), "texts=a", "--id", "books").code == 0
    assert cli("list").out.count("books") == 1


def test_resume_of_an_ended_run_gives_its_answer_again(cli, books):
    said = cli("resume", "books")
    assert (said.code, json.loads(said.out)[0]) == (0, ["l", 3])
    assert said.err.splitlines()[0] == "books"


def test_nothing_is_decoded(cli, words, tmp_path):
    mark = tmp_path / "mark"
    assert cli("run", words("loud"), f"mark={mark}", "--id", "loud").code == 0
    assert mark.read_text() == "decoded"
    mark.unlink()
    for command in ("get", "steps", "logs", "story", "graph", "timeline"):
        assert cli(command, "loud").code == 0
        assert cli(command, "loud", "--json").code == 0
    assert "<loud>" in cli("get", "loud").out
    cli("list")
    assert not mark.exists()


def test_nobody_writes_to_the_terminal_through_a_preview(cli, words):
    cli("run", words("fail"), "text=\x1b[2Jgone", "--id", "odd")
    for command in ("get", "steps", "story"):
        assert "\x1b" not in cli(command, "odd").out


@pytest.mark.parametrize(
    ("content", "state", "told"),
    [
        (None, "ok", "none yet at"),
        (b"", "ok", "none yet at"),
        (b"junk" * 99, "fail", "no SQLite database"),
    ],
)
def test_the_doctor_of_what_is_no_journal_yet(cli, tmp_path, content, state, told):
    path = tmp_path / "other.db"
    if content is not None:
        path.write_bytes(content)
    said = cli("doctor", "--db", f"sqlite:///{path}", "--json")
    (check,) = [check for check in json.loads(said.out) if check["name"] == "Journal"]
    assert check["state"] == state
    assert told in check["value"] + check["meaning"]
    assert path.exists() is (content is not None)


def test_a_journal_of_a_newer_schema_is_refused_in_words(cli, books, journal):
    connection = apsw.Connection(str(journal))
    connection.pragma("user_version", 99)
    connection.close()
    for command in (["list"], ["get", "books"], ["logs", "books", "-f"], ["timeline", "books"], ["outbox"]):
        said = cli(*command)
        assert (said.code, said.out) == (4, "")
        assert "was written by a newer weftrun (format 99" in said.err
    assert cli("doctor").code == 1
