"""Numbers as people read them: durations, sizes and counts."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration in the unit that fits it, e.g. `180 µs`, `4.2 ms`, `3.1 s`, `2 min 05 s`, `3 h 20 min`."""
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02} min"


def size(nbytes: int) -> str:
    """Return a number of bytes in the unit that fits it, e.g. `812 B`, `64.0 KiB`, `1.2 GiB`."""
    if nbytes < 1_024:
        return f"{nbytes} B"
    value = float(nbytes)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1_024
        if value < 1_023.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1_024:.1f} TiB"


def count_of(n: int, noun: str) -> str:
    """Return a number with its noun, e.g. `1 item`, `1,000 items`, `3 Batches`."""
    plural = noun + ("es" if noun.endswith(("ch", "x", "s")) else "s")
    return f"{n:,} {noun if n == 1 else plural}"
