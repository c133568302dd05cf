"""A timeline for the terminal: a line per Sandbox, darker where it was busier, and where the time went below."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.views.timeline import Lane, Timeline
from weftrun.views.units import count_of, duration
from weftrun.views.where import Where

_SHADES = " ░▒▓█"
_STEPS_NAMED_MAX = 12


def lanes(line: Timeline, width: int = 100) -> list[str]:
    """Return lines of at most `width` columns; at least 40 are used. `!` marks a failed Attempt, `·` a waiting body."""
    name_width = max([8, *(len(f"Sandbox {lane.sandbox}") for lane in line.lanes)])
    columns = max(40, width) - name_width - 2
    shown = [f"{f'Sandbox {lane.sandbox}':<{name_width}} │{_cells(line, lane, columns)}" for lane in line.lanes]
    if line.gated:
        shown.append(f"{'disk':<{name_width}} │{_shaded(line, line.gated, columns)}".rstrip())
    length = duration(line.over_at - line.began_at)
    axis = f"{'':<{name_width}} └0{'─' * max(0, columns - len(length) - 1)}{length}"
    return [*shown, axis, *where_lines(line.where)]


def where_lines(where: Where) -> list[str]:
    """Return where the time went, as sentences."""
    wall = where.wall_s or 1.0
    share = [
        f"running {duration(where.running_s)} ({where.running_s / wall:.0%})",
        f"waiting for the disk {duration(where.committing_s)} ({where.committing_s / wall:.0%})",
        f"waiting otherwise {duration(where.waiting_s)} ({where.waiting_s / wall:.0%})",
    ]
    if not where.traced:
        share = [share[0], f"waiting {duration(where.waiting_s)} (no trace: for what is not known)"]
    lines = [f"{duration(where.wall_s)} in all: {', '.join(share)}."]
    if where.sandboxes:
        on = count_of(where.sandboxes, "Sandbox")
        lines.append(f"{duration(where.body_s)} in bodies on {on}, busy {where.busy:.0%}.")
    if where.chain:
        lines.append(f"Longest chain {duration(where.chain_s)}: {_chain(where.chain)}.")
    return lines


def _chain(chain: Sequence[str]) -> str:
    if len(chain) <= _STEPS_NAMED_MAX:
        return " → ".join(chain)
    half = _STEPS_NAMED_MAX // 2
    dropped = f"… {len(chain) - 2 * half:,} more …"
    return " → ".join([*chain[:half], dropped, *chain[-half:]])


def _cells(line: Timeline, lane: Lane, columns: int) -> str:
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
