"""Who may call: tokens with scopes, tenants that see nothing of each other, metrics, TLS."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.http.conftest import APP
from tests.http.serving import Server, serving
from tests.http.test_deploying import tar
from tests.http.test_runs import problem

from weftrun.assembly import place_of
from weftrun.client import AsyncClient, Client, RemoteRun
from weftrun.entrypoints.cli import main
from weftrun.entrypoints.http.access import is_loopback
from weftrun.entrypoints.http.server import ServerSettings, serve
from weftrun.model.errors import UsageError

NORTH_APP = "from weftrun import function\n@function\ndef where() -> str:\n    return 'north'\n"


def made(folder: Path, capfd: pytest.CaptureFixture[str], name: str, *words: str) -> str:
    capfd.readouterr()
    assert main(["token", name, "--db", f"sqlite:///{folder}/j.db", *words]) == 0
    return capfd.readouterr().out.strip()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    assert main(["token", "first", "--db", f"sqlite:///{folder}/j.db"]) == 0
    with serving(folder, APP, "--tokens") as server:
        yield server


def caller(server: Server, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{server.url}/api/v1", headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=60
    )


def test_scopes(guarded: Server, capfd: pytest.CaptureFixture[str]) -> None:
    start = {"function": "add", "args": [1], "wait_s": 30, "id": "scoped"}
    with caller(guarded, "") as nobody:
        answer = nobody.get("/runs")
        problem(answer, 401, "token-missing")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert nobody.get(f"{guarded.url}/healthz").status_code == 200
        problem(nobody.get(f"{guarded.url}/metrics"), 401, "token-missing")
        problem(nobody.post("/runs", json=start), 401, "token-missing")
    with caller(guarded, "wft_" + "0" * 64) as stranger:
        problem(stranger.get("/runs"), 401, "token-unknown")
    with caller(guarded, made(guarded.folder, capfd, "reads", "--scope", "read")) as reads:
        assert reads.get("/runs").status_code == 200
        assert "asks for invoke" in problem(reads.post("/runs", json=start), 403, "scope-missing")
    with caller(guarded, made(guarded.folder, capfd, "runs", "--scope", "read", "--scope", "invoke")) as runs:
        assert runs.post("/runs", json=start).json()["result"] == 3
        problem(runs.delete("/runs/scoped"), 403, "scope-missing")
        problem(runs.post("/apps/x", content=b""), 403, "scope-missing")
        assert main(["token", "runs", "--revoke", "--db", f"sqlite:///{guarded.folder}/j.db"]) == 0
        problem(runs.get("/runs"), 401, "token-unknown")
    with caller(guarded, made(guarded.folder, capfd, "root", "--scope", "admin")) as root:
        assert root.delete("/runs/scoped").status_code == 204
        text = root.get(f"{guarded.url}/metrics").text
        assert 'weftrun_http_requests_total{method="POST",route="/api/v1/runs",status="403"} 1.0' in text
        assert "weftrun_runs_started_total 1.0" in text
        assert "weftrun_attempts_total 1.0" in text and "weftrun_batches_total 1.0" in text
        assert (
            'weftrun_cold_starts_total{why="first"} 1.0' in text
            and "weftrun_cold_start_seconds_total 0.0\n" not in text
        )


def test_who_may_only_invoke_waits_for_what_they_started(guarded: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """By the command, and by the clients; the value of a Run that they did not start is not for them."""
    token = made(guarded.folder, capfd, "invokes", "--scope", "invoke")
    assert main(["invoke", "add", "a=1", "--id", "waited", "--url", guarded.url, "--token", token]) == 0
    assert capfd.readouterr().out.strip() == "3"
    waits = ("waits_for", f"file={guarded.folder}/never", "says=x", "--id", "long")
    assert main(["invoke", *waits, "--timeout", "0.1", "--url", guarded.url, "--token", token]) == 1
    assert "Run long has not ended within 0.1 s; it goes on. The same command with --id" in capfd.readouterr().err
    with Client(guarded.url, token) as client:
        client.request("POST", "/runs/long/cancel")
        assert client.call("add", 2) == 4
        with pytest.raises(UsageError, match="no JSON: a token with the scope read"):
            client.call("raw", 3)
        with pytest.raises(UsageError, match=r"asks for read\. For the value of a Run that you start, send the start"):
            RemoteRun(client, "waited").result()

    async def said() -> object:
        async with AsyncClient(guarded.url, token) as client:
            return await client.call("add", 5)

    assert asyncio.run(said()) == 7


def test_a_token_is_revoked_by_its_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever it belongs to; only where several have it is it asked whose it is."""
    db = f"sqlite:///{tmp_path}/j.db"
    assert main(["token", "--db", db, "--json"]) == 0
    assert not (tmp_path / "j.db.d").exists(), "looking makes nothing"
    assert main(["token", "ci", "--revoke", "--db", db]) == 2
    for name, tenant in (("ci", "north"), ("ci", "south"), ("ci", ""), ("web", "north")):
        made(tmp_path, capfd, name, "--tenant", tenant)
    assert main(["token", "web", "--revoke", "--db", db, "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"tenant": "north", "name": "web", "revoked": True}
    assert main(["token", "ci", "--revoke", "--db", db]) == 2
    assert "say whose it is, by --tenant '' or --tenant north or --tenant south" in capfd.readouterr().err
    assert main(["token", "ci", "--revoke", "--tenant", "", "--db", db]) == 0
    assert main(["token", "ci", "--revoke", "--tenant", "south", "--db", db]) == 0
    assert main(["token", "ci", "--revoke", "--db", db]) == 0
    assert main(["token", "ci", "--revoke", "--db", db]) == 2


def test_a_journal_whose_folder_is_not_there_gets_no_token(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    db = f"sqlite:///{tmp_path}/misspelt/j.db"
    for words in (["token", "ci"], ["quota", "shop", "--rate", "1"]):
        assert main([*words, "--db", db]) == 2
        assert "There is no folder" in capfd.readouterr().err
    assert not (tmp_path / "misspelt").exists()


def test_tenants_see_nothing_of_each_other(guarded: Server, capfd: pytest.CaptureFixture[str]) -> None:
    north = caller(guarded, made(guarded.folder, capfd, "n", "--tenant", "north", "--scope", "admin"))
    south = caller(guarded, made(guarded.folder, capfd, "s", "--tenant", "south", "--scope", "admin"))
    root = caller(guarded, made(guarded.folder, capfd, "all", "--scope", "admin"))
    with north, south, root:
        assert north.post("/apps/app", content=tar({"app.py": NORTH_APP})).status_code == 201
        south_app = NORTH_APP.replace("north", "south")
        assert south.post("/apps/app", content=tar({"app.py": south_app})).status_code == 201
        start = {"function": "where", "wait_s": 30, "id": "same"}
        assert north.post("/runs", json=start).json() == {"id": "same", "status": "succeeded", "result": "north"}
        assert south.post("/runs", json=start).json()["result"] == "south"
        only_north = {"function": "where", "wait_s": 30, "id": "only-north"}
        assert north.post("/runs", json=only_north).status_code == 200
        for what in ("", "/result", "/steps", "/logs", "/story", "/timeline", "/graph", "/events"):
            problem(south.get(f"/runs/only-north{what}"), 404, "run-not-found")
            problem(south.get(f"/runs/north%2Fonly-north{what}"), 404, "http-404")
        problem(south.delete("/runs/only-north"), 404, "run-not-found")
        problem(south.post("/runs/only-north/retry"), 404, "run-not-found")
        taken = south.post("/runs", json={**start, "id": "north/only-north"})
        problem(taken, 422, "bad-run-id")
        assert [run["id"] for run in south.get("/runs").json()["runs"]] == ["same"]
        assert [run["id"] for run in north.get("/runs?limit=1").json()["runs"]] == ["only-north"]
        assert "north/" not in north.get("/runs/same").text + north.get("/runs/same/timeline").text
        conflict = north.post("/runs", json={"function": "where", "args": [], "id": "same", "app": "app"})
        assert conflict.status_code == 202 or conflict.json()["joined"]
        assert {"north/same", "south/same"} <= {run["id"] for run in root.get("/runs").json()["runs"]}
        assert [app["name"] for app in south.get("/apps").json()] == ["app"]
        problem(south.post("/runs", json={"function": "add", "args": [1]}), 404, "function-not-found")
        problem(south.get(f"{guarded.url}/metrics"), 403, "not-a-tenants")


def test_no_token_is_kept(guarded: Server, capfd: pytest.CaptureFixture[str]) -> None:
    secret = made(guarded.folder, capfd, "kept", "--json")
    token = json.loads(secret)["token"]
    file = next(guarded.folder.rglob("gateway.db"))
    assert file.stat().st_mode & 0o077 == 0
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM token").fetchone()[0] >= 2
    connection.close()
    stored = b"".join(path.read_bytes() for path in file.parent.glob("gateway.db*"))
    assert token.encode() not in stored
    assert token[4:].encode() not in stored
    assert main(["token", "kept", "--db", f"sqlite:///{guarded.folder}/j.db"]) == 2
    assert main(["token", "x", "--tenant", "a/b", "--db", f"sqlite:///{guarded.folder}/j.db"]) == 2


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_other_hosts_than_the_loopback_ask_for_tokens(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.sweep
def test_tokens_are_asked_for_only_where_there_are_some(tmp_path: Path) -> None:
    place = place_of(f"sqlite:///{tmp_path}/j.db")
    with pytest.raises(UsageError, match="need tokens, and there is none"):
        serve(ServerSettings(place=place, asks_for_tokens=True), announce=print)
    (tmp_path / "bad.pem").write_text("no certificate")
    bad = (str(tmp_path / "bad.pem"), str(tmp_path / "bad.pem"))
    with pytest.raises(UsageError, match="no certificate and its key"):
        serve(ServerSettings(place=place, tls=bad), announce=print)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--storage-port", "1"), "--storage-port means nothing without --compat faasm"),
        (("--compat", "faasflow", "--wasm-time-s", "1"), "--wasm-time-s means nothing without --compat faasm"),
        (("--compat", "faasm", "--page"), "--page can't be shown with --compat faasm"),
    ],
)
def test_an_option_that_would_mean_nothing_is_refused(
    words: tuple[str, ...], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words, "--db", f"sqlite:///{tmp_path}/j.db"]) == 2
    assert says in capfd.readouterr().err
