"""Quotas by tenant at the gateway, fair shares, and the record of who did what."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.http.serving import Server, serving
from tests.http.test_access import caller, made
from tests.http.test_deploying import tar
from tests.http.test_runs import problem

from weftrun.adapters.sqlite import gateway
from weftrun.adapters.sqlite.gateway import GatewayFile
from weftrun.entrypoints.cli import main

APP = Path(__file__).with_name("limited.py")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with room for four Runs; the app is for whoever has no tenant, and so deployed for each."""
    folder = tmp_path_factory.mktemp("limited")
    url = f"sqlite:///{folder}/j.db"
    assert main(["token", "first", "--db", url, "--scope", "admin"]) == 0
    with serving(folder, "--tokens", "--runs-at-once", "4") as server:
        yield server


def quota(server: Server, tenant: str, *words: str) -> None:
    assert main(["quota", tenant, "--db", f"sqlite:///{server.folder}/j.db", *words]) == 0


@contextmanager
def tenant_of(server: Server, capfd: pytest.CaptureFixture[str], tenant: str) -> Iterator[httpx.Client]:
    """A caller of a tenant, to which the app is deployed."""
    with caller(server, made(server.folder, capfd, "all", "--tenant", tenant, "--scope", "admin")) as client:
        answer = client.post("/apps/limited", content=tar({"app.py": APP.read_text()}))
        assert answer.status_code in (200, 201), answer.text
        yield client


