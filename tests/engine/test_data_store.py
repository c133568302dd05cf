"""Large values through files instead of memory: the same results, and what each Step moved is told."""

from __future__ import annotations

from pathlib import Path

import pytest

import weftrun
from weftrun import function, workflow
from weftrun.views.step import StepView

SIZE = 300_000


@function(effects="none")
def make(n: int) -> bytes:
    return bytes([n]) * SIZE


@function(effects="none")
def join(parts: list[bytes], more: list[bytes]) -> list[int]:
    return [len(parts), sum(map(len, parts)), more[1][0]]


@workflow
def both(given: bytes) -> list[int]:
    return join([make(1), make(2), given], make.map([3, 4]))


def ran(folder: Path, data: str, **options: object) -> tuple[list[int], dict[str, StepView]]:
    with weftrun.open(f"sqlite:///{folder}/{data}.db", sandboxes=2, data=data, **options) as engine:  # type: ignore[arg-type]
        run = engine.start(both, b"x" * SIZE)
        result = run.result(timeout_s=60)
        run.logs()  # what the trace has gathered is written by then
        return result, {str(step.id): step for step in run.steps()}  # type: ignore[misc]


@pytest.mark.parametrize("cluster", [None, pytest.param("local:2", marks=pytest.mark.sweep)])
def test_results_are_the_same_and_what_was_moved_is_told(tmp_path: Path, cluster: str | None) -> None:
    results = []
    for data in ("local", "store"):
        result, steps = ran(tmp_path, data, cluster=cluster)
        results.append(result)
        assert steps["make[0]"].written_bytes > SIZE and steps["make[0]"].read_bytes == 0
        assert steps["join[0]"].read_bytes > 4 * SIZE and steps["join[0]"].written_bytes == 0
        assert steps["make[2]"].written_bytes > 2 * SIZE
        assert steps["join[0]"].read_s > 0 and steps["make[0]"].written_s > 0
    assert results == [[3, 3 * SIZE, 4]] * 2
    assert [list(folder.iterdir()) for folder in tmp_path.rglob("store")] == [[]], (
        "files have no names, and go with their last holder"
    )


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(weftrun.UsageError, match="data='memory' is not known: it takes 'local' or 'store'"):
        weftrun.open(f"sqlite:///{tmp_path}/j.db", data="memory")
    with pytest.raises(weftrun.UsageError, match="cluster=3 is not known: it takes `local:N`"):
        weftrun.open(f"sqlite:///{tmp_path}/j.db", cluster=3)
