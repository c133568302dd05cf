"""The doors of FaaSFlow and FaaSBatch."""

from __future__ import annotations

from pathlib import Path

import httpx
from tests.http.conftest import APP
from tests.http.serving import serving
from tests.http.test_runs import problem


def test_the_doors_are_open_where_they_are_asked_for(tmp_path: Path) -> None:
    with (
        serving(tmp_path, APP, "--compat", "faasbatch") as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        asked = {"workflow": "twice", "request_id": "r1", "inputs": {"a": 3}}
        first = http.post("/run", json=asked).json()
        assert (first["status"], first["request_id"], first["outputs"]) == ("ok", "r1", 7) and first["latency"] > 0
        assert http.post("/run", json=asked).json()["outputs"] == 7
        assert http.get("/api/v1/runs/r1").json()["status"] == "succeeded"
        problem(http.post("/run", json=asked | {"inputs": {"a": 4}}), 409, "run-conflict")
        problem(http.post("/run", json={"workflow": "none"}), 404, "function-not-found")
        told = http.get("/info").json()
        assert told["attempts"] >= 2 and told["runs_open"] == 0 and told["cold_starts"] >= 1
        assert http.post("/clear", json={"request_id": "r1", "workflow_name": "twice"}).json() == {"status": "ok"}
        problem(http.post("/clear", json={"request_id": "r1"}), 404, "run-not-found")
        assert http.post("/run", json=asked | {"inputs": {"a": 4}}).json()["outputs"] == 8
        assert "/run" in http.get("/openapi.json").json()["paths"]


def test_they_are_closed_by_default(server: object) -> None:
    assert httpx.post(f"{server.url}/run", json={"workflow": "twice"}).status_code in (404, 405)  # type: ignore[attr-defined]
