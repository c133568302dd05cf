"""Tables on terminals of several widths: names and status are whole, values give way, nothing commands the terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from weftrun.entrypoints.cli.list import _COLUMNS as LIST
from weftrun.entrypoints.cli.outbox import _COLUMNS as OUTBOX
from weftrun.entrypoints.cli.steps import _COLUMNS as STEPS
from weftrun.entrypoints.cli.table import Column, cut, folded, laid_out
from weftrun.entrypoints.cli.terminal import as_ascii_json, one_line, shown_text

WIDTHS = [60, 80, 110, 200]
STEP = (
    "resize_every_picture[0]/load_from_storage[12]",
    "succeeded",
    "1",
    "1,000/1,000",
    "12.3 ms",
    "4 min 05 s",
    "",
    "17",
    "",
)
RUN = ("nightly-report-2026-11-30", "cancelled", "reports.nightly:build_the_whole_report")


def lines_of(columns, rows, width) -> list[str]:
    return [line.plain for line in laid_out(columns, rows, width)[0]]


@pytest.mark.parametrize("width", WIDTHS)
def test_steps_are_named_whole_and_the_value_gives_way(width):
    shown = lines_of(
        STEPS, [(*STEP, "x" * 500), ("a[0]", "failed", "3", "", "", "", "", "", "", "ValueError: no")], width
    )
    assert all(cell_len(line) <= width for line in shown)
    assert all(any(whole in line for line in shown) for whole in (STEP[0], "succeeded", "a[0]", "failed"))
    assert shown[1].endswith("x…") or width == 60, "the value is cut"


@pytest.mark.parametrize("width", WIDTHS)
def test_ids_of_runs_are_whole(width):
    rows = [(*RUN, "2026-11-30 02:51:40+00:00", "3 h 20 min", "1,000"), ("b", "failed", "m:f", "", "", "")]
    shown = lines_of(LIST, rows, width)
    assert all(cell_len(line) <= width for line in shown)
    assert all(any(whole in line for line in shown) for whole in (*RUN[:2], "failed"))
    assert width < 110 or any("2026-11-30 02:51:40+00:00" in line for line in shown)


@pytest.mark.parametrize("width", WIDTHS)
def test_an_id_of_the_greatest_length_goes_on_in_the_next_line(width):
    longest = "".join(chr(ord("a") + n % 26) for n in range(200))
    shown = lines_of(LIST, [(longest, "running", "m:f", "2026-11-30 02:51:40+00:00", "", "")], width)
    assert all(cell_len(line) <= width for line in shown)
    told = [line[: len(line) if n else line.find("running")].split("  ")[0] for n, line in enumerate(shown[1:])]
    assert "".join(told) == longest


@pytest.mark.parametrize("width", WIDTHS)
def test_keys_of_emits_are_whole(width):
    key = "0badcafe" * 4 + "/order[0]/0"
    row = (key, "first", "orders", "refused", "ada", "2026-11-30 02:51:40+00:00", "no such customer " * 9)
    shown = lines_of(OUTBOX, [row], width)
    assert all(cell_len(line) <= width for line in shown)
    assert key in shown[1]
    assert "refused" in shown[1]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "text", ["漢字かな交じり文" * 20, "👩🚀" * 60, "שלום עולם " * 30, "e\N{COMBINING ACUTE ACCENT}" * 200]
)
def test_wide_texts_are_measured_as_the_terminal_shows_them(width, text):
    shown = lines_of(STEPS, [(*STEP, text)], width)
    assert all(cell_len(line) <= width for line in shown)
    names = lines_of(LIST, [("注文" * 40, "running", "m:f", "", "", "")], width)
    assert all(cell_len(line) <= width for line in names)
    assert "".join(line.split()[0] for line in names[1:]) == "注文" * 40


def test_what_found_no_room_is_named_and_what_is_empty_is_not_shown():
    columns = (Column("id", folds=True), Column("n", rank=1), Column("m", rank=2), Column("why", if_any=True))
    rows = [("x" * 30, "12345678", "12345678", "")]
    assert laid_out(columns, rows, 80)[1] == []
    assert laid_out(columns, rows, 41)[1] == ["m"]
    assert laid_out(columns, rows, 35)[1] == ["m", "n"]
    assert "why" not in lines_of(columns, rows, 80)[0]


@pytest.mark.parametrize("text", ["a b/c:d" * 20, "x" * 100, "漢" * 50, "", " "])
@pytest.mark.parametrize("width", [12, 13, 60])
def test_folding_loses_nothing(text, width):
    pieces = list(folded(text, width))
    assert all(cell_len(piece) <= width for piece in pieces)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_a_text_is_cut_where_it_must_be():
    assert [cut("abcdef", width) for width in (6, 5, 2)] == ["abcdef", "abcd…", "a…"]
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("abcdef", 5, "...") == "ab..."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m", "\\x9b31m"),
        ("user\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "user\\u202egpj.exe"),
        ("caf\udce9", "caf\\udce9"),
        ("שלום 漢\N{IDEOGRAPHIC SPACE}字 👩‍🚀", "שלום 漢\N{IDEOGRAPHIC SPACE}字 👩‍🚀"),
    ],
)
def test_nothing_is_taken_as_a_command(text, shown):
    assert one_line(text) == shown
    assert "\x1b" not in shown_text(text)
    assert shown_text("a\r\nb\n\tc") == "a\nb\n\tc"


def test_json_can_be_told_in_ascii():
    value = {"é": "漢👩\x7f", "n": [1, None]}
    text = as_ascii_json(json.dumps(value, ensure_ascii=False))
    assert text.isascii()
    assert json.loads(text) == value


# ---------------------------------------------------------------------- real terminals


def on_terminal(columns: int, words: list[str], **environment: str) -> tuple[str, str]:
    """Return what a command wrote to a terminal of this width, as it is, and what is seen of that."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "weftrun", *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=kept | {"TERM": "xterm"} | environment
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            data = os.read(ours, 65_536)
        except OSError:
            break
        if not data:
            break
        told += data
    os.close(ours)
    assert process.wait() == 0
    text = told.decode("utf-8").replace("\r\n", "\n")
    return text, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.fixture
