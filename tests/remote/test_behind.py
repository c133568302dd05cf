"""Functions behind a URL, called by an engine, and the ASGI app at the other end."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from tests.remote.serving import Script, answer, served

import weftrun
from weftrun import PolicyError, UsageError, asgi_app, function, http_function, workflow
from weftrun.model.ids import StepId, effect_key

TOKEN = "a token of the tests"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The Functions, with a server of them."""
    script = Script()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEFTRUN_TEST_TOKEN", TOKEN)
        patch.setenv("WEFTRUN_TEST_LYING", script.url)
        here: Any = importlib.import_module("tests.remote.behind")
        with served(asgi_app(*here.THERE, token=TOKEN, body_bytes_max=10_000)) as url:
            patch.setenv("WEFTRUN_TEST_BEHIND", url)
            here = importlib.reload(here)
            here.script = script
            yield here
    script.close()


@pytest.fixture(scope="module")
def engine(behind: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    with weftrun.open(f"sqlite:///{tmp_path_factory.mktemp('behind') / 'j.db'}", sandboxes=1) as opened:
        yield opened


def test_a_workflow_calls_what_lives_behind_a_url(behind: Any, engine: weftrun.Engine) -> None:
    found = engine.run(behind.scores, ["tea", "coffee"])
    assert found == [behind.Scored("tea", 6), behind.Scored("coffee", 12)]
    assert engine.run(behind.echo, "as it is") == b"as it is"


def test_the_key_is_the_steps(behind: Any, engine: weftrun.Engine) -> None:
    keys, uid = engine.run(behind.keys)
    assert keys == [effect_key(uid, StepId("key[0]")), effect_key(uid, StepId("key[1]"))]


def test_an_answer_that_came_too_late_is_got_by_the_next_attempt(behind: Any, engine: weftrun.Engine) -> None:
    """What ran on behind the first Attempt's deadline is not run again: the second one waits for it."""
    assert engine.run(behind.slow_once.options(retries=20), "one") == 1


def test_the_errors_are_told_apart(behind: Any, engine: weftrun.Engine, tmp_path: Path) -> None:
    with pytest.raises(weftrun.RemoteFailed, match="500: LookupError: no tea here"):
        engine.run(behind.fails, "tea")
    with pytest.raises(weftrun.RemoteFailed, match=r"current\(\).emit\(...\) in a Function behind a URL"):
        engine.run(behind.emits)
    with pytest.raises(weftrun.RemoteRefused, match="answered 401"):
        engine.run(behind.without_token, "tea")
    with pytest.raises(weftrun.RemoteRefused, match="There is no Function 'nowhere' here"):
        engine.run(behind.nowhere)
    with pytest.raises(weftrun.RemoteRefused, match="answered 413"):
        engine.run(behind.echo, "x" * 20_000)
    with pytest.raises(weftrun.RemoteRefused, match=r"422.*Expected `int`"):
        engine.run(behind.score, "x", weight="much")
    with pytest.raises(UsageError, match="can't be sent as JSON"):
        engine.run(behind.echo, object)
    behind.script.answers["/cut"] = answer(200, b'"half', length=100)
    with pytest.raises(weftrun.RemoteUnknown, match="ended after 5 bytes"):
        engine.run(behind.cut)
    behind.script.answers["/cut"] = answer(200, b"7")
    with pytest.raises(weftrun.RemoteFailed, match="what is no value of it: Expected `str`"):
        engine.run(behind.cut)


def test_the_app_speaks_http(behind: Any) -> None:
    app = asgi_app(*behind.THERE, at_once_max=1)
    with served(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        told = {one["name"]: one for one in client.get("/").json()}
        assert told["score"]["doc"] == "Score a text." and told["score"]["arguments"]["required"] == ["text"]
        assert client.get("/score").status_code == 405
        assert client.post("/score", content=b"{").status_code == 422
        assert client.post("/score", json=["tea"]).json() == {"text": "tea", "score": 3}
        key = {"Idempotency-Key": "one"}
        assert client.post("/slow_once", json=["app"], headers=key | {"Weftrun-Deadline-S": "0.05"}).status_code == 504
        busy = client.post("/score", json=["tea"])
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
        assert client.post("/slow_once", json=["app"], headers=key).json() == 1
        assert client.post("/slow_once", json=["app"], headers=key).json() == 1
        assert client.post("/slow_once", json=["other"], headers=key).status_code == 409
        for wrong in ("nan", "-1", "soon"):
            assert client.post("/score", json=["tea"], headers={"Weftrun-Deadline-S": wrong}).status_code == 400
        assert client.post("/fails", json=["tea"]).headers["Content-Type"] == "application/problem+json"


def plain(n: int) -> int:
    return n


async def waits(n: int) -> int:
    return n


def test_what_can_not_be_is_refused() -> None:
    decorate = http_function("http://127.0.0.1:9/f", name="f")
    made = decorate(plain)
    assert made.spec.timeout_s == 65 and made.spec.sharing is not None and made.spec.sharing.most == 16
    assert made.spec.version != http_function("http://127.0.0.1:9/g", name="g")(plain).spec.version
    assert http_function("http://127.0.0.1:9/f", name="s", protect="strict")(plain).spec.network
    with pytest.raises(PolicyError, match="takes a plain `def`"):
        decorate(waits)
    with pytest.raises(PolicyError, match="lives behind a URL, and needs the network"):
        http_function("http://127.0.0.1:9/f", network=False)(plain)
    with pytest.raises(UsageError, match="is not a positive number of seconds"):
        http_function("http://127.0.0.1:9/f", deadline_s=0)
    with pytest.raises(UsageError, match="takes Functions"):
        asgi_app(workflow(plain, name="no Function"))
    with pytest.raises(UsageError, match="two Functions are called plain"):
        asgi_app(function(plain), function(plain, name="other:plain"))
    with pytest.raises(UsageError, match="at_once_max=0"):
        asgi_app(at_once_max=0)
