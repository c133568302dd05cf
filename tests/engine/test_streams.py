"""Generators whose readers take what they yield while they go on: real processes, and whoever dies half way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine import streaming as s

import weftrun

SEVERAL = [45, 90, [0, 1, 2], 45]


@pytest.fixture(scope="module", params=["", "local:2"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('streams')}/journal.db"
    with weftrun.open(url, sandboxes=6, cluster=request.param or None) as engine:
        yield engine


@pytest.mark.parametrize("size", [0, 100_000])
def test_answers_are_those_of_a_plain_run(engine: weftrun.Engine, size: int) -> None:
    assert s.several(10, size) == engine.run(s.several, 10, size) == SEVERAL
    assert [i for i, _ in engine.run(s.answered, 5)] == [0, 1, 2, 3, 4]
    assert engine.run(s.awaited, 5) == asyncio.run(s.awaited(5)) == 10


def test_a_reader_begins_while_the_generator_goes_on(engine: weftrun.Engine, tmp_path: Path) -> None:
    """The generator waits for its reader, in the middle."""
    assert engine.run(s.together, str(tmp_path)) == [1, 2]


@pytest.mark.parametrize("how", ["raises", "dies"])
def test_every_reader_sees_what_one_attempt_yields(engine: weftrun.Engine, tmp_path: Path, how: str) -> None:
    """The first Attempt ends half way, when its chunks were read."""
    run = engine.start(s.drawn, 20, str(tmp_path), how)
    whole, *read = run.result(60)
    chunks = list(whole)
    assert len(chunks) == 20
    assert len(set(chunks)) == 1
    assert read == [chunks, chunks]
    steps = {str(step.id): step for step in run.steps()}
    assert steps["tokens[0]"].attempts == 2
    assert steps["tokens:stream[0]"].status == "succeeded"


def test_a_reader_that_dies_half_way_reads_from_the_beginning(engine: weftrun.Engine, tmp_path: Path) -> None:
    whole, read = engine.run(s.read_by_one_that_dies, 10, str(tmp_path))
    assert list(whole) == read


def test_a_generator_that_fails_fails_its_readers(engine: weftrun.Engine) -> None:
    """What they have read was provisional."""
    assert engine.run(s.broken) == "no more"


def test_with_one_sandbox_and_a_long_stream_nobody_waits_for_ever(tmp_path: Path) -> None:
    """A generator is not held up by readers that have not begun."""
    with weftrun.open(f"sqlite:///{tmp_path}/journal.db", sandboxes=1) as engine:
        assert engine.run(s.several, 300, 0)[0] == sum(range(300))


def test_a_control_trigger_lets_readers_wait_for_the_end(tmp_path: Path) -> None:
    with weftrun.open(f"sqlite:///{tmp_path}/journal.db", sandboxes=2, trigger="control") as engine:
        assert engine.run(s.several, 10, 0) == SEVERAL
