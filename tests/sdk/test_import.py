"""`import weftrun` is light: it is paid by every command, test and Sandbox."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ENV = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")}


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_loads_neither_a_loop_nor_a_driver() -> None:
    heavy = {
        "asyncio",
        "apsw",
        "uvloop",
        "cloudpickle",
        "click",
        "rich",
        "numpy",
        "pyarrow",
        "weftrun.assembly",
        "weftrun.runtime",
    }
    loaded = python("import sys, weftrun; print(*sys.modules)").split()
    assert not heavy & set(loaded)
    layers = {name.split(".")[1] for name in loaded if name.startswith("weftrun.")}
    assert layers == {"model", "sdk"}


def test_it_loads_little() -> None:
    """What it takes is mostly how many modules there are; the benchmark `at-rest` takes the time."""
    own = int(python("import sys; before = set(sys.modules); import weftrun; print(len(set(sys.modules) - before))"))
    assert own <= 150


@pytest.mark.parametrize("code", ["weftrun.open()", "weftrun.run(weftrun.function(print, name='p'))"])
def test_an_engine_is_not_opened_while_a_sandbox_imports(code: str) -> None:
    text = python(
        "import weftrun\nfrom weftrun.sdk.place import importing\nimporting.file = 'app.py'\n"
        f"try: {code}\nexcept weftrun.UsageError as error: print(error)"
    )
    assert text == (
        "weftrun.open(...) was reached while a Sandbox imported app.py. Put it under `if __name__ == '__main__':`."
    )
