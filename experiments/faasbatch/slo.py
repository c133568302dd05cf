"""Kraken's SLO, from the 40th to the 98th percentile of vanilla's latency: Sandboxes against latency."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.faasbatch import cpu
from experiments.faasbatch.measuring import FIGURES
from experiments.faasbatch.strategies import WINDOW_S, strategies
from experiments.table import Table

_QUANTILES = (*(share / 100 for share in range(40, 100, 5)), 0.98)
_QUICK = (0.4, 0.7, 0.98)
_PREDICTORS = ("oracle", "average")


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Replay once as vanilla; then as Kraken, whose SLO is a quantile of what that took."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/slo")
    parser.add_argument("--calls", type=int, default=60 if quick else 400, metavar="N", help="of the trace")
    parser.add_argument(
        "--predictor", choices=_PREDICTORS, default="oracle", help="knows what comes, or goes by what has come"
    )
    chosen = parser.parse_args(arguments)
    found = strategies("cpu", window_s=WINDOW_S, slo_s=1.0)
    vanilla = cpu.fibonaccis("vanilla, tick", found["vanilla, tick"], out, count=chosen.calls)
    rows: list[Sequence[object]] = [("vanilla, tick", "-", "-", *vanilla.figures(), "-")]
    for quantile in _QUICK if quick else _QUANTILES:
        slo_s = vanilla.at(quantile)
        kraken = strategies("cpu", window_s=WINDOW_S, slo_s=slo_s, predictor=chosen.predictor)["Kraken, tick"]
        measured = cpu.fibonaccis("Kraken, tick", kraken, out, count=chosen.calls)
        missed = sum(call.latency_s > slo_s for call in measured.calls) / len(measured.calls)
        rows.append(("Kraken, tick", quantile, round(1e3 * slo_s), *measured.figures(), round(100 * missed, 1)))
    columns = ("strategy", "quantile", "SLO ms", *FIGURES, "later %")
    title = f"{chosen.calls} calls of fib(N - {cpu.SMALLER}), 4 times as fast; Kraken with a predictor that is: "
    notes = (
        "The SLO is of the whole latency of vanilla, as in the original; Kraken bounds by it what calls of one Sandbox "
        "take one after the other, so that window and cold start come on top. Where the SLO is shorter than a call "
        "takes on average the original divides by zero; here each call has a Sandbox then."
    )
    return [Table("slo", title + chosen.predictor, columns, rows, notes)]
