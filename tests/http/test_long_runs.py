"""Long Runs are read beside the gateway: with the same answers, and whatever becomes of the process that reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.http import served

import weftrun
from weftrun.assembly import Reader, open_reader, place_of
from weftrun.entrypoints.http import readers as readers_module
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.long_look import Looking, LookRefused
from weftrun.entrypoints.http.long_runs import LongRuns
from weftrun.entrypoints.http.looks import LookAsked, What, told
from weftrun.entrypoints.http.problems import Refusal
from weftrun.entrypoints.http.readers import Readers

EVERYBODY = Caller()
WHATS: tuple[What, ...] = ("run", "steps", "logs", "story", "timeline", "page", "graph")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Journal with one Run."""
    url = f"sqlite:///{tmp_path_factory.mktemp('journal')}/j.db"
    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(served.twice.options(id="one"), 21)
    return url


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    opened = open_reader(url)
    yield opened
    opened.close()


def asked(what: What = "steps", run: str = "one") -> LookAsked:
    return LookAsked(what=what, run=run, caller=EVERYBODY)


def test_each_look_is_the_same_beside_the_gateway(url: str, reader: Reader) -> None:
    looking = Looking(url)
    for what in WHATS:
        assert looking.answer(asked(what)) == (True, told(reader, asked(what))), what
    is_told, answer = looking.answer(asked(run="none"))
    refused = msgspec.msgpack.decode(answer, type=LookRefused)
    assert (is_told, refused.problem.status, refused.problem.run) == (False, 404, "none")


def test_a_view_with_few_lines_has_a_short_answer(url: str, reader: Reader) -> None:
    view = LookAsked(what="view", run="one", caller=EVERYBODY, parts=frozenset({"steps"}), lines=1)
    seen = msgspec.json.decode(told(reader, view))
    assert seen["run"]["status"] == "succeeded"
    assert [step["id"] for step in seen["steps"]] == ["twice"]


@pytest.mark.sweep
def test_a_long_run_is_read_in_a_process_that_may_be_killed(
    url: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers_module, "_LONG_BYTES", -1)

    async def main() -> None:
        readers = Readers(place_of(url))
        try:
            assert readers._long._process is None, "it is started when it is needed"
            answers = await asyncio.gather(*(readers.look(asked(what)) for what in WHATS))
            assert answers == [told(reader, asked(what)) for what in WHATS]
            process = readers._long._process
            assert process is not None
            process.kill()
            process.wait(60)
            assert await readers.look(asked()) == told(reader, asked())
            assert readers._long._process is not process
            with pytest.raises(Refusal, match="There is no Run 'none'") as caught:
                await readers._long.ask(asked(run="none"))
            assert caught.value.problem.run == "none"
        finally:
            readers.close()
        assert readers._long._process is None
        with pytest.raises(RuntimeError):
            await readers._long.ask(asked())

    asyncio.run(main())


@pytest.mark.sweep
def test_it_ends_with_the_gateway(url: str) -> None:
    """However that ended: the process reads its questions from a pipe, and whoever is gone has closed it."""
    long_runs = LongRuns(url)
    asyncio.run(long_runs.ask(asked()))
    process = long_runs._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0
    long_runs.close()


def test_too_many_questions_are_refused(tmp_path: Path) -> None:
    long_runs = LongRuns(f"sqlite:///{tmp_path}/none.db")
    long_runs._waiting = 1_000
    with pytest.raises(Refusal, match="Too many ask"):
        asyncio.run(long_runs.ask(asked()))
    long_runs.close()
