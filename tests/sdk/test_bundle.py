"""Code is found again: scripts under their import name, modules by theirs, notebooks as one blob. Real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.sdk.authors import add

from weftrun.model.policy import Bundle, Program
from weftrun.sdk.bundle import bundle_of

SCRIPT = """
import weftrun
from dataclasses import dataclass

@dataclass
class Point:
    x: int

@weftrun.function
def move(point: Point) -> Point:
    return Point(point.x + 1)

@weftrun.workflow
def twice(point: Point) -> Point:
    return move(move(point))

if __name__ == "__main__":
    import msgspec, sys
    from weftrun.sdk.bundle import bundle_of
    from weftrun.sdk.codec import encode, decode
    point = encode(Point(1), what="it").tobytes()
    sys.stdout.buffer.write(msgspec.msgpack.encode((bundle_of(twice), move.spec.name, point)))
    sys.stdout.flush()
    again = sys.stdin.buffer.read()
    if again:
        got = decode(again)
        assert isinstance(got, Point), got
        print(got, file=sys.stderr)
"""

GUEST = """
import msgspec, sys
from weftrun.model.policy import Bundle
from weftrun.sdk.bundle import install
from weftrun.sdk.codec import encode, decode
from weftrun.sdk.function import find
bundle, name, point = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=tuple[Bundle, str, bytes])
sys.path[:] = bundle.path
install(bundle)
assert "numpy" not in sys.modules
sys.stdout.buffer.write(encode(find(name).callable(decode(point)), what="it").tobytes())
"""

NOTEBOOK = """
import msgspec, sys
import weftrun
from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.codec import encode, decode
counter = {"calls": 0}
class Point:
    def __init__(self, x): self.x = x
def shift(x):
    counter["calls"] += 1
    return x + 10
@weftrun.function
def move(point):
    return Point(shift(point.x))
@weftrun.function
def calls(_): return counter["calls"]
@weftrun.workflow
def both(point): return [move(point), calls(0)]
first = bundle_of(both)
assert bundle_of(both) is first and bundle_of(move) is first
def shift(x):
    counter["calls"] += 1
    return x + 20
second = bundle_of(both)
assert second.digest != first.digest and second.module == "__main__" and not second.file
sys.stdout.buffer.write(msgspec.msgpack.encode((second, encode(Point(1), what="it").tobytes())))
sys.stdout.flush()
got = decode(sys.stdin.buffer.read())
assert isinstance(got, Point) and got.x == 21, got
"""

NOTEBOOK_GUEST = """
import msgspec, sys
from weftrun.model.policy import Bundle
from weftrun.sdk.bundle import install
from weftrun.sdk.codec import encode, decode
from weftrun.sdk.function import find
bundle, point = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=tuple[Bundle, bytes])
install(bundle)
moved = find("__main__:move").callable(decode(point))
assert find("__main__:calls").callable(0) == 1, "globals are shared"
assert find("__main__:both").callable.__globals__["move"] is find("__main__:move")
sys.stdout.buffer.write(encode(moved, what="it").tobytes())
"""


def env() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")}


def converse(client: list[str], guest: str, cwd: Path) -> str:
    """Run a client that writes, a guest that answers in a process of its own, and the client's check of the answer."""
    with subprocess.Popen(
        [sys.executable, *client],
        cwd=cwd,
        env=env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told = os.read(process.stdout.fileno(), 1 << 20)
        done = subprocess.run(
            [sys.executable, "-c", guest], cwd=cwd, env=env(), input=told, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        _, errors = process.communicate(done.stdout, timeout=30)
        assert process.returncode == 0, errors.decode()
        return errors.decode()


def test_a_script(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SCRIPT)
    assert converse(["app.py"], GUEST, tmp_path) == "Point(x=2)\n"


def test_a_package_run_as_a_module(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "__init__.py").write_text("")
    (tmp_path / "tool" / "app.py").write_text(SCRIPT)
    assert converse(["-m", "tool.app"], GUEST, tmp_path) == "Point(x=2)\n"


def test_a_notebook(tmp_path: Path) -> None:
    assert converse(["-c", NOTEBOOK], NOTEBOOK_GUEST, tmp_path) == ""


def test_a_notebook_with_something_that_can_not_travel(tmp_path: Path) -> None:
    code = (
        "import threading, weftrun\nfrom weftrun.sdk.bundle import bundle_of\nlock = threading.Lock()\n"
        "@weftrun.function\ndef locked():\n    with lock: pass\n"
        "try: bundle_of(locked)\nexcept weftrun.NotSerializable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env(), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("What was defined in this session can't be sent to a Sandbox (cannot pickle")


def test_an_importable_module_is_named_not_filed() -> None:
    bundle = bundle_of(add)
    assert (bundle.module, bundle.blob) == ("tests.sdk.authors", b"")
    assert len(bundle.digest) == 16
    assert bundle.program.cwd == os.getcwd()
    assert all(os.path.isabs(entry) for entry in bundle.path)
    assert bundle_of(add) is bundle


def test_an_older_journal_tells_the_working_directory_only() -> None:
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Bundle).decode
    old = decode(encode(["app", "/srv/app.py", b"", ["/srv"], "/srv", "d1"]))
    assert old.program == Program("/srv")
    assert encode(old) == encode(["app", "/srv/app.py", b"", ["/srv"], "/srv", "d1"])
    new = Bundle("app", started=Program("/srv", (b"app.py", b"--rate", b"\xff"), ("-O",)))
    assert decode(encode(new)) == new
    assert new.program is new.started


@pytest.mark.parametrize("text", ["raise OSError('no such disk')", "import weftrun; weftrun.open()"])
def test_what_an_import_raises_comes_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    code = (
        "import sys\nfrom weftrun.model.policy import Bundle\nfrom weftrun.sdk.bundle import install\n"
        "from weftrun.sdk.place import importing\n"
        f"try: install(Bundle('bad', {str(tmp_path / 'bad.py')!r}))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "assert importing.file == '' and 'bad' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env(), capture_output=True, text=True, check=True)
    if "open" in text:
        assert (
            f"UsageError weftrun.open(...) was reached while a Sandbox imported {tmp_path / 'bad.py'}." in done.stdout
        )
    else:
        assert done.stdout == "OSError no such disk\n"


def test_a_file_that_is_not_python(tmp_path: Path) -> None:
    code = (
        "from weftrun.sdk.bundle import load_file\n"
        "try: load_file('notes.txt', 'notes')\nexcept Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "notes.txt can't be loaded as Python code: its name must end in .py.\n"
