"""What a WebAssembly program calls are Steps: they run at once, are on record, and are not run again."""

from __future__ import annotations

import importlib
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.wasm import modules

import weftrun
from weftrun.adapters.wasm import sandboxed
from weftrun.adapters.wasm.building import build
from weftrun.adapters.wasm.merging import merged, nbytes_of, neutral
from weftrun.adapters.wasm.program import RunningProgram
from weftrun.entrypoints.cli.group import main
from weftrun.model.wasm import MergedRegion, MergeHow, NumberType, ProgramAwaits, ProgramCalls, WasmCall

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('journal') / 'journal.db'}"


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEFTRUN_TEST_MODULES", str(folder))
        yield importlib.import_module("tests.wasm.chained")


@pytest.fixture(scope="module")
def engine(url: str, program: ModuleType) -> Iterator[weftrun.Engine]:
    with weftrun.open(url) as opened:
        yield opened
    assert_closed(url)


def started(engine: weftrun.Engine, function: Any, input: str, id: str) -> weftrun.Run[bytes]:
    run: weftrun.Run[bytes] = engine.start(function.options(id=id), input)
    return run


@pytest.mark.parametrize(("name", "answer"), [("echo", b"ab"), ("upper", b"AB"), ("fails", b"!b")])
def test_a_program_calls_functions_by_name_and_has_their_output(
    engine: weftrun.Engine, program: ModuleType, name: str, answer: bytes
) -> None:
    """They may be of WebAssembly or of Python; one that fails is told to the program, and the Run goes on."""
    run = started(engine, program.outer, name, name)
    assert run.result(timeout_s=60) == answer
    assert [step.id for step in run.steps()] == ["chain", f"{name}[0]", f"{name}[1]"]


def test_a_program_calls_a_program(engine: weftrun.Engine, program: ModuleType) -> None:
    """The inner one finds no function `a`, which is its failure and no other's."""
    assert started(engine, program.outer, "inner", "nested").result(timeout_s=60) == b"!!"
    assert started(engine, program.inner, "upper", "inner").result(timeout_s=60) == b"AB"


def test_a_function_is_called_by_its_pointer_with_the_memory_of_the_caller(
    engine: weftrun.Engine, program: ModuleType
) -> None:
    run = started(engine, program.pointed, "", "pointed")
    assert run.result(timeout_s=60) == b"xby"
    assert [step.id for step in run.steps()] == ["chain_pointed", "chain_pointed_0[0]"]


def test_what_forked_functions_give_back_is_merged(engine: weftrun.Engine, program: ModuleType) -> None:
    """By sum (which wraps around), product, least, greatest and last; nothing else of their memory comes back."""
    answer = started(engine, program.fork, "", "fork").result(timeout_s=60)
    sum_, wrapped, product, least, greatest, last, own = struct.unpack("<iixxxxqdii4xi", answer)
    assert (sum_, wrapped) == (7 + 97 + 98, 4_000_000_000 - 2**32)
    assert (product, least, greatest, last, own) == (3 * 97 * 98, -98.0, 98, 97, 0)


@pytest.mark.parametrize("how", list(get_args(MergeHow)))
@pytest.mark.parametrize("type", list(get_args(NumberType)))
def test_numbers_of_each_type_are_merged_in_each_way(type: NumberType, how: MergeHow) -> None:
    code = {"i32": "i", "i64": "q", "f32": "f", "f64": "d"}[type]
    region = MergedRegion(0, 3, type, how)
    own, given = struct.pack(f"<3{code}", 5, -2, 0), struct.pack(f"<3{code}", 3, -2, 7)
    wanted = {"sum": (8, -4, 7), "product": (15, 4, 0), "min": (3, -2, 0), "max": (5, -2, 7), "last": (3, -2, 7)}[how]
    assert struct.unpack(f"<3{code}", merged(region, own, given)) == wanted
    begins = neutral(region)
    assert begins is None or struct.unpack(f"<3{code}", merged(region, own, begins)) == (5, -2, 0)
    assert nbytes_of(region) == len(own)