def books(cli, kept, words: Callable[[str], str]) -> None:
    """One Run that succeeded, and one that failed with what would clear a terminal."""

    def run() -> None:
        named = ("--id", "nightly-report-2026-11-30")
        assert cli("run", words("wordcount"), "texts=hello", "texts=world", *named).code == 0
        assert cli("run", words("fail"), "text=\x1b[2Jgone\x07", "--id", "odd").code == 1

    kept("nightly", run)


def test_terminals_of_several_widths(cli, books):
    for width in WIDTHS:
        listed = on_terminal(width, ["list"])[1].splitlines()
        assert all(cell_len(line) <= width for line in listed)
        assert any("nightly-report-2026-11-30" in line and "succeeded" in line for line in listed)
    raw, seen = on_terminal(80, ["steps", "odd"])
    assert "\x1b[2J" not in raw
    assert "\\x1b[2Jgone\\x07" in seen
    assert "\x1b[31m" in raw, "failed is red"
    raw, seen = on_terminal(80, ["steps", "nightly-report-2026-11-30"], NO_COLOR="1")
    assert "\x1b[3" not in raw
    for whole in ("count[0]", "merge[0]", "succeeded"):
        assert whole in seen
    assert all(cell_len(line) <= 80 for line in on_terminal(80, ["doctor"])[1].splitlines())


@pytest.mark.sweep
def test_a_locale_without_these_characters(cli, books):
    ascii_ = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for command in (["list"], ["steps", "odd"], ["get", "odd"], ["timeline", "odd"], ["graph", "odd"]):
        text, _ = on_terminal(60, command, **ascii_)
        assert text.isascii()
    told = subprocess.run(
        [sys.executable, "-m", "weftrun", "list", "--json"],
        env=os.environ | ascii_, capture_output=True, check=True,
    )  # fmt: skip
    assert [run["id"] for run in json.loads(told.stdout.decode("ascii"))] == ["odd", "nightly-report-2026-11-30"]


def test_a_pipe_has_no_width(cli, words):
    assert cli("run", words("raw"), "--id", "x" * 200).code == 0
    row = cli("list").out.splitlines()[1].split("\t")
    assert (row[0], row[1]) == ("x" * 200, "succeeded")
