"""The picture: how each ratio lies to its target. It needs matplotlib, which only the `[bench]` extra brings."""

from __future__ import annotations

import importlib
import importlib.util
import statistics
from pathlib import Path
from typing import Any

from bench.figure import Absent, Figure, short

_GOOD, _BAD, _AIM = "#2a7f62", "#c0392b", "#7a7a7a"
_LEAST = 0.02


def require() -> None:
    """Say so before anything is measured, if no picture can be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise Absent("a picture needs matplotlib: pip install 'weftrun[bench]'.")


def needed(figure: Figure, target: float) -> float:
    """Return the share of a target that is used up: up to 1 it is met, whichever way the ratio must lie."""
    share = target / figure.ratio if figure.at_least else figure.ratio / target
    return max(share, _LEAST)


def draw(figures: list[Figure], machine: str, file: Path) -> None:
    """Draw all figures that have a target: a bar to the ratio, a line where it must end, a mark where it should."""
    require()
    shown = [figure for figure in reversed(figures) if figure.must is not None]
    if not shown:
        raise Absent("No picture was drawn: none of these figures has a target.")
    drawing: Any = importlib.import_module("matplotlib.figure")  # late: it is optional, and slow to import
    picture = drawing.Figure(figsize=(11, 1.6 + 0.42 * len(shown)), layout="constrained")
    axes = picture.add_subplot()
    for row, figure in enumerate(shown):
        _bar(axes, row, figure)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.axvline(1.0, color="black", linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(_LEAST, max([4.0, *(1.6 * needed(figure, figure.must or 1.0) for figure in shown)]))
    ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(shown)), [figure.name for figure in shown])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title("weftrun beside the same machine without it: left of the line the target is met", loc="left")
    axes.set_xlabel("share of the target used up (1 = must; ◆ = aim; whiskers: the rounds)\n" + machine, fontsize=8)
    picture.savefig(file, dpi=130)


def _bar(axes: Any, row: int, figure: Figure) -> None:
    must = figure.must or 1.0
    share = needed(figure, must)
    low, high = (
        max(must / ratio if figure.at_least else ratio / must, _LEAST)
        for ratio in sorted((min(figure.ratios), max(figure.ratios)), reverse=figure.at_least)
    )
    axes.barh(row, share, color=_GOOD if share <= 1 else _BAD, height=0.6)
    axes.plot([low, high], [row, row], color="black", linewidth=1)
    if figure.aim:
        axes.plot(figure.aim / must if not figure.at_least else must / figure.aim, row, "D", color=_AIM, markersize=5)
    axes.annotate(
        _text(figure), (max(share, high, 1.0), row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
    )


def _text(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    if figure.fixed:
        value, bound = statistics.median(figure.values), statistics.median(figure.floors)
        return f"{short(value)} {figure.unit} (must {sign} {bound:,g})"
    return f"{figure.ratio:.3g} × {figure.floor} (must {sign} {figure.must:g})"
