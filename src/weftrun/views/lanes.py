"""A timeline for the terminal: a line per Sandbox, darker where it was busier, and where the time went below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from weftrun.views.time_breakdown import Interval, TimeBreakdown, merge
from weftrun.views.timeline import Timeline, TimelineLane
from weftrun.views.units import count_of, duration

_SHADES = " ░▒▓█"
_STEPS_NAMED_MAX = 12
_MARKS_NAMED_MAX = 20
_MARKS = {"engine": "|", "woken": "|", "crash": "×", "takeover": "↻"}
_MEANING = {
    **dict.fromkeys(_SHADES[1:], "busy"),
    "!": "failed",
    "·": "body",
    ">": "running",
    "×": "crash",
    "↻": "takeover",
    "|": "engine",
}


def lanes(line: Timeline, width: int = 100) -> list[str]:
    """Return lines of at most `width` columns; at least 40 are used. The legend says what their marks mean."""
    name_width = max([8, *(len(f"Sandbox {lane.sandbox}") for lane in line.lanes)])
    columns = max(40, width) - name_width - 2
    shown = [f"{f'Sandbox {lane.sandbox}':<{name_width}} │{_cells(line, lane, columns)}" for lane in line.lanes]
    for worker, came in transfers_by_worker(line).items():
        shown.append(f"{f'to {worker}':<{name_width}} │{_shaded(line, came, columns)}".rstrip())
    if line.gated:
        shown.append(f"{'disk':<{name_width}} │{_shaded(line, line.gated, columns)}".rstrip())
    if len(line.marks) > 1:
        shown.append(f"{'engines':<{name_width}} │{_marked(line, columns)}")
    length = duration(line.over_at - line.began_at)
    axis = f"{'':<{name_width}} └0{'─' * max(0, columns - len(length) - 1)}{length}"
    events = [f"  {mark.at - line.began_at:+.3f} s {mark.text}" for mark in line.marks[1 : _MARKS_NAMED_MAX + 1]]
    return [*shown, axis, *_legend(line, max(40, width)), *events, *time_breakdown_lines(line.time_breakdown)]


def transfers_by_worker(line: Timeline) -> dict[int, list[Interval]]:
    """Return by Worker when Objects were on their way to it."""
    found: dict[int, list[Interval]] = {}
    for transfer in line.transfers:
        found.setdefault(transfer.worker, []).append((transfer.began_at, transfer.came_at))
    return {worker: list(merge(found[worker])) for worker in sorted(found)}


def parts_of(shown: str) -> Iterator[tuple[str, str]]:
    """Yield a line of `lanes` in pieces, each with what it is: a mark, `busy`, or nothing in particular."""
    head, bar, cells = shown.partition("│")
    if not bar:
        yield shown, ""
        return
    yield head + bar, ""
    disk = head.startswith("disk")
    for mark, group in groupby(cells, lambda cell: "disk" if disk and cell != " " else _MEANING.get(cell, "")):
        yield "".join(group), mark


def _legend(line: Timeline, width: int) -> list[str]:
    """Return what the marks that are used mean."""
    spans = [span for lane in line.lanes for span in lane.spans]
    kinds = {mark.kind for mark in line.marks[1:]}
    used = [
        ("░▒▓█ bodies of Functions, darker where busier", any(not span.is_body for span in spans)),
        ("· a Workflow's body", any(span.is_body for span in spans)),
        ("! a failed Attempt", any(span.failed for span in spans)),
        ("> ran still when it was seen last", any(span.is_running for span in spans)),
        ("to N: Objects on their way to Worker N", bool(line.transfers)),
        ("disk: Steps stood still for it", bool(line.gated)),
        ("× an engine was gone", "crash" in kinds),
        ("↻ another one took the Run over", "takeover" in kinds),
        ("| an engine has it again", bool(kinds & {"engine", "woken"})),
    ]
    lines = [""]
    for text in (text for text, is_used in used if is_used):
        joined = f"{lines[-1]}; {text}" if lines[-1] else text
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(text)
    return lines if lines[0] else []


def _marked(line: Timeline, columns: int) -> str:
    """Return the line of engines: where one was gone, and where another one had the Run."""
    scale = columns / ((line.over_at - line.began_at) or 1.0)
    cells = [" "] * columns
    for mark in line.marks[1:]:
        place = min(columns - 1, max(0, int((mark.at - line.began_at) * scale)))
        if mark.kind != "crash" and cells[place] == "×" and place + 1 < columns:
            place += 1  # a take-over that followed at once would hide what it followed
        cells[place] = _MARKS[mark.kind]
    return "".join(cells).rstrip()


def time_breakdown_lines(time_breakdown: TimeBreakdown) -> list[str]:
    """Return where the time went, as sentences."""
    wall = time_breakdown.wall_s or 1.0
    share = [
        f"running {duration(time_breakdown.running_s)} ({time_breakdown.running_s / wall:.0%})",
        f"waiting for the disk {duration(time_breakdown.committing_s)} ({time_breakdown.committing_s / wall:.0%})",
        f"waiting otherwise {duration(time_breakdown.waiting_s)} ({time_breakdown.waiting_s / wall:.0%})",
    ]
    if not time_breakdown.traced:
        share = [share[0], f"waiting {duration(time_breakdown.waiting_s)} (no trace: for what is not known)"]
    lines = [f"{duration(time_breakdown.wall_s)} in all: {', '.join(share)}."]
    if time_breakdown.sandboxes:
        on = count_of(time_breakdown.sandboxes, "Sandbox")
        lines.append(f"{duration(time_breakdown.body_s)} in bodies on {on}, busy {time_breakdown.busy:.0%}.")
    if time_breakdown.chain:
        lines.append(f"Longest chain {duration(time_breakdown.chain_s)}: {_chain(time_breakdown.chain)}.")
    return lines


def _chain(chain: Sequence[str]) -> str:
    if len(chain) <= _STEPS_NAMED_MAX:
        return " → ".join(chain)
    half = _STEPS_NAMED_MAX // 2
    dropped = f"… {len(chain) - 2 * half:,} more …"
    return " → ".join([*chain[:half], dropped, *chain[-half:]])


def _cells(line: Timeline, lane: TimelineLane, columns: int) -> str:
    """Return one lane: how busy each column's time was, with failures and waiting bodies marked."""
    ran = [(span.entered_at, span.left_at) for span in lane.spans if not span.is_body]
    cells = list(_shaded(line, ran, columns))
    scale = columns / ((line.over_at - line.began_at) or 1.0)
    for span in lane.spans:
        first = min(columns - 1, max(0, int((span.entered_at - line.began_at) * scale)))
        last = min(columns - 1, max(0, int((span.left_at - line.began_at) * scale)))
        if span.failed:
            cells[last] = "!"
        elif span.is_body:
            cells[first : last + 1] = ["·" if cell == " " else cell for cell in cells[first : last + 1]]
        if span.is_running:
            cells[last] = ">"
    return "".join(cells).rstrip()


def _shaded(line: Timeline, intervals: Sequence[tuple[float, float]], columns: int) -> str:
    """Return a line whose cells are as dark as the share of their time that the intervals cover."""
    cell_s = ((line.over_at - line.began_at) or 1.0) / columns
    covered = [0.0] * columns
    for begin, end in intervals:
        _cover(covered, (begin - line.began_at) / cell_s, (end - line.began_at) / cell_s)
    return "".join(_shade(min(1.0, share)) for share in covered)


def _cover(covered: list[float], begin: float, end: float) -> None:
    first = min(len(covered) - 1, max(0, int(begin)))
    last = min(len(covered) - 1, max(0, int(end)))
    if first == last:
        covered[first] += max(end - begin, 0.0)
        return
    covered[first] += first + 1 - begin
    covered[last] += end - last
    for cell in range(first + 1, last):
        covered[cell] += 1.0


def _shade(share: float) -> str:
    """Return the shade for a share from 0 to 1; whatever ran at all is visible."""
    return _SHADES[0] if share <= 0 else _SHADES[max(1, round(share * (len(_SHADES) - 1)))]
