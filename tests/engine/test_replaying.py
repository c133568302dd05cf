"""Replaying Runs against other code, without an engine: what fits, what does not, and that nothing happens."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until

import weftrun
from weftrun.assembly import open_reader
from weftrun.assembly.history import history_lines, read_history
from weftrun.testing.replaying import replay

APP = """
import weftrun
from weftrun import function, workflow

@function
def draft(n: int) -> bytes:
    return bytes(n)

@function
def size(data: bytes) -> int:
    return len(data)

@function
def publish(n: int) -> int:
    raise AssertionError("a replay runs no Function")

@workflow
async def part(data: bytes) -> int:
    return await size.step(data)

@workflow
async def article(n: int) -> int:
    data = await draft.step(n)
    FIRST
    print("one body")
    parts = await size.map([data, data])
    value = await weftrun.signal("verdict", int) + await part.step(data)
    SECOND
    return value + sum(parts)
"""
LARGE = 100_000
NOTHING = "pass"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("articles")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("articles", None)


@pytest.fixture(scope="module")
def write(folder: Path) -> Callable[..., ModuleType]:
    """Give the app other code."""

    def written(first: str = NOTHING, second: str = NOTHING, app: str = APP) -> ModuleType:
        text = app.replace("FIRST", first).replace("SECOND", second)
        (folder / "articles.py").write_text(text)
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            importlib.invalidate_caches()
            module = sys.modules.get("articles")
            return importlib.reload(module) if module is not None else importlib.import_module("articles")
        finally:
            sys.dont_write_bytecode = before

    return written


@pytest.fixture(scope="module")
def url(folder: Path, write: Callable[..., ModuleType]) -> str:
    """A Journal with a Run that waits for a signal behind its map, and one that has ended."""
    app = write()
    url = f"sqlite:///{folder}/journal.db"
    with weftrun.open(url, sandboxes=1) as engine:
        waits = engine.start(app.article.options(id="waits"), LARGE)
        ended = engine.start(app.article.options(id="ended"), LARGE)
        ended.signal("verdict", 1)
        assert ended.result(timeout_s=60) == 1 + 3 * LARGE
        until(lambda: waits.waiting_for == "signal verdict" or len(waits.steps()) == 4)
        until(lambda: [step.status for step in waits.steps() if step.id == "size[0]"] == ["succeeded"])
    assert_closed(url)
    return url


def lines(url: str, id: str, *, values: bool = True) -> list[str]:
    reader = open_reader(url)
    try:
        info = reader.find(id)
        assert info is not None
        return list(history_lines(reader, info, values=values))
    finally:
        reader.close()


@pytest.mark.parametrize("id", ["waits", "ended"])
def test_the_same_code_fits(url: str, write: Callable[..., ModuleType], id: str, capsys: pytest.CaptureFixture) -> None:
    came = replay(lines(url, id), write().article)
    assert came.fits
    assert came.calls == {"waits": 3, "ended": 4}[id]
    assert capsys.readouterr().out == ""


def test_a_call_before_what_is_on_record_does_not(url: str, write: Callable[..., ModuleType]) -> None:
    app = write(first="await publish.step(1)")
    told = r"article calls publish\[0\] now.*size\[0\]\.\n  - on record: size\[0\]\n  \+ made now:  publish\[0\]"
    with pytest.raises(weftrun.ReplayDiverged, match=f"(?s){told}"):
        replay(lines(url, "waits"), app.article)


def test_a_call_behind_it_does(url: str, write: Callable[..., ModuleType]) -> None:
    assert replay(lines(url, "waits"), write(second="await publish.step(1)").article).fits
    assert replay(lines(url, "ended"), write(second="await publish.step(1)").article).fits


def test_a_patch_keeps_the_old_calls(url: str, write: Callable[..., ModuleType]) -> None:
    app = write(first='n = await publish.step(1) if weftrun.patched("first") else n')
    for id in ("waits", "ended"):
        assert replay(lines(url, id), app.article).fits


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("missing()", "NameError: name 'missing' is not defined"),
        ("return 1", r"returns before it calls size\[0\]"),
        ("raise ValueError('no')", r"ends with ValueError: no before it calls size\[0\]"),
        ("data = data[:5]", r"size\[0\] was recorded with other arguments"),
    ],
)
def test_what_does_not_fit_is_told(url: str, write: Callable[..., ModuleType], first: str, why: str) -> None:
    with pytest.raises(weftrun.ReplayDiverged, match=why):
        replay(lines(url, "waits"), write(first=first).article)


def test_a_run_that_had_succeeded_and_would_fail(url: str, write: Callable[..., ModuleType]) -> None:
    app = write(second="raise ValueError('no')")
    with pytest.raises(weftrun.ReplayDiverged, match="it had succeeded, and would fail by ValueError: no"):
        replay(lines(url, "ended"), app.article)


def test_a_body_that_never_awaits_is_ended(url: str, write: Callable[..., ModuleType]) -> None:
    app = write(
        first="\n    while True: pass",
        app=APP.replace("@workflow\nasync def art", "@workflow(body_timeout_s=0.2)\nasync def art"),
    )
    with pytest.raises(weftrun.ReplayDiverged, match=r"article went on for more than 0.2 s without an await"):
        replay(lines(url, "waits"), app.article)


def test_bad_histories(url: str, write: Callable[..., ModuleType], tmp_path: Path) -> None:
    app = write()
    whole = lines(url, "ended")
    assert [json.loads(line)["id"] for line in whole[:1]] == ["ended"]
    head = json.loads(whole[0])
    with pytest.raises(weftrun.UsageError, match="written by a newer weftrun"):
        replay([json.dumps(head | {"weftrun_history": 2}), *whole[1:]], app.article)
    with pytest.raises(weftrun.UsageError, match="is no history of a Run"):
        replay(whole[1:], app.article)
    with pytest.raises(weftrun.UsageError, match="is no line of a history"):
        replay(["nonsense"], app.article)
    with pytest.raises(weftrun.UsageError, match="not of articles:part"):
        replay(whole, app.part)
    row = json.loads(whole[1])
    damaged = json.dumps(row | {"body": row["body"][:-8] + "AAAAAAA="})
    with pytest.raises(weftrun.JournalError, match="damaged"):
        replay([whole[0], damaged], app.article)
    file = tmp_path / "ended.jsonl"
    file.write_text("\n".join(whole))
    assert replay(file, app.article).fits
    assert read_history(file).blobs, "large values are part of it"
    with pytest.raises(weftrun.ReplayDiverged, match="was written without the value"):
        replay(lines(url, "ended", values=False), app.article)
