"""Streams of events: all that changes of a Run, once, also for who comes again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.http.serving import Server


class Event(NamedTuple):
    """One event of a stream."""

    name: str
    data: Any
    id: str


@contextmanager
def events(server: Server, path: str, after: str = "") -> Iterator[Iterator[Event]]:
    """Read a stream as a browser does."""
    with server.http.stream("GET", path, headers={"Last-Event-ID": after} if after else {}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        yield _read(stream.iter_lines())


def _read(lines: Iterator[str]) -> Iterator[Event]:
    last_id, fields = "", dict[str, str]()
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            last_id = fields.get("id", last_id)
            yield Event(fields["event"], json.loads(fields["data"]), last_id)
            fields = {}


def test_a_run_is_followed_to_its_end(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    server.run("both", str(file), id="followed", wait_s=0)
    seen: list[Event] = []
    with events(server, "/runs/followed/events") as stream:
        for event in stream:
            seen.append(event)
            running = {e.data["id"] for e in seen if e.name == "step" and e.data["status"] == "running"}
            if {"waits_for[0]", "waits_for[1]"} <= running:
                file.touch()
    names = [event.name for event in seen]
    assert names[0] == "status"
    assert {"status", "step", "progress", "log", "end"} == set(names)
    assert names.count("end") == 1
    assert seen[-1].data == {"id": "followed", "status": "succeeded", "result": ["one", "two"]}
    text: dict[str, str] = {}
    for event in seen:
        if event.name == "log":
            text[event.data["step"]] = text.get(event.data["step"], "") + event.data["text"]
    assert text == {"waits_for[0]": "waiting one\nthere\n", "waits_for[1]": "waiting two\nthere\n"}
    statuses = [event.data["status"] for event in seen if event.name == "step" and event.data["id"] == "waits_for[0]"]
    assert statuses[-1] == "succeeded"


def test_who_comes_again_is_told_the_rest(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    server.run("waits_for", str(file), "x", id="again", wait_s=0)
    text, place = "", ""
    with events(server, "/runs/again/events") as stream:
        for event in stream:  # an Attempt that runs for a second or more is seen with what it has printed
            if event.name == "log":
                text += event.data["text"]
                place = event.id
                break
    assert (text, bool(place)) == ("waiting x\n", True)
    file.touch()
    with events(server, "/runs/again/events", place) as stream:
        rest = list(stream)
    assert [event.data["text"] for event in rest if event.name == "log"] == ["there\n"]
    assert rest[-1].name == "end"
    with events(server, "/runs/again/events", rest[-1].id) as stream:
        assert [event.name for event in stream] == ["progress", "end"]
    with events(server, "/runs/again/events", "no-place") as stream:
        assert {event.name for event in stream} >= {"status", "step", "log", "end"}


def test_a_failure_ends_a_stream(server: Server) -> None:
    server.run("fails", "no luck", id="unlucky")
    with events(server, "/runs/unlucky/events") as stream:
        *_, last = stream
    assert (last.name, last.data["type"]) == ("end", "urn:weftrun:problem:run-failed")


def test_the_list_is_followed(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    with events(server, "/events") as stream:
        server.run("waits_for", str(file), id="listed", wait_s=0)
        for event in stream:
            assert event.name == "run"
            if event.data["id"] == "listed":
                assert event.data["status"] == "running"
                break
        file.touch()
        assert next(e.data["status"] for e in stream if e.data["id"] == "listed") == "succeeded"
