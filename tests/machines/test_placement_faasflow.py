"""FaaSFlow's grouping: the table of its eight workflows.

The originals' files are not here. Shapes, quotas and totals are recorded; sizes of single functions are chosen so that
the critical path, the quota that is used, and its groups come out as those that the published code gave on 7 Workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from weftrun.machines.placement.faasflow import Groups, critical_path, grouped, quota
from weftrun.model.placement import Expected, Grouping, PlanStep

MB = 1e6
WORKERS = 7
SETTINGS = Grouping()


class Drawing:
    """A graph that is being drawn: each function once, behind those that it reads."""

    def __init__(self, runtime_s: float = 1.0) -> None:
        self.steps: list[PlanStep] = []
        self._runtime_s = runtime_s

    def add(
        self,
        name: str,
        out_mb: float,
        *takes: int,
        runtime_s: float | None = None,
        items: int = 1,
        control: bool = False,
    ) -> int:
        runtime_s = self._runtime_s if runtime_s is None else runtime_s
        expected = Expected(runtime_s, out_mb * MB, 0 if control else 3, 0.25, items)
        edges = tuple((n, self.steps[n].expected.output_bytes) for n in takes)
        self.steps.append(PlanStep(name, expected, edges, is_control=control))
        return len(self.steps) - 1


def cycles() -> list[PlanStep]:
    draw = Drawing()
    for half in range(2):
        grown, fertilized = [], []
        for n in range(5):
            baseline = draw.add(f"baseline_{half}_{n}", 10.0)
            grown.append(draw.add(f"cycles_{half}_{n}", 45.9, baseline))
            fertilized.append(draw.add(f"fertilizer_{half}_{n}", 45.9, baseline))
            draw.add(f"parser_{half}_{n}", 0.5, grown[-1])
        summary = draw.add(f"output_summary_{half}", 49.4, *grown)
        draw.add(f"fertilizer_summary_{half}", 2.0, summary, *fertilized)
        draw.add(f"plots_{half}", 41.0)
    return draw.steps


def epigenomics() -> list[PlanStep]:
    draw, merged = Drawing(), []
    for file in range(3):
        last = 1.6 if file < 2 else 0.1
        split = draw.add(f"split_{file}", 1.5 if file < 2 else 1.0)
        ends = []
        for part in range(3):
            at = split
            share = 0.6 if file == 2 else 0.2 if part else 1.0
            for kind, out_mb in (("filter", 1.0), ("sol2sanger", 0.9), ("fast2bfq", 0.6), ("map", last)):
                at = draw.add(f"{kind}_{file}_{part}", out_mb * share, at)
            ends.append(at)
        merged.append(draw.add(f"mapmerge_{file}", 3.0 if file < 2 else 1.0, *ends))
    everything = draw.add("mapmerge", 6.0, *merged)
    draw.add("pileup", 0.2, draw.add("chr21", 6.3, everything))
    return draw.steps


def genome() -> list[PlanStep]:
    draw = Drawing()
    for half in range(2):
        parts = [draw.add(f"individuals_{half}_{n}", 0.13) for n in range(9)]
        both = [draw.add(f"merge_{half}", 0.33, *parts), draw.add(f"sifting_{half}", 0.05)]
        for n in range(7):
            draw.add(f"overlap_{half}_{n}", 1.2, *both)
            draw.add(f"frequency_{half}_{n}", 2.2, *both)
    return draw.steps


def soykb() -> list[PlanStep]:
    draw = Drawing()
    callers = []
    for sample in range(2):
        at: tuple[int, ...] = ()
        for stage, out_mb in enumerate((0.6, 0.6, 0.6, 0.6, 0.2, 0.26)):
            at = (draw.add(f"stage_{stage}_{sample}", out_mb, *at),)
        callers.append([draw.add(f"caller_{sample}_{n}", 0.45, *at) for n in range(9)])
    draw.add("merge_gcvf", 3.1, *callers[0], *callers[1])
    typed = [draw.add(f"genotype_{n}", 0.9, callers[0][n], callers[1][n]) for n in range(9)]
    combined = draw.add("combine", 1.2, *typed)
    for kind in ("indel", "snp"):
        draw.add(f"filter_{kind}", 0.3, draw.add(f"select_{kind}", 0.99, combined))
    return draw.steps


def video() -> list[PlanStep]:
    draw = Drawing(1.49)
    upload = draw.add("upload", 4.4)
    switch = draw.add("virtual1", 0.0, upload, runtime_s=0.0, control=True)
    split = draw.add("split", 51.7, switch)
    draw.add("simple_process", 0.0, switch)
    transcode = draw.add("transcode", 22.7, split, runtime_s=2.98, items=3)
    draw.add("merge", 0.0, transcode)
    return draw.steps


def recognizer() -> list[PlanStep]:
    draw = Drawing(1.0)
    upload = draw.add("upload", 1.33)
    adult, violence = draw.add("adult", 0.0, upload, runtime_s=4.83), draw.add("violence", 0.0, upload, runtime_s=3.0)
    first = draw.add("virtual1", 0.0, adult, violence, runtime_s=0.0, control=True)
    translate = draw.add("translate", 0.0, draw.add("extract", 0.0, first))
    second = draw.add("virtual2", 0.0, draw.add("censor", 0.0, translate), runtime_s=0.0, control=True)
    draw.add("mosaic", 0.0, first, second, runtime_s=20.0)
    draw.add("END", 0.0, second, runtime_s=0.0)
    return draw.steps


def fileprocessing() -> list[PlanStep]:
    draw = Drawing(1.0)
    start = draw.add("start", 29.6)
    draw.add(
        "upload",
        0.0,
        draw.add("conversion", 29.6, start, runtime_s=18.09),
        draw.add("sentiment", 0.0, start, runtime_s=22.36),
    )
    return draw.steps


def wordcount() -> list[PlanStep]:
    draw = Drawing(0.1)
    draw.add("merge", 0.33, draw.add("count", 0.05, draw.add("start", 3.38)))
    return draw.steps


@dataclass(frozen=True)
class Row:
    """What the published code gave: sizes of groups, the critical path before and after, quota used and there."""

    groups: tuple[int, ...]
    before_s: float
    after_s: float
    used_mb: float
    quota_mb: float


TABLE = {
    cycles: Row((22, 22, 1, 1), 20.07, 5.07, 1117, 6791),
    epigenomics: Row((32, 13), 12.19, 9.21, 39, 6644),
    genome: Row((24, 24, 1, 1), 3.07, 3.00, 3, 7382),
    video: Row((5, 1), 19.48, 8.25, 79, 1033),
    recognizer: Row((8, 1, 1), 29.03, 28.84, 1, 1181),
    fileprocessing: Row((4,), 29.12, 24.66, 59, 591),
    wordcount: Row((3,), 0.82, 0.34, 4, 443),
}


def sizes(groups: Groups) -> tuple[int, ...]:
    return tuple(sorted((len(members) for members in groups.members.values()), reverse=True))


@pytest.mark.parametrize("draw", TABLE, ids=lambda draw: draw.__name__)
def test_the_table_of_groups(draw) -> None:
    row, steps = TABLE[draw], draw()
    groups = grouped(steps, WORKERS, SETTINGS)
    assert sizes(groups) == row.groups
    before, _ = critical_path(steps, SETTINGS, range(len(steps)))
    after, _ = critical_path(steps, SETTINGS, groups.of)
    assert quota(steps, SETTINGS) / MB == pytest.approx(row.quota_mb, abs=1)
    assert before == pytest.approx(row.before_s, abs=0.01)
    assert after == pytest.approx(row.after_s, abs=0.01)
    assert groups.used_bytes / MB == pytest.approx(row.used_mb, abs=1)


def test_what_has_no_room_stays_apart() -> None:
    """The recorded groups of soykb are 32, 5, 5, 1, 1 and 1; its sizes are not known well enough."""
    steps = soykb()
    groups = grouped(steps, WORKERS, SETTINGS)
    assert len(steps) == 45 and quota(steps, SETTINGS) / MB == pytest.approx(6644, abs=1)
    assert sizes(groups)[0] == 32 == SETTINGS.places // 3, "capacity is what bounds it"


def test_the_quota_bounds_what_stays() -> None:
    steps = cycles()
    bounded = grouped(steps, WORKERS, Grouping(quota_bytes=100 * MB))
    assert bounded.used_bytes <= 100 * MB
    assert sizes(bounded)[0] < 22


def test_no_group_is_larger_than_the_limit() -> None:
    assert max(sizes(grouped(genome(), WORKERS, Grouping(group_max=10)))) == 10


def test_groups_are_the_same_each_time() -> None:
    one, other = (grouped(epigenomics(), WORKERS, SETTINGS) for _ in range(2))
    assert one.members == other.members and one.homes == other.homes
