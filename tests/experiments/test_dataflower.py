"""DataFlower's experiment: the same word count with both triggers."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiments.dataflower import overlap
from experiments.dataflower.functions import PARTS, text_of, words


def test_the_parts_are_whole_words() -> None:
    for seed in range(3):
        text = text_of(seed, 8_000)
        assert len(text.split()) == 1_000 and {len(word) for word in text.split()} == {7}
    assert words(1, 8_000 * PARTS, 1e6, 1) == 1_000 * PARTS


@pytest.mark.sweep
def test_both_triggers_are_measured(tmp_path: Path) -> None:
    small = ["--requests", "2", "--rounds", "1", "--clients", "2", "--mb", "0.1"]
    latency, throughput = overlap.run(quick=True, out=tmp_path, arguments=small)
    assert [row[:2] for row in latency.rows] == [("control", 2), ("data", 2)]
    assert [row[0] for row in throughput.rows] == ["control", "data"]
    assert latency.rows[0][-2:] == ("+0.0%", "+0.0%")
