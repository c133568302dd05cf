"""Completion in shells: what bash is offered, and that neither an id nor a file of the author's can do anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import weftrun
from weftrun import function, workflow

open("imported", "w").close()

@function(effects="none")
def helper(x: int) -> int: ...

@weftrun.workflow
def main(path: str, /, pause_s: float = 0.0, *, deep: bool = False) -> int: ...

@workflow(name="other")
async def second(n: int) -> int: ...

def plain(): ...
"""
BASH = """
eval "$(weftrun completion bash)"
complete -p weftrun >/dev/null || exit 9
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
    _weftrun_completion weftrun 2>/dev/null
    (IFS=$'\\t'; echo "${COMPREPLY[*]}")
done
"""
ODD = "it's $(touch ran); `touch ran` \\ 漢"


@pytest.fixture
def bash(tmp_path: Path):
    """Return what bash offers for each of these lines, the cursor at their end."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "weftrun"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m weftrun "$@"\n')
    command.chmod(0o755)

    def offer(*lines: str) -> list[list[str]]:
        done = subprocess.run(
            ["bash", "--norc", "-c", BASH], input="".join(f"{line}\n" for line in lines), text=True, check=True,
            stdout=subprocess.PIPE, env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        )  # fmt: skip
        return [line.split("\t") if line else [] for line in done.stdout.split("\n")[:-1]]

    return offer


@pytest.mark.sweep
def test_what_bash_offers(cli, words, bash, tmp_path):
    for name in ("books-1", "books-2", "else", ODD):
        assert cli("run", words("raw"), "--id", name).code == 0
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "broken.py").write_text("def (")
    offered = bash(
        "weftrun ti",
        "weftrun list --status fa",
        "weftrun get bo",
        "weftrun logs it",
        "weftrun cancel bo",
        "weftrun run app.py:",
        "weftrun run ./app.py:main ",
        "weftrun run app.py:second n",
        "weftrun run broken.py:",
        "weftrun get --db sqlite:///nowhere.db ",
        "weftrun completion ",
        "weftrun get 'unclosed",
    )
    assert offered[:3] == [["timeline"], ["failed"], ["books-2", "books-1"]]
    (quoted,) = offered[3]
    read = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, text=True, check=True)
    assert read.stdout == ODD
    assert offered[4] == [], "nothing to cancel: all have ended"
    assert offered[5:8] == [["main", "second", "helper"], ["path=", "pause_s=", "deep="], ["n="]]
    assert offered[8:10] == [[], []], "what can't be read gives nothing"
    assert offered[10] == ["bash", "zsh", "fish"]
    assert offered[11] == []
    assert not (tmp_path / "imported").exists(), "a file is read for it, and not imported"
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "nowhere.db").exists()


@pytest.mark.parametrize(("shell", "first"), [("zsh", "#compdef weftrun"), ("fish", "function _weftrun_completion;")])
def test_scripts_of_other_shells(cli, shell, first):
    said = cli("completion", shell)
    assert (said.code, said.out.splitlines()[0]) == (0, first)
    assert f"_WEFTRUN_COMPLETE={shell}_complete" in said.out


def test_a_shell_that_is_not_known(cli):
    assert cli("completion", "tcsh").code == 2


@pytest.mark.parametrize(
    ("shell", "at", "told"), [("zsh", "2", "plain\nbooks-1\nsucceeded, words:raw\n"), ("fish", "bo", "plain,books-1\t")]
)
def test_other_shells_are_told_what_a_run_is(cli, words, shell, at, told):
    assert cli("run", words("raw"), "--id", "books-1").code == 0
    asked = {"_WEFTRUN_COMPLETE": f"{shell}_complete", "COMP_WORDS": "weftrun get bo", "COMP_CWORD": at}
    command = [sys.executable, "-m", "weftrun"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(told)
