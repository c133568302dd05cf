"""The limit of open descriptors: raised for the engine, as it was for the author's code, told by the doctor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sweeping import swept

_PROGRAM = """
import json, resource, sys
from pathlib import Path
import weftrun
from weftrun import function
from weftrun.entrypoints.cli import host

@function
def limit() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_NOFILE)

@function
def limit_of_child() -> int:
    import subprocess
    return int(subprocess.run(["sh", "-c", "ulimit -n"], capture_output=True, text=True).stdout)

if __name__ == "__main__":
    soft, hard, journal = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check = next(check for check in host.checks(Path(f"{journal}1.db")) if check.name == "descriptors")
    with weftrun.open(f"sqlite:///{journal}1.db") as one, weftrun.open(f"sqlite:///{journal}2.db") as two:
        here = resource.getrlimit(resource.RLIMIT_NOFILE)
        found = [here, one.run(limit), two.run(limit), two.run(limit_of_child)]
    print(json.dumps([check.state, check.meaning, found]))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "state", "meaning"),
    [
        (256, 8_000, 4_608, "ok", "an engine raises it to 4,608 for live Objects; Functions keep 256"),
        swept(300, 2_000, 2_000, "warn", "a hard limit under 4,608: many large values at once fail"),
        swept(5_000, 8_000, 5_000, "ok", "room for live Objects"),
    ],
)
def test_functions_see_the_limit_of_before(
    tmp_path: Path, soft: int, hard: int, raised: int, state: str, meaning: str
) -> None:
    program = tmp_path / "limited.py"
    program.write_text(_PROGRAM)
    command = [sys.executable, str(program), str(soft), str(hard), str(tmp_path / "journal")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [state, meaning, [[raised, hard], [soft, hard], [soft, hard], soft]]


_MANY = """
import resource, sys
import weftrun
from weftrun import function, workflow

@function(effects="none")
def large(i: int) -> bytes:
    return bytes(70_000)

@function(effects="none")
def joined(values: list[bytes]) -> int:
    with open("/dev/null"):
        return len(values)

@function
def limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

@workflow
def wide(n: int) -> int:
    return joined([large(i) for i in range(n)])

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with weftrun.open(sys.argv[1], sandboxes=1) as engine:
        print(engine.run(wide, 600), engine.run(limit))
"""


def test_a_step_may_read_more_objects_than_descriptors_were_allowed(tmp_path: Path) -> None:
    program = tmp_path / "many.py"
    program.write_text(_MANY)
    command = [sys.executable, str(program), f"sqlite:///{tmp_path}/journal.db"]
    assert subprocess.check_output(command, text=True, timeout=60) == "600 300\n"
