"""The micro-benchmarks of ExoFlow's Figure 8: they run, and measure what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiments.exoflow import handover, pipeline, rate, sharing


@pytest.mark.sweep
def test_a_payload_of_each_size_is_handed_over_in_each_way(tmp_path: Path) -> None:
    (table,) = handover.run(True, tmp_path, ["--samples", "1", "--bytes-max", "1048576"])
    assert [row[:2] for row in table.rows] == [
        (size, mode) for size in (1, 128 * 1024, 1024**2) for mode in ("none", "auto", "async", "sync")
    ]
    assert all(0 < row[2] < row[4] and 0 < row[3] < row[4] for row in table.rows), table.rows


@pytest.mark.sweep
def test_consumers_share_one_copy_by_reference_and_have_their_own_by_file(tmp_path: Path) -> None:
    (table,) = sharing.run(True, tmp_path, ["--rows", "4096", "--samples", "1", "--consumers", "3"])
    assert [(row[0], row[2], row[4]) for row in table.rows] == [(1, 1, 1), (2, 1, 2), (3, 1, 3)]


@pytest.mark.sweep
def test_rates_are_of_all_settings(tmp_path: Path) -> None:
    (table,) = rate.run(True, tmp_path, ["--steps", "200"])
    assert [row[:2] for row in table.rows] == [(n, kept) for n in (1, 2, 4) for kept in ("no", "yes")]
    assert all(row[2] > 0 and row[3] > 0 for row in table.rows)


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_a_pipeline_gives_one_answer_whatever_fails_and_does_little_again(tmp_path: Path) -> None:
    words = ["--sizes", "1", "--epochs", "3", "--samples", "1", "--modes", "none", "auto", "--failures", "cluster"]
    sizes, failures = pipeline.run(True, tmp_path, words)
    assert [row[1] for row in sizes.rows] == ["none", "auto"]
    again = {(row[0], row[1]): row[4] for row in failures.rows}
    assert again["cluster", "none"] >= again["cluster", "auto"] > 0, again
