"""The travel application's experiment: what it measures is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiments.exoflow import reservation


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_each_variant_keeps_the_rules_and_the_baseline_has_its_anomalies(tmp_path: Path) -> None:
    rates, variants = reservation.run(True, tmp_path, ["--rates", "10", "--seconds", "6", "--faults", "0.4"])
    assert [row[4] for row in rates.rows] == [0] * 4, "nobody's request fails for good"
    columns = list(variants.columns)
    wrong = [columns.index(name) for name in ("double orders", "miscounted", "locks left", "lost")]
    for row in variants.rows:
        if row[0] != "write-ahead log":
            assert [row[place] for place in wrong] == [0] * 4, row
    doubles = [row[columns.index("double orders")] for row in variants.rows if row[0] == "write-ahead log" and row[1]]
    assert doubles != [0], "an order that draws its id anew is placed twice when its reply is lost"


def test_the_mix_is_the_papers() -> None:
    drawn = reservation._mixed(20_000)
    shares = {kind: 100 * drawn.count(kind) / len(drawn) for kind in reservation._MIX}
    assert all(abs(shares[kind] - share) < 1.5 for kind, share in reservation._MIX.items()), shares
