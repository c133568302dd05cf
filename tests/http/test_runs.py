"""Runs over HTTP: start, wait, look, list, cancel, retry, delete; and what is answered when something is wrong."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.http.conftest import APP
from tests.http.serving import Server, serving
from tests.sweeping import shared
from tests.waiting import until

from weftrun.assembly import place_of
from weftrun.entrypoints.http.server import ServerSettings, serve
from weftrun.model.errors import UsageError


def problem(response: object, status: int, kind: str) -> str:
    """Check that an answer is this problem, and return its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == status
    assert told["type"] == f"urn:weftrun:problem:{kind}"
    assert told["title"]
    return str(told["detail"])


def test_a_value_is_waited_for(server: Server) -> None:
    answer = server.run("twice", 3, id="seven")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": "seven", "status": "succeeded", "result": 7}
    assert answer.headers["location"] == "/api/v1/runs/seven"
    again = server.http.post(
        "/runs", json={"workflow": "twice", "args": {"a": 3}}, headers={"Idempotency-Key": "seven"}
    )
    assert (again.status_code, again.json()["joined"]) == (200, True)


def test_a_run_may_keep_no_records(server: Server, tmp_path: Path) -> None:
    made = server.http.post("/runs", json={"function": "twice", "args": [3], "wait_s": 30, "durable": False})
    assert (made.status_code, made.json()["result"]) == (200, 7)
    problem(server.http.get(f"/runs/{made.json()['id']}"), 404, "run-not-found")
    file = tmp_path / "go"
    args = [str(file), "x"]
    going = server.http.post("/runs", json={"function": "waits_for", "args": args, "durable": False})
    assert (going.status_code, going.json()["status"]) == (202, "running")
    file.touch()
    result = server.http.get(f"{going.headers['location'].removeprefix('/api/v1')}/result", params={"wait_s": 30})
    assert (result.status_code, result.json()) == (200, "x")
    named = server.http.post("/runs", json={"function": "twice", "args": [3], "durable": False, "id": "kept"})
    assert "'kept'" in problem(named, 422, "id-without-records")


def test_a_run_goes_on_when_nobody_waits(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    answer = server.run("waits_for", str(file), "x", wait_s=0.05)
    assert answer.status_code == 202
    id = answer.json()["id"]
    assert answer.headers["location"] == f"/api/v1/runs/{id}"
    assert server.http.get(f"/runs/{id}/result").status_code == 202
    assert server.http.get(f"/runs/{id}").json()["status"] == "running"
    file.touch()
    result = server.http.get(f"/runs/{id}/result", params={"wait_s": 30})
    assert (result.status_code, result.json()) == (200, "x")


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("moved", {"point": {"x": 1}, "by": 2}, {"x": 3, "y": 1.0}),
        ("echo", [{"a": [1, None, "ü", 1e300]}], {"a": [1, None, "ü", 1e300]}),
        ("echo", [2**80], 2**80),
        ("large", [300_000], "x" * 300_000),
        ("echo", ["y" * 300_000], "y" * 300_000),
    ],
)
def test_values_go_in_and_out_as_json(server: Server, name: str, args: object, value: object) -> None:
    answer = server.http.post("/runs", json={"function": name, "args": args, "wait_s": 30})
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"] == value


def test_bytes_and_what_has_no_json(server: Server) -> None:
    assert server.run("raw", 4, id="raw").json() == {"id": "raw", "status": "succeeded", "repr": r"b'\x00\x01\x02\x03'"}
    result = server.http.get("/runs/raw/result")
    assert (result.content, result.headers["content-type"]) == (bytes(range(4)), "application/octet-stream")
    assert server.run("imaginary", id="i").json()["repr"] == "1j"
    assert "It is 1j" in problem(server.http.get("/runs/i/result"), 406, "value-has-no-json")


def test_a_failure_is_a_problem(server: Server) -> None:
    answer = server.run("fails", "no luck", id="fails")
    assert "ValueError: no luck" in problem(answer, 424, "run-failed")
    assert answer.json()["run"] == "fails"
    assert "raise ValueError(why)" in answer.json()["traceback"]
    problem(server.http.get("/runs/fails/result"), 424, "run-failed")
    assert server.http.get("/runs/fails").json()["status"] == "failed"
    problem(server.http.post("/runs/fails/retry", params={"wait_s": 30}), 424, "run-failed")
    assert server.http.get("/runs/fails").json()["lives"] == 2


