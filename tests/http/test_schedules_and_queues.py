"""Schedules and queues over HTTP: made, shown, changed, and what is no good told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.engine.conftest import until
from tests.http.serving import Server


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/api/v1", timeout=60) as client:
        yield client


def test_a_schedule_from_its_making_to_its_end(http: httpx.Client) -> None:
    wanted = {"id": "sums", "function": "add", "args": {"a": 1}, "cron": "0 3 * * *", "timezone": "Europe/Berlin"}
    made = http.post("/schedules", json=wanted)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/schedules/sums")
    told = made.json()
    assert (told["id"], told["cron"], told["status"], len(told["next"])) == ("sums", "0 3 * * *", "active", 3)
    assert http.get("/schedules").json() == [told]
    assert http.post("/schedules", json=wanted).json() == told, "the same again changes nothing"
    assert http.post("/schedules/sums/pause").json()["status"] == "paused"
    assert http.post("/schedules/sums/resume").json()["status"] == "active"
    triggered = http.post("/schedules/sums/trigger")
    assert (triggered.status_code, triggered.json()["id"]) == (200, "sums")
    until(lambda: bool(http.get("/runs", params={"id": "sums@", "status": "succeeded"}).json()["runs"]))
    assert http.get(f"/runs/{triggered.json()['run']}").json()["status"] == "succeeded"
    assert http.delete("/schedules/sums").status_code == 204
    assert http.get("/schedules/sums").status_code == 404
    assert http.get("/schedules").json() == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"id": "a b", "function": "add", "args": [1], "every_s": 60}, "can't be the id of a schedule"),
        ({"id": "a", "function": "add", "args": [1]}, "by `cron` or by `every_s`"),
        ({"id": "a", "args": [1], "every_s": 60}, "by `workflow` or by `function`"),
        ({"id": "a", "function": "none", "args": [1], "every_s": 60}, "none"),
        ({"id": "a", "function": "add", "args": ["x"], "every_s": 60}, "a"),
        ({"id": "a", "function": "add", "args": [1], "cron": "61 * * * *"}, "is no cron line"),
        ({"id": "a", "function": "add", "args": [1], "cron": "@daily", "timezone": "Mars"}, "no time zone"),
    ],
)
def test_a_schedule_that_means_nothing_is_told(http: httpx.Client, body: dict[str, Any], says: str) -> None:
    answered = http.post("/schedules", json=body)
    assert answered.status_code in (404, 422), answered.text
    assert says in answered.json()["detail"]
    for change in ("pause", "resume", "trigger"):
        assert http.post(f"/schedules/a/{change}").status_code == 404
    assert http.delete("/schedules/a").status_code == 404


def test_a_run_in_a_queue(http: httpx.Client) -> None:
    """It waits while that is paused, is refused where that is full, and ends once it goes on."""
    made = http.put("/queues/sums", json={"concurrency": 1, "length_max": 1, "rate": [50, 1.0]})
    assert (made.status_code, made.json()["concurrency"], made.json()["rate"]) == (200, 1, [50, 1.0])
    assert http.post("/queues/sums/pause").json()["status"] == "paused"
    start = {"function": "add", "args": {"a": 1}, "queue": "sums", "key": "ann", "priority": 1}
    waiting = http.post("/runs", json=start | {"id": "q1", "deduplicate": "one"})
    assert (waiting.status_code, waiting.json()["status"]) == (202, "pending")
    assert waiting.json()["waiting_for"] == "queue sums"
    again = http.post("/runs", json=start | {"deduplicate": "one"})
    assert (again.json()["id"], again.json()["joined"]) == ("q1", True)
    full = http.post("/runs", json=start | {"id": "q2"})
    assert (full.status_code, full.json()["type"]) == (429, "urn:weftrun:problem:queue-full")
    shown = http.get("/runs/q1").json()
    assert (shown["status"], shown["queue"], shown["waiting_for"]) == ("pending", "sums", "queue sums")
    assert [queue["waiting"] for queue in http.get("/queues").json()] == [1]
    assert http.post("/queues/sums/resume").json()["status"] == "active"
    assert http.get("/runs/q1/result", params={"wait_s": 30}).json() == 3
    until(lambda: http.get("/queues/sums").json()["under_way"] == 0)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"queue": "no spaces"}, "is not the name of a queue"),
        ({"queue": "unknown"}, "There is no queue 'unknown'"),
        ({"key": "ann"}, "say `queue=...` with it"),
        ({"queue": "sums", "priority": 10}, "from 0 (first) to 9"),
        ({"queue": "sums", "delay_s": -1}, "a number of seconds"),
        ({"queue": "sums", "durable": False}, "can't wait in a queue"),
    ],
)
def test_a_start_in_a_queue_that_can_not_be(http: httpx.Client, more: dict[str, Any], says: str) -> None:
    answered = http.post("/runs", json={"function": "add", "args": {"a": 1}} | more)
    assert answered.status_code == 422, answered.text
    assert says in answered.json()["detail"]


def test_a_queue_that_can_not_be(http: httpx.Client) -> None:
    assert http.get("/queues/unknown").status_code == 404
    assert http.post("/queues/unknown/pause").status_code == 404
    assert http.put("/queues/no spaces", json={}).status_code == 422
    assert http.put("/queues/a", json={"rate": [0, 1.0]}).status_code == 422
    assert http.put("/queues/a", json={"concurrency": 0}).status_code == 400
