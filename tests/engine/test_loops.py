"""Event loops in Sandboxes: Functions run loops of their own, and bodies are told that they have none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conftest import assert_closed
from tests.sdk import loops

import weftrun

SENTENCE = r"The async workflow waits awaited .*: it may await only Refs \(`await f.step\(...\)`\)"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('loops') / 'journal.db'}"
    with weftrun.open(url, sandboxes=1) as opened:
        yield opened
    assert_closed(url)


@pytest.mark.parametrize("way", [way.__name__ for way in loops.WAYS])
def test_a_function_may_run_a_loop_of_its_own(engine: weftrun.Engine, way: str) -> None:
    assert engine.run(loops.nests, way, 3) == [3, 3]


@pytest.mark.parametrize("what", loops.WAITS)
def test_waiting_for_a_loop_is_refused_in_words(engine: weftrun.Engine, what: str) -> None:
    with pytest.raises(weftrun.UsageError, match=SENTENCE):
        engine.run(loops.waits, what)
