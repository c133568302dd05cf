"""Where Steps run changes no answer; what they took is known of the next Run, also to another engine."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tests.engine import hosts as h

import weftrun
from weftrun.assembly.engine import EmbeddedCore
from weftrun.machines.placement import Planner
from weftrun.model.errors import UsageError

SETTINGS = [
    pytest.param(*each, marks=() if each == ("hash", "master") else pytest.mark.sweep)
    for each in itertools.product(("planned", "hash", "faasflow"), ("worker", "master"))
]


@pytest.mark.parametrize(("placement", "control"), SETTINGS)
def test_answers_are_the_same_wherever_steps_run(url: str, placement: str, control: str) -> None:
    with weftrun.open(url, cluster="local:2", sandboxes=2, placement=placement, control=control) as engine:
        assert engine.run(h.chain, 30) == 30
        assert engine.run(h.joined, 200_000) == 800_000.0
        assert engine.run(h.mapped, 500) == [2 * i for i in range(500)]
        assert engine.run(h.watching, 5) == 10


@pytest.mark.sweep
def test_what_steps_took_is_known_to_the_next_engine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planners: list[Planner] = []
    make = Planner.__init__

    def kept(self, *args):
        make(self, *args)
        planners.append(self)

    monkeypatch.setattr(Planner, "__init__", kept)
    for _ in range(2):
        with weftrun.open(url, cluster="local:1", sandboxes=2) as engine:
            assert engine.run(h.chain, 3) == 3
    last = planners[-1].expected((h.chain.spec.name, h.chain.spec.label))
    assert [each.runtime_s > 0 for each in last.values()] == [True]
    with weftrun.open(url, cluster="local:1", sandboxes=2) as engine:
        assert isinstance(engine._core, EmbeddedCore)
        engine._core.expect(h.chain.spec, {})  # before any Run of it here
        assert engine.run(h.chain, 1) == 1
    assert planners[-1].expected((h.chain.spec.name, h.chain.spec.label)).keys() == last.keys()


def test_a_placement_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="placement='near' is not known: it takes one of 'planned', 'hash', 'faasflow'"
    ):
        weftrun.open(f"sqlite:///{tmp_path}/app.db", cluster="local:1", placement="near")
