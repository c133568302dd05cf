"""What is shown while a Run goes on."""

from __future__ import annotations

from rich.console import Console

from weftrun.entrypoints.cli.live import frame, plain_line
from weftrun.views.progress import FunctionCount, RunProgress

SEEN = RunProgress(
    (
        FunctionCount("app:count", total=1_000, done=400, running=0, failed=2),
        FunctionCount("app:merge", total=1),
    ),
    elapsed_s=4.0,
    rate=100.5,
    eta_s=6.0,
    gated=3,
    value_bytes=5 << 20,
)


def test_a_line_for_a_pipe():
    assert plain_line(SEEN, None) == "app:count 402/1,000, 2 failed; app:merge 0/1 (100/s, 6 s to go)"
    assert plain_line(SEEN, "disk").endswith("waiting for the disk)")


def test_a_line_before_anything_is_known():
    assert plain_line(RunProgress((), 1.0, 0.0, None), None) == "no Step has settled yet (0/s)"


def test_a_map_whose_input_is_still_read_has_an_open_count():
    reading = RunProgress((FunctionCount("f", total=10, done=10, open_input=True),), 1.0, 10.0, None)
    assert plain_line(reading, None) == "f 10/10+ (10/s)"


def test_the_live_view_has_a_bar_per_function_and_a_line_for_all():
    console = Console(width=120, record=True, force_terminal=True)
    with console.capture() as shown:
        console.print(frame(SEEN, "disk"))
    text = Console(width=120).render_str(shown.get()).plain
    assert "app:count" in text
    assert "402/1,000, 2 failed" in text
    assert "━" in text
    assert "5.0 MiB of values" in text
    assert "3 Attempts waited for the disk" in text
    assert "waiting for the disk" in text