@pytest.mark.parametrize(
    ("function", "input", "error", "words"),
    [
        ("outer", "gone", weftrun.WasmRefused, r"chain calls 'gone'; it may call: echo, fails, inner, number"),
        ("outer", "number", weftrun.UsageError, "returns bytes or text, not int"),
        ("loops", "", weftrun.WasmTrapped, "its time was over"),
    ],
)
def test_what_can_not_be_called_is_told(
    engine: weftrun.Engine, program: ModuleType, function: str, input: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        started(engine, getattr(program, function), input, f"bad {function} {input}").result(timeout_s=60)


@pytest.mark.parametrize("name", ["outer", "told"])
def test_a_killed_engine_goes_on_in_the_middle_and_calls_nothing_twice(
    url: str, program: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The program is begun again, with the answers that are on record: its calls, keys, time and random bytes."""
    own = f"{url}.{name}"
    entered, go = folder / "entered", folder / "go"
    entered.unlink(missing_ok=True)
    go.unlink(missing_ok=True)
    calls = b"ab" if name == "outer" else b"b"
    command = [sys.executable, "-m", "tests.wasm.chained", own, name]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"WEFTRUN_TEST_MODULES": str(folder)}) as first:
        until(lambda: entered.exists() and sorted(entered.read_bytes().split()) == [bytes([one]) for one in calls])
        if name == "outer":
            until(lambda: main(["steps", "--db", own, name]) == 0 and "succeeded" in capsys.readouterr().out)
        first.kill()
    before = folder / "buckets/b/a"
    written = before.read_bytes() if name == "told" else b""
    go.touch()
    with weftrun.open(own) as again:
        answer = again.get(name).result(timeout_s=60)
    assert_closed(own)
    if name == "outer":
        assert answer == b"aabb"
        assert entered.read_bytes().split().count(b"a") == 1
    else:
        at, drawn = struct.unpack("<Q8s", answer[:16])
        assert at > 0
        assert (drawn, answer[16:18]) == (written, b"bb") == (before.read_bytes(), b"bb")


def begun(folder: Path, content: bytes) -> RunningProgram:
    (folder / "m.wasm").write_bytes(content)
    return sandboxed.program(WasmCall(str(folder / "m.wasm"), "", "m"), b"f", "seed", lambda _: None)


def test_a_program_that_is_let_go_ends_where_it_stands_and_is_begun_again(tmp_path: Path) -> None:
    """As a body that waits long is: nothing of it is left, and the next one asks for the same."""
    for _ in range(2):
        program = begun(tmp_path, modules.CHAIN)
        threads = threading.active_count()
        asked = [program.go_on(answer, 1.0) for answer in (None, 1, 2)]
        assert asked == [ProgramCalls("f", b"a"), ProgramCalls("f", b"b"), ProgramAwaits(1)]
        program.close()
        assert threading.active_count() <= threads + 1  # the clock of WebAssembly stays


def test_an_error_of_what_it_waits_for_is_raised_in_it(tmp_path: Path) -> None:
    program = begun(tmp_path, modules.CHAIN)
    program.go_on(None, 1.0)
    with pytest.raises(ConnectionError, match="away"):
        program.go_on(ConnectionError("away"), 1.0)
    program.close()


def test_a_call_that_it_has_not_made_is_not_waited_for(tmp_path: Path) -> None:
    never = modules.command("(drop (call $await (i32.const 7)))", modules.AWAIT, modules.NAMED)
    program = begun(tmp_path, never)
    with pytest.raises(weftrun.WasmRefused, match="waits for the call 7, which it has not made"):
        program.go_on(None, 1.0)
    program.close()


def test_what_is_no_function_is_not_among_those_that_are_called(tmp_path: Path) -> None:
    (tmp_path / "chain.wasm").write_bytes(modules.CHAIN)
    with pytest.raises(weftrun.UsageError, match="`calls` takes Functions, not 7"):
        weftrun.wasm_function(tmp_path / "chain.wasm", calls=[7])  # type: ignore[list-item]


COUNTS = """
#include <stdio.h>
#include <weftrun.h>

static char separator = ' ';

static int count(void) {
  uint32_t bytes, words = 0;
  char *text = weftrun_input(&bytes);
  for (uint32_t i = 0; i < bytes; i++) words += text[i] != separator && (i == 0 || text[i - 1] == separator);
  char said[16];
  weftrun_output(said, (uint32_t)snprintf(said, sizeof said, "%u", words));
  return bytes == 0;
}

int main(void) {
  char *text = weftrun_input(NULL), total[64];
  separator = text[0];
  uint32_t calls[8], made = 0;
  for (char *line = strtok(text + 1, "\\n"); line && made < 8; line = strtok(NULL, "\\n"))
    calls[made++] = weftrun_call_pointed(count, line, (uint32_t)strlen(line));
  uint32_t words = 0;
  for (uint32_t i = 0; i < made; i++) words += (uint32_t)atoi(weftrun_await_output(calls[i], NULL));
  if (weftrun_await_output(weftrun_call_pointed(count, "", 0), NULL)) return 1;
  uint32_t shown = weftrun_call("shown", total, (uint32_t)snprintf(total, sizeof total, "%u words", words));
  weftrun_output_text(weftrun_await_output(shown, NULL));
  return 0;
}
"""


@pytest.mark.sweep
def test_a_program_in_c_calls_its_own_functions_and_others(tmp_path: Path) -> None:
    (tmp_path / "counts.c").write_text(COUNTS, encoding="utf-8")
    assert build(str(tmp_path / "counts.c"), str(tmp_path / "counts.wasm")) == ""
    (tmp_path / "counting.py").write_text(
        "import weftrun\n\n@weftrun.function\ndef shown(text: bytes) -> str:\n    return f'<{text.decode()}>'\n\n"
        "counts = weftrun.wasm_function('counts.wasm', calls=[shown])\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        counting = importlib.import_module("counting")
        with weftrun.open(f"sqlite:///{tmp_path}/journal.db") as engine:
            assert started(engine, counting.counts, "-to-be\nor-not-to\nbe", "c").result(timeout_s=60) == b"<6 words>"
        assert_closed(f"sqlite:///{tmp_path}/journal.db")
