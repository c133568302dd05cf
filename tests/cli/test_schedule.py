"""`weftrun schedule`."""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture
def created(cli, words):
    said = cli("schedule", "create", "nightly", words("count"), "line=to be", "--cron", "0 3 * * mon-fri")
    assert said.code == 0, said.err
    return said


@pytest.fixture
def words(tmp_path):
    (tmp_path / "words_of_a_line.py").write_text(
        "from weftrun import function\n\n\n@function\ndef count(line: str) -> int:\n    return len(line.split())\n"
    )
    return lambda name: f"words_of_a_line.py:{name}"


def test_create_list_and_get(cli, created):
    assert created.out.startswith("The schedule nightly starts words_of_a_line:count: ")
    (told,) = json.loads(cli("schedule", "list", "--json").out)
    assert (told["id"], told["cron"], told["status"], told["timezone"]) == (
        "nightly",
        "0 3 * * mon-fri",
        "active",
        "UTC",
    )
    assert len(told["next"]) == 1
    assert told["next"][0] % 86_400 == 3 * 3600
    lines = cli("schedule", "list").out.splitlines()
    assert lines[1].startswith("nightly\t0 3 * * mon-fri\tactive\t")
    shown = cli("schedule", "get", "nightly", "--next", "4").out.splitlines()
    assert shown[0] == "The schedule nightly starts words_of_a_line:count, 0 3 * * mon-fri: active."
    assert len(shown) == 5


def test_pause_resume_delete(cli, created):
    assert cli("schedule", "pause", "nightly").out.startswith("The schedule nightly is paused")
    (told,) = json.loads(cli("schedule", "list", "--json").out)
    assert (told["status"], told["next"]) == ("paused", [])
    assert json.loads(cli("schedule", "resume", "nightly", "--json").out) == {"id": "nightly", "done": "resume"}
    said = cli("schedule", "trigger", "nightly")
    assert said.code == 0
    assert re.fullmatch(r"The schedule nightly starts the Run nightly@\S+\.\d{6}Z as soon as .*\n", said.out)
    told = json.loads(cli("schedule", "trigger", "nightly", "--json").out)
    assert told["run"].startswith("nightly@") and told["run"] not in said.out
    left = json.loads(cli("schedule", "delete", "nightly", "--json").out)["left_out"]
    assert (len(left), left[1]) == (2, told["run"])
    assert json.loads(cli("schedule", "list", "--json").out) == []


def test_what_a_deleted_schedule_starts_no_more_is_told(cli, created):
    run = json.loads(cli("schedule", "trigger", "nightly", "--json").out)["run"]
    assert cli("schedule", "delete", "nightly").out.splitlines()[1] == (
        f"No engine had started {run}: nothing does now."
    )


@pytest.mark.parametrize("name", ["get", "pause", "resume", "trigger", "delete"])
def test_one_that_is_not_there(cli, created, name):
    said = cli("schedule", name, "weekly")
    assert (said.code, said.err) == (
        3,
        "weftrun: No schedule has the id 'weekly'; `weftrun schedule list` shows those there are.\n",
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cron", "0 25 * * *"), "hour '25' can't be"),
        (("--cron", "0 3 * * *", "--every", "5m"), "one of --cron and --every"),
        ((), "one of --cron and --every"),
        (("--every", "soon"), "--every 'soon' is no length of time"),
        (("--every", "0"), "give one of the two"),
        (("--cron", "0 3 * * *", "--timezone", "Mars"), "no time zone 'Mars'"),
        (("--every", "5m", "--jitter", "-1"), "jitter_s=-1.0"),
    ],
)
def test_what_means_nothing_is_told(cli, words, options, says):
    said = cli("schedule", "create", "a", words("count"), "line=a", *options)
    assert said.code == 2
    assert says in said.err


def test_arguments_and_ids_are_checked_at_once(cli, words):
    assert cli("schedule", "create", "no spaces", words("count"), "--every", "1d").code == 2
    said = cli("schedule", "create", "a", words("count"), "lime=a", "--every", "1d")
    assert said.code == 2
    assert "lime" in said.err
    assert cli("schedule", "create", "a", "nowhere.py", "--every", "1d").code == 2


def test_created_paused(cli, words):
    said = cli("schedule", "create", "a", words("count"), "line=a", "--every", "15m", "--paused", "--json")
    assert (json.loads(said.out)["status"], json.loads(said.out)["every_s"]) == ("paused", 900)
