"""`weftrun queue`, and how a Run that waits in a queue is shown."""

from __future__ import annotations

import json

import pytest
from tests.queues.work import work

from weftrun.assembly import open_engine


@pytest.fixture
def waiting(cli, monkeypatch):
    """A paused queue with a Run that waits and one that is delayed."""
    assert cli("queue", "set", "emails", "--concurrency", "2", "--rate", "50/1s", "--length", "9", "--create").code == 0
    assert cli("queue", "pause", "emails").code == 0
    with open_engine(None, sandboxes=1, recover="none") as engine:
        engine.start(work.options(queue="emails", key="ann", priority=1, id="first"), "ledger", "first")
        engine.start(work.options(queue="emails", delay_s=1_000, id="later"), "ledger", "later")


def test_list_show_and_set(cli, waiting):
    (told,) = json.loads(cli("queue", "list", "--json").out)
    assert told == {
        "name": "emails",
        "status": "paused",
        "waiting": 1,
        "delayed": 1,
        "under_way": 0,
        "concurrency": 2,
        "per_key": None,
        "rate": {"starts": 50, "per_s": 1.0},
        "length_max": 9,
    }
    assert cli("queue", "list").out.splitlines()[1].startswith("emails\tpaused\t1\t1\t0\t2\t")
    shown = cli("queue", "show", "emails").out.splitlines()
    assert shown[0] == "The queue emails is paused: 1 waiting, 1 delayed, 0 under way."
    assert "  rate: 50 in 1 s" in shown
    told = json.loads(cli("queue", "set", "emails", "--concurrency", "none", "--per-key", "1", "--json").out)
    assert (told["concurrency"], told["per_key"], told["length_max"]) == (None, 1, 9)
    assert json.loads(cli("queue", "resume", "emails", "--json").out)["status"] == "active"


def test_a_run_that_waits_is_shown(cli, waiting):
    """In list, get and story, with its queue; `pending` is how it stands."""
    listed = json.loads(cli("list", "--status", "pending", "--json").out)
    assert [(run["id"], run["status"], run["queue"], run["waiting_for"]) for run in listed] == [
        ("later", "pending", "emails", "queue emails"),
        ("first", "pending", "emails", "queue emails"),
    ]
    assert json.loads(cli("list", "--status", "running", "--json").out) == []
    shown = cli("get", "first").out
    assert "Run first of tests.queues.work:work: pending" in shown
    assert "no engine has it yet: it waits in the queue emails" in shown
    assert json.loads(cli("get", "first", "--json").out)["queue"] == "emails"
    story = cli("story", "first").out
    assert "It was put into the queue emails, for the key ann, with priority 1." in story
    assert "to begin in 16 min 40 s at the earliest." in cli("story", "later").out


def test_purge_and_delete(cli, waiting):
    refused = cli("queue", "delete", "emails")
    assert (refused.code, "Runs wait in the queue emails" in refused.err) == (2, True)
    purged = json.loads(cli("queue", "purge", "emails", "--json").out)
    assert purged == {"name": "emails", "cancelled": 2}
    assert cli("queue", "purge", "emails").out == "0 Runs of the queue emails are being cancelled.\n"
    assert cli("queue", "delete", "emails").out == "The queue emails was deleted.\n"
    assert json.loads(cli("queue", "list", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (("show", "none"), "No queue has the name 'none'", 3),
        (("show", "emial"), "Did you mean emails?", 3),
        (
            ("set", "emial", "--concurrency", "1"),
            "Did you mean emails? To make a new queue of this name, add --create.",
            3,
        ),
        (("set", "emails"), "Say what to set", 2),
        (("pause", "none"), "No queue has the name 'none'", 3),
        (("purge", "none", "--yes"), "No queue has the name 'none'", 3),
        (("set", "no spaces"), "can't be the name of a queue", 2),
        (("set", "a", "--concurrency", "0"), "--concurrency '0' is no limit", 2),
        (("set", "a", "--rate", "fast"), "--rate 'fast' is no rate", 2),
        (("set", "a", "--rate", "0/1s"), "is no rate", 2),
        (("set", "a", "--rate", "50/0s"), "--rate '50/0s' is no rate: give 50/1s", 2),
        (("set", "a", "--concurrency", "99999999999"), "from 1 to 2,147,483,647, or none", 2),
    ],
)
def test_bad_input(cli, arguments, says, code):
    assert cli("queue", "set", "emails", "--create").code == 0
    said = cli("queue", *arguments)
    assert (said.code, says in said.err) == (code, True), said.err
    assert [queue["name"] for queue in json.loads(cli("queue", "list", "--json").out)] == ["emails"]


def test_no_journal_is_made_for_a_queue_that_nobody_asked_for(cli, journal):
    said = cli("queue", "set", "emails", "--concurrency", "3")
    assert (said.code, journal.exists()) == (4, False), said.err
    made = cli("queue", "set", "emails", "--concurrency", "3", "--create")
    assert (made.code, journal.exists()) == (0, True)
    assert "A new Journal was made" in made.err
    assert cli("queue", "set", "emails", "--concurrency", "2", "--create").code == 0, "it is there already"
