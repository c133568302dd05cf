"""The examples of a page: programs, what they print, and what is typed at a shell after them.

A block ``python`` is a program. What it prints is compared with the block ``output`` that follows it, if there is one.
A block ``python NAME`` is only written to the file NAME: the block ``console tested`` after it uses it. The commands of
such a block (its lines that begin with ``$ ``) run one after the other in the folder of the last program, and what they
print is compared with the lines below each. Stdout is compared, not stderr. ``…`` stands for anything in a line, and as
a line of its own for any number of lines. How many blanks there are between words, and how long something took, does
not count.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```([^\n]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORDS = "to be or not to be"
TESTED = "console tested"
TIME = re.compile(r"\b\d[\d.,]* (?:µs|ms|s|min)\b")


class Misplaced(Exception):
    """A block can't be checked where it stands."""


@dataclass
class Example:
    """One program of a page and what follows it.

    Attributes:
        name: the file to which it is written.
        runs: whether it is run by itself.
        output: what it prints; None where the page does not say.
        consoles: what is typed after it, and what is printed then.
    """

    code: str
    name: str = "example.py"
    runs: bool = True
    output: str | None = None
    consoles: list[str] = field(default_factory=list)


def examples_of(text: str) -> list[Example]:
    """Read the examples off a page.

    Raises:
        Misplaced: an output or a console follows no program, or a file is used by no console.
    """
    found: list[Example] = []
    for info, body in BLOCK.findall(text):
        kind, _, name = info.partition(" ")
        if kind == "python":
            found.append(Example(body, name, runs=False) if name else Example(body))
        elif info == "output":
            if not found or not found[-1].runs or found[-1].output is not None or found[-1].consoles:
                raise Misplaced(f"No program prints this: {body}")
            found[-1].output = body
        elif info == TESTED:
            if not found:
                raise Misplaced(f"There is no program before {body}")
            found[-1].consoles.append(body)
    for example in found:
        if not example.runs and not any(example.name in console for console in example.consoles):
            raise Misplaced(f"No `{TESTED}` uses {example.name}.")
    return found


def agrees(shown: str, printed: str) -> bool:
    """Tell whether what a page shows is what was printed."""
    lines, told = _lines(shown), _lines(printed)
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in lines)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in told)) is not None


def _lines(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in TIME.sub("0 s", text).splitlines())
    return [line for line in lines if line]


def check(example: Example, folder: Path) -> None:
    """Run an example and what follows it in a folder, and compare what they print."""
    script = folder / example.name
    script.write_text(example.code, encoding="utf-8")
    words = folder / "words.txt"
    words.write_text(WORDS)
    commands = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONWARNINGS": "error",
        "WEFTRUN_DATABASE_URL": f"sqlite:///{folder}/j.db",
    }

    def printed(command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    if example.runs:
        text = printed([sys.executable, str(script), str(words)])
        assert example.output is None or agrees(example.output, text), text
    for console in example.consoles:
        text = printed(["bash", "-c", script_of(console)])
        assert agrees(console, text), text


def script_of(console: str) -> str:
    """Return a shell's script that runs the commands of a console, saying each before it runs, up to one that fails."""
    commands = [line[2:] for line in console.splitlines() if line.startswith("$ ")]
    lines = [line for command in commands for line in (f"cat <<'EOT'\n$ {command}\nEOT", command)]
    return "\n".join(["set -e", *lines])
