"""An author's own error is caught by its type in a workflow, and by whoever asks for the result."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine import refusing
from tests.sdk import refusals as r

import weftrun

pytestmark = pytest.mark.usefixtures("shared_engine")


def test_a_saga_undoes_what_it_has_done(engine: weftrun.Engine, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert engine.run(refusing.trip, str(ledger)) == "by train, no car in Oslo: sold out"
    assert ledger.read_text() == "the hotel is given back: no car in Oslo: sold out"


def test_each_is_caught_by_its_type_and_handed_on_to_a_step(engine: weftrun.Engine) -> None:
    expected = [f"{type(error).__name__}: {error}" for error in (make() for make in r.CASES.values())]
    assert engine.run(refusing.catches_all, list(r.CASES)) == expected


@pytest.mark.parametrize(
    "case", ["more arguments", "formatted", "OSError with a file", "group", "class made on demand"]
)
def test_whoever_asks_gets_it_again_from_the_journal(engine: weftrun.Engine, case: str) -> None:
    error = r.CASES[case]()
    run = engine.start(refusing.raises, case)
    for asked in (run, engine.get(run.id)):
        with pytest.raises(type(error).__bases__) as caught:
            asked.result(30)
        assert type(caught.value).__name__ == type(error).__name__ and str(caught.value) == str(error)


def test_what_can_not_be_rebuilt_says_why(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.StepFailed, match=r"StepFailed, because it can't be rebuilt: .*'_thread.lock'"):
        engine.run(refusing.raises_of_a_class_that_no_other_process_can_have)
