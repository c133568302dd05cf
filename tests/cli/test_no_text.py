"""The command line and values, errors, names and words that are no UTF-8, or whose texts can't be made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = r"""
import sys
from weftrun import function

NO_TEXT = "caf\udce9"


class Exits:
    def __repr__(self):
        raise SystemExit(3)


class Mute(Exception):
    def __str__(self):
        raise SystemExit(3)


@function
def gives(kind: str):
    return {"text": NO_TEXT, "repr": Exits(), "set": {NO_TEXT}}[kind]


@function
def raises(kind: str):
    raise {"text": ValueError(NO_TEXT), "mute": Mute(), "exit": SystemExit("leaving")}[kind]


@function
def echoes(value):
    return len(value)
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path) -> Path:
    path = tmp_path / "odd.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize("inline", [(), ("--inline",)])
def test_results(cli, inline: tuple[str, ...]) -> None:
    text = cli("run", "odd.py:gives", "kind=text", *inline)
    assert (text.code, json.loads(text.out)) == (0, "caf\udce9")
    mute = cli("run", "odd.py:gives", "kind=repr", *inline)
    assert (mute.code, mute.out) == (0, "<Exits>\n")
    plain = cli("run", "odd.py:gives", "kind=set", *inline)
    assert (plain.code, json.loads(plain.out)) == (0, ["caf\udce9"])
    told = cli("run", "odd.py:gives", "kind=repr", "--json", *inline)
    assert json.loads(told.out)["repr"] == "<Exits>"


@pytest.mark.parametrize("inline", [(), ("--inline",)])
def test_errors(cli, inline: tuple[str, ...]) -> None:
    for kind, line in (("text", r"ValueError: caf\udce9"), ("mute", "odd.Mute: "), ("exit", "SystemExit: leaving")):
        told = cli("run", "odd.py:raises", f"kind={kind}", *inline)
        assert told.code == 1 and line in told.err
    if not inline:
        told = cli("run", "odd.py:raises", "kind=mute", "--json")
        assert json.loads(told.out)["error"] == {"type": "Mute", "message": "<Mute whose text can't be made>"}


def test_words_that_are_no_text(cli) -> None:
    assert cli("run", "odd.py:echoes", "value=caf\udce9").out == "4\n"
    told = cli("get", "caf\udce9")
    assert told.code == 3 and r"No Run has the id 'caf\udce9'" in told.err
    assert cli("run", "odd.py:echoes", "value=x", "--id=caf\udce9").code == 2


def test_a_program_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/odd.py", "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    command = [sys.executable, "-m", "weftrun", "run", "odd.py:echoes", "value=x"]
    told = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    assert told.returncode == 2
    assert b"by which a Sandbox is to find the program, is no UTF-8: rename" in told.stderr