@pytest.mark.parametrize(
    ("body", "status", "kind", "why"),
    [
        (b"", 400, "bad-request", ""),
        (b"{", 400, "http-400", "truncated"),
        (b"[1]", 400, "bad-request", ""),
        (b'{"args": {}}', 422, "no-function", "Name what is to run"),
        (b'{"function": "add", "workflow": "twice"}', 422, "no-function", "not by both"),
        (b'{"function": "add", "wait": 1}', 400, "bad-request", "wait"),
        (b'{"function": "add", "wait_s": -1}', 400, "bad-request", "wait_s"),
        (b'{"function": "add", "args": 3}', 400, "bad-request", "args"),
        (b'{"function": "ad"}', 404, "function-not-found", "There are: add"),
        (b'{"function": "add", "app": "other"}', 404, "app-not-found", "served"),
        (b'{"function": "add", "args": {"a": "x"}}', 422, "unprocessable", "a: Expected `int`, got `str`"),
        (b'{"function": "add"}', 422, "unprocessable", "add needs a="),
        (b'{"function": "add", "args": [1], "id": ""}', 422, "bad-run-id", "can't be the id"),
        (b'{"function": "add", "args": [1], "id": "a\\u0000"}', 422, "bad-run-id", "can't be the id"),
        (b"\xff\xfe\x00", 400, "http-400", ""),
    ],
)
def test_what_is_wrong_with_a_start_is_told(server: Server, body: bytes, status: int, kind: str, why: str) -> None:
    answer = server.http.post("/runs", content=body, headers={"content-type": "application/json"})
    assert why in problem(answer, status, kind)


def test_an_id_is_one_run(server: Server) -> None:
    assert server.run("add", 1, id="taken").json()["result"] == 3
    assert "with other arguments" in problem(server.run("add", 2, id="taken"), 409, "run-conflict")
    assert "belongs to a Run of" in problem(server.run("twice", 1, id="taken"), 409, "run-conflict")
    two = server.http.post("/runs", json={"function": "add", "args": [1], "id": "a"}, headers={"Idempotency-Key": "b"})
    problem(two, 422, "two-ids")


_PARTS = ["", "/result", "/steps", "/logs", "/story", "/timeline", "/graph", "/view", "/events"]


@pytest.mark.parametrize("what", _PARTS)
def test_what_is_not_there(server: Server, what: str) -> None:
    assert "no Run 'nobody'" in problem(server.http.get(f"/runs/nobody{what}"), 404, "run-not-found")


def test_all_that_is_known_of_a_run(server: Server) -> None:
    server.run("twice", 1, id="known")
    assert [step["id"] for step in server.http.get("/runs/known/steps").json()] == ["twice", "add[0]", "add[1]"]
    assert [step["id"] for step in server.http.get("/runs/known/steps?step=add[1]").json()] == ["add[1]"]
    told = " ".join(sentence["text"] for sentence in server.http.get("/runs/known/story").json())
    assert "add[0] succeeded" in told
    assert "add[0]" in server.http.get("/runs/known/graph").json()["mermaid"]
    assert server.http.get("/runs/known/timeline").json()["id"] == "known"
    page = server.http.get("/runs/known/timeline?format=html")
    assert page.headers["content-type"].startswith("text/html")
    assert "</html>" in page.text
    shown = server.http.get("/runs/known").json()
    assert (shown["answer_of"], shown["whole_steps"]) == ({"add[1]": "5"}, {"succeeded": 2})


def test_all_that_can_be_seen_is_had_at_once(server: Server) -> None:
    """What the page shows is of one moment, and what the single routes tell."""
    server.run("twice", 1, id="viewed")

    def told(part: str) -> Any:
        return server.http.get(f"/runs/viewed{part}").json()

    def are_same() -> bool:  # what the trace tells is there a moment later, and may come between two looks
        view = told("/view")
        return view["run"] == told("") and all(
            view[part] == told(f"/{part}") for part in ("steps", "story", "logs", "timeline")
        )

    until(are_same)
    view = told("/view")
    graph = server.http.get("/runs/viewed/graph").json()
    assert (view["graph"]["nodes"], view["graph"]["edges"]) == (graph["nodes"], graph["edges"])
    few = server.http.get("/runs/viewed/view?nodes=1").json()
    assert [(node["label"], node["count"]) for node in few["graph"]["nodes"]] == [("twice", 1), ("add", 2)]
    problem(server.http.get("/runs/viewed/view?nodes=0"), 400, "bad-request")


def test_what_functions_took_is_told(server: Server) -> None:
    for n in range(2):
        server.run("twice", n, id=f"took-{n}")
    told = server.http.get("/functions?limit=2").json()
    assert (told["runs"], told["are_all"], told["since"] > 1e9) == (2, False, True)
    (add,) = (one for one in told["functions"] if one["function"].endswith(":add"))
    assert (add["runs"], add["attempts"], add["failed"], add["values"]) == (2, 4, 0, 4)
    assert 0 <= add["p50_s"] <= add["p99_s"] <= add["max_s"] <= add["body_s"]
    (twice,) = (one for one in told["functions"] if one["function"].endswith(":twice"))
    assert twice["is_workflow"]
    problem(server.http.get("/functions?limit=0"), 400, "bad-request")