def start(client: httpx.Client, function: str, *args: object, wait_s: float = 0) -> httpx.Response:
    return client.post("/runs", json={"function": function, "args": list(args), "wait_s": wait_s})


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def metric(server: Server, client: httpx.Client, name: str) -> float:
    text = client.get(f"{server.url}/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_a_tenant_beyond_its_quota_is_told_when_to_come_again(
    limited: Server, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quota(limited, "north", "--runs-at-once", "1", "--queue", "1", "--memory-bytes", "800000000")
    with tenant_of(limited, capfd, "north") as north, ThreadPoolExecutor(1) as pool:
        go = tmp_path / "go"
        assert start(north, "held", str(go)).status_code == 202
        waits = pool.submit(start, north, "quick", wait_s=30)
        with caller(limited, made(limited.folder, capfd, "sees", "--scope", "read")) as sees:
            until(lambda: metric(limited, sees, "weftrun_starts_waiting") == 1)
            refused = start(north, "quick")
            assert "1 starts of it wait already" in problem(refused, 429, "quota-queue")
            assert refused.headers["retry-after"] == "1"
            assert metric(limited, sees, 'weftrun_starts_refused_total{quota="queue"}') == 1
        never = start(north, "greedy")
        assert "943,718,400" in problem(never, 429, "quota-memory") and "retry-after" not in never.headers
        go.touch()
        assert waits.result().json()["result"] == 1
        quota(limited, "north", "--rate", "0.5", "--runs-at-once", "4")
        until(lambda: start(north, "quick").status_code == 429)
        assert 1 <= int(start(north, "quick").headers["retry-after"]) <= 2
        quota(limited, "north", "--remove")
        until(lambda: start(north, "quick", wait_s=30).status_code == 200)


def test_tenants_share_what_there_is(limited: Server, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One tenant fills the gateway; what another wants then comes before the rest of the first one's."""
    with (
        tenant_of(limited, capfd, "many") as many,
        tenant_of(limited, capfd, "few") as few,
        ThreadPoolExecutor(16) as pool,
    ):
        gos = [tmp_path / f"go{n}" for n in range(10)]
        of_many = [pool.submit(start, many, "held", str(go), wait_s=60) for go in gos[:8]]
        with caller(limited, made(limited.folder, capfd, "watches", "--scope", "read")) as sees:
            until(lambda: metric(limited, sees, "weftrun_starts_waiting") == 4)
            of_few = pool.submit(start, few, "quick", wait_s=60)
            until(lambda: metric(limited, sees, "weftrun_starts_waiting") == 5)
        assert not of_few.done()
        for go in gos:  # whichever four are in, one of them ends first
            go.touch()
            if of_few.done():
                break
        assert of_few.result().json()["result"] == 1
        for go in gos:
            go.touch()
        assert sorted(run.result().json()["result"] for run in of_many) == [str(go) for go in gos[:8]]


def test_who_did_what_is_kept(limited: Server, capfd: pytest.CaptureFixture[str]) -> None:
    with tenant_of(limited, capfd, "audited") as client:
        location = start(client, "quick", wait_s=30).headers["location"]
        client.get("/runs")
        client.delete("/runs/none")
    with caller(limited, made(limited.folder, capfd, "looks", "--tenant", "audited")) as looks:
        assert start(looks, "quick").status_code == 403
    url = f"sqlite:///{limited.folder}/j.db"
    expected = {
        ("", "token made", "all: admin", 0),
        ("all", "POST /api/v1/apps/{name}", "/api/v1/apps/limited", 201),
        ("all", "POST /api/v1/runs", location, 200),
        ("all", "DELETE /api/v1/runs/{run_id}", "/api/v1/runs/none", 404),
        ("", "token made", "looks: read", 0),
        ("(none)", "POST /api/v1/runs", "/api/v1/runs", 403),
    }

    def rows() -> list[dict[str, object]]:
        capfd.readouterr()
        assert main(["audit", "--db", url, "--json", "--last", "1000"]) == 0
        found: list[dict[str, object]] = json.loads(capfd.readouterr().out)
        return found

    until(lambda: any(row["status"] == 403 for row in rows()))
    said = {(row["token"], row["action"], row["what"], row["status"]) for row in rows() if row["tenant"] == "audited"}
    assert expected - said == {("(none)", "POST /api/v1/runs", "/api/v1/runs", 403)}
    assert main(["audit", "--db", url, "--tenant", "audited"]) == 0
    assert "(command line)" in capfd.readouterr().out


def test_the_file_keeps_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_AUDITED_MAX", 3)
    file = GatewayFile(tmp_path / "gateway.db")
    for n in range(5):
        file.put_audit([gateway.Audited(float(n), "t", "k", "did", str(n), 200)])
    assert [row.what for row in file.audit(None, 10)] == ["2", "3", "4"]
    assert [row.what for row in file.audit("t", 2)] == ["3", "4"] and not file.audit("other", 2)
    file.close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["quota", "--rate", "1"], "Whose quota is it?"),
        (["quota", "t", "--remove"], "There is no quota of the tenant 't'"),
        (["quota", "t", "--remove", "--rate", "1"], "--remove takes away all that was said"),
        (["quota", "a b", "--rate", "1"], "can't be the name of a tenant"),
        (["quota", "t", "--rate", "0"], "--rate"),
        (["audit"], "No gateway has been on this Journal"),
    ],
)
def test_what_can_not_be_is_refused(
    words: list[str], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--db", f"sqlite:///{tmp_path}/j.db"]) == 2
    assert says in capfd.readouterr().err


def test_tenants_are_told_with_what_they_take(
    limited: Server, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """All to whoever has no tenant, and to a tenant itself alone; Runs are listed by tenant."""
    quota(limited, "told", "--runs-at-once", "3", "--share", "2")
    with (
        tenant_of(limited, capfd, "told") as client,
        caller(limited, made(limited.folder, capfd, "looks", "--scope", "read")) as looks,
    ):
        go = tmp_path / "go"
        answer = start(client, "held", str(go))
        assert answer.status_code == 202, answer.text
        used = {"runs": 1, "memory_bytes": 64 << 20, "waiting": 0}
        own = client.get("/tenants").json()
        mine = {"name": "told", "quota": {"runs_at_once": 3, "share": 2.0}, "used": used}
        assert own == {"own": "told", "tenants": [mine], "runs_at_once": None}
        seen = looks.get("/tenants").json()
        assert (seen["own"], seen["runs_at_once"]) == ("", 4)
        assert mine in seen["tenants"]
        id = answer.json()["id"]
        assert [run["id"] for run in looks.get("/runs?tenant=told").json()["runs"]] == [f"told/{id}"]
        assert looks.get("/runs?tenant=nobody").json()["runs"] == []
        assert [run["id"] for run in looks.get(f"/runs?tenant=told&id={id[:4]}").json()["runs"]] == [f"told/{id}"]
        assert [run["id"] for run in client.get("/runs?tenant=told").json()["runs"]] == [id]
        problem(client.get("/runs?tenant=another"), 403, "not-a-tenants")
        problem(client.post("/runs/bulk", json={"action": "cancel", "tenant": "another"}), 403, "not-a-tenants")
        go.touch()
        until(lambda: client.get("/tenants").json()["tenants"][0]["used"]["runs"] == 0)
