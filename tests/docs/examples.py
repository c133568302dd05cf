"""The examples of a page: programs, what they print, and what is typed at a shell after them.

A block ``python`` is a program. What it prints is compared with the block ``output`` that follows it, if there is one.

A block ``python NAME`` or ``yaml NAME`` is only written to the file NAME, and used by a block ``console tested``
further down. The commands of such a block (its lines that begin with ``$ ``) run one after the other, in one folder
with the program or the files that stand right before it, and what they print is compared with the lines below each.

Stdout is compared, not stderr. ``…`` stands for anything in a line, and as a line of its own for any number of lines.
How many blanks there are between words, and how long something took, does not count.

What a console starts in the background ends with it. Where it serves, it does so on a free port in the place of 8420.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```([^\n]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORDS = "to be or not to be"
TESTED = "console tested"
PORT = "8420"
TIME = re.compile(r"\b\d[\d.,]* (?:µs|ms|s|min)\b")


class Misplaced(Exception):
    """A block can't be checked where it stands."""


@dataclass
class Example:
    """A program of a page, or several files that are used together, and what follows.

    Attributes:
        program: what is run; empty where there are only files.
        files: what is written beside it, by name.
        output: what the program prints; None where the page does not say.
        consoles: what is typed after it, and what is printed then.
    """

    program: str = ""
    files: dict[str, str] = field(default_factory=dict)
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
        last = found[-1] if found else None
        if kind == "python" and not name:
            found.append(Example(body))
        elif kind == "python" or (kind == "yaml" and name):
            if last is None or last.program or last.consoles:
                last = Example()
                found.append(last)
            last.files[name] = body
        elif info == "output":
            if last is None or not last.program or last.output is not None or last.consoles:
                raise Misplaced(f"No program prints this: {body}")
            last.output = body
        elif info == TESTED:
            if last is None:
                raise Misplaced(f"There is no program before {body}")
            last.consoles.append(body)
    for example in found:
        typed = "".join(example.consoles)
        unused = [name for name in example.files if name not in typed]
        if unused:
            raise Misplaced(f"No `{TESTED}` uses {unused}.")
    return found


def agrees(shown: str, printed: str) -> bool:
    """Tell whether what a page shows is what was printed."""
    lines, told = _lines(shown), _lines(as_on_a_terminal(shown, printed))
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in lines)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in told)) is not None


def as_on_a_terminal(shown: str, printed: str) -> str:
    """Return printed tables without the empty columns that a page does not show: a terminal has none of them."""
    rows = [line.split("\t") for line in printed.splitlines()]
    begin = 0
    while begin < len(rows):
        end = begin + 1
        while end < len(rows) and len(rows[end]) == len(rows[begin]):
            end += 1
        header, body = rows[begin], rows[begin + 1 : end]
        kept = [n for n, name in enumerate(header) if name in shown or len(header) == 1 or any(row[n] for row in body)]
        rows[begin:end] = [[row[n] for n in kept] for row in rows[begin:end]]
        begin = end
    return "".join("\t".join(row) + "\n" for row in rows)


def _lines(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in TIME.sub("0 s", text).splitlines())
    return [line for line in lines if line]


def check(example: Example, folder: Path) -> None:
    """Run an example and what follows it in a folder, and compare what they print."""
    script = folder / "example.py"
    for name, code in [(script.name, example.program), *example.files.items()]:
        if code:
            (folder / name).write_text(code, encoding="utf-8")
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

    if example.program:
        text = printed([sys.executable, str(script), str(words)])
        assert example.output is None or agrees(example.output, text), text
    for console in example.consoles:
        port = str(free_port())
        text = printed(["bash", "-c", script_of(console).replace(PORT, port)]).replace(port, PORT)
        assert agrees(console, text), text


def script_of(console: str) -> str:
    """Return a shell's script that runs the commands of a console, saying each before it runs, up to one that fails."""
    commands = [line[2:] for line in console.splitlines() if line.startswith("$ ")]
    lines = [line for command in commands for line in (f"cat <<'EOT'\n$ {command}\nEOT", command)]
    return "\n".join(["set -e", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT", *lines])


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