def test_a_list_is_read_in_pages(server: Server) -> None:
    for n in range(5):
        server.run("moved", {"x": n}, id=f"page-{n}")
    seen: list[str] = []
    after = None
    while True:
        params = {"workflow": "moved", "limit": 2} | ({} if after is None else {"after": after})
        page = server.http.get("/runs", params=params).json()
        seen += [run["id"] for run in page["runs"]]
        after = page["next"]
        if after is None:
            break
    assert seen[:5] == [f"page-{n}" for n in reversed(range(5))]
    assert all(run["status"] == "failed" for run in server.http.get("/runs?status=failed").json()["runs"])
    problem(server.http.get("/runs?after=x"), 422, "bad-cursor")
    problem(server.http.get("/runs?status=odd"), 400, "bad-request")
    assert "limit, query: Expected `int` >= 1" in problem(server.http.get("/runs?limit=0"), 400, "bad-request")


def test_cancel_and_delete(server: Server, tmp_path: Path) -> None:
    server.run("waits_for", str(tmp_path / "never"), id="endless", wait_s=0)
    refused = server.http.delete("/runs/endless")
    assert "has not ended" in problem(refused, 422, "unprocessable")
    assert server.http.post("/runs/endless/cancel").status_code == 202
    problem(server.http.get("/runs/endless/result?wait_s=30"), 424, "run-cancelled")
    assert server.http.delete("/runs/endless").status_code == 204
    problem(server.http.get("/runs/endless"), 410, "run-deleted")
    problem(server.run("add", 1, id="endless"), 409, "run-conflict")
    assert server.http.delete("/runs/endless?forget=true").status_code == 204
    assert server.run("add", 1, id="endless").status_code == 200


def test_a_signal_is_read_as_its_type_and_taken_once(server: Server) -> None:
    server.run("asks", "cats", id="asked", wait_s=0)
    awaited: list[dict[str, Any]] = []

    def is_told() -> bool:
        awaited[:] = server.http.get("/runs/asked").json()["awaits"]
        return bool(awaited and awaited[0]["schema"])

    until(is_told)
    assert [one["name"] for one in awaited] == ["verdict"]
    point = awaited[0]["schema"]["$defs"]["Point"]
    assert (point["properties"]["x"], point["required"]) == ({"type": "integer"}, ["x"])
    wrong = server.http.post("/runs/asked/signals", json={"name": "verdict", "value": {"x": "three"}})
    assert 'which waits for an object Point: x is "three", not a whole number' in problem(wrong, 422, "signal-refused")
    misspelt = server.http.post("/runs/asked/signals", json={"name": "verdcit"})
    assert misspelt.json()["note"].startswith(
        "No wait for the signal 'verdcit' is open: Run asked waits for 'verdict'."
    )
    for _ in range(2):
        sent = server.http.post("/runs/asked/signals", json={"name": "verdict", "value": {"x": 3}, "id": "one"})
        assert sent.status_code == 202
    assert server.http.post("/runs/asked/signals", json={"name": "more", "value": 5}).status_code == 202
    assert server.http.get("/runs/asked/result?wait_s=30").json() == "cats: 3, 1.0, 5"
    late = server.http.post("/runs/asked/signals", json={"name": "verdict"})
    assert "nobody waits for the signal 'verdict'" in problem(late, 409, "run-ended")
    for body, kind in (({"name": "a b"}, (422, "unprocessable")), ({}, (400, "bad-request"))):
        problem(server.http.post("/runs/asked/signals", json=body), *kind)
    problem(server.http.post("/runs/nobody/signals", json={"name": "verdict"}), 404, "run-not-found")


def test_what_goes_on_is_told(server: Server, tmp_path: Path) -> None:
    server.run("waits_for", str(tmp_path / "go"), id="going", wait_s=0)
    server.run("asks", "dogs", id="asking", wait_s=0)

    def both() -> tuple[dict[str, Any], dict[str, Any]] | None:
        told = server.http.get("/now").json()
        runs = {run["id"]: run for run in told["runs"]}
        going, asking = runs["going"], runs["asking"]
        return (going, asking) if going["running"] and asking["waiting_for"] else None

    while (told := both()) is None:
        time.sleep(0.02)
    going, asking = told
    assert (going["running"][0]["step"], going["owner"]["lives"]) == ("waits_for", True)
    assert (asking["waiting_for"], asking["owner"], asking["due_at"]) == ("signal verdict", None, None)
    (tmp_path / "go").touch()
    for name, value in (("verdict", {"x": 1}), ("more", 2)):
        server.http.post("/runs/asking/signals", json={"name": name, "value": value})
    for id in ("going", "asking"):
        assert server.http.get(f"/runs/{id}/result?wait_s=30").status_code == 200
    assert not {"going", "asking"} & {run["id"] for run in server.http.get("/now").json()["runs"]}
    problem(server.http.get("/now?limit=0"), 400, "bad-request")


def test_what_is_served_is_described(server: Server) -> None:
    (app,) = server.http.get("/apps").json()
    assert (app["name"], len(app["version"])) == ("served", 16)
    assert server.http.get("/apps/served").json() == app
    add = next(one for one in app["functions"] if one["name"] == "add")
    assert (add["kind"], add["description"]) == ("function", "Add two numbers.")
    assert add["parameters"]["required"] == ["a"]
    document = server.http.get(f"{server.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/runs/{run_id}/events" in document["paths"]
    assert server.http.get(f"{server.url}/healthz").json() == {"status": "alive"}
    assert server.http.get(f"{server.url}/readyz").json() == {"status": "ready"}
    assert "There is no route /nowhere" in problem(server.http.get(f"{server.url}/nowhere"), 404, "http-404")
    assert "/api/v1/runs has no PUT" in problem(server.http.put("/runs"), 405, "http-405")


@pytest.mark.sweep  # several seconds; a kill of the server in tests/http/test_client.py is its share
def test_sigterm_answers_whoever_waits_and_hands_runs_over(tmp_path: Path) -> None:
    file = tmp_path / "go"
    with serving(tmp_path, APP) as server:
        assert server.run("waits_for", str(file), "late", id="open", wait_s=0).status_code == 202
        with server.http.stream("GET", "/runs/open/events") as stream:
            assert "event: status" in "".join(line for line, _ in zip(stream.iter_lines(), range(2), strict=False))
            code, said = server.end(signal.SIGTERM)
        assert (code, said) == (0, "")
        file.touch()
        server.start()
        assert server.http.get("/runs/open/result?wait_s=30").json() == "late"
        assert server.http.get("/runs/open").json()["takeovers"] == 0


@pytest.mark.parametrize(
    "case", shared([("1 / 0", "ZeroDivisionError"), ("x = 1", "There is no Function in"), ("def f(:", "SyntaxError")])
)
def test_an_app_that_cannot_be_served_is_told(tmp_path: Path, case: tuple[str, str]) -> None:
    text, why = case
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(AssertionError, match=why), serving(tmp_path, tmp_path / "bad.py"):
        pass


def test_a_port_that_is_taken_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't be listened on: Address already in use\. --port names"):
        serve(ServerSettings(place=place_of(f"sqlite:///{tmp_path}/j.db"), port=server.port), announce=print)


def test_a_client_that_goes_away_ends_nothing(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    body = {"function": "waits_for", "args": [str(file), "left"], "id": "left", "wait_s": 60}
    with pytest.raises(httpx.ReadTimeout):
        server.http.post("/runs", json=body, timeout=httpx.Timeout(10, read=0.5))
    with socket.create_connection(("127.0.0.1", server.port)) as cut_off:
        cut_off.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    with socket.create_connection(("127.0.0.1", server.port)) as garbage:
        garbage.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        assert garbage.recv(100).startswith(b"HTTP/1.1 400")
    file.touch()
    assert server.http.get("/runs/left/result?wait_s=30").json() == "left"
    large = server.http.post("/runs", content=b" " * (16 * 2**20 + 1), headers={"content-type": "application/json"})
    assert problem(large, 413, "http-413")


@pytest.mark.sweep
def test_an_idle_sandbox_is_kept_as_long_as_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, APP, "--keep-alive-s", "0.2") as server:
        for _ in range(60):
            assert server.run("twice", 3).json()["result"] == 7
            if 'weftrun_cold_starts_total{why="idle"}' in httpx.get(f"{server.url}/metrics").text:
                break
            time.sleep(0.5)  # nothing is to be done meanwhile
        else:
            pytest.fail("the Sandbox was kept")


@pytest.mark.sweep
def test_an_app_is_warm_before_it_is_called(tmp_path: Path) -> None:
    with serving(tmp_path, APP, "--keep-warm", "1", "--warm-bytes", str(1 << 40)) as server:
        until(lambda: 'weftrun_sandboxes{state="waiting"} 2.0' in httpx.get(f"{server.url}/metrics").text)
        assert server.run("twice", 3).json()["result"] == 7
        told = httpx.get(f"{server.url}/metrics").text
        assert "weftrun_warm_starts_total 1.0" in told
        assert 'weftrun_sandboxes_made_ahead_total{why="kept"}' in told
        assert "weftrun_warm_bytes_max 1.0995" in told
