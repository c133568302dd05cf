"""A WebAssembly Function is a Function: a Step of workflows, with retries, a story, and errors by their type."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.wasm import modules

import weftrun
from weftrun.entrypoints.cli.group import main


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('journal') / 'journal.db'}"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEFTRUN_TEST_MODULES", str(tmp_path_factory.mktemp("modules")))
        yield importlib.import_module("tests.wasm.functions")


@pytest.fixture(scope="module")
def engine(url: str, program: ModuleType) -> Iterator[weftrun.Engine]:
    with weftrun.open(url) as opened:
        yield opened
    assert_closed(url)


def ran(engine: weftrun.Engine, function: Any, *args: Any, id: str) -> Any:
    return engine.start(function.options(id=id), *args).result(timeout_s=60)


def test_it_is_a_step_of_a_workflow(engine: weftrun.Engine, program: ModuleType) -> None:
    assert ran(engine, program.echoed, ["a", "bc"], id="echoed") == [b"A", b"BC"]
    assert ran(engine, program.echo, b"by itself", id="itself") == b"by itself"


def test_its_map_is_a_map(engine: weftrun.Engine, program: ModuleType) -> None:
    assert program.echo.map(["x", "y"]) == [b"x", b"y"]


def test_the_story_tells_where_a_storage_call_ran(
    engine: weftrun.Engine, program: ModuleType, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = ran(engine, program.stored, "abc", id="stored")
    assert struct.unpack("<i", answer[:4]) == (sum(b"abc"),)
    told = "storage_call('k') ran here (the bucket is kept on this host)"
    # The trace, in which notes are, is written some time after the Run has ended.
    until(lambda: main(["story", "--db", url, "stored"]) == 0 and told in capsys.readouterr().out)


def test_a_loop_ends_and_is_tried_again(engine: weftrun.Engine, program: ModuleType) -> None:
    run = engine.start(program.loop.options(id="loop"))
    with pytest.raises(weftrun.WasmTrapped, match="its time was over"):
        run.result(timeout_s=60)
    assert [step.attempts for step in run.steps()] == [3]


def test_a_trap_fails_the_step_and_not_the_sandbox(engine: weftrun.Engine, program: ModuleType) -> None:
    with pytest.raises(weftrun.WasmTrapped, match="divided by zero"):
        ran(engine, program.divide, id="divide")
    assert ran(engine, program.echo, "still here", id="still") == b"still here"


def test_what_is_no_input_is_refused(engine: weftrun.Engine, program: ModuleType) -> None:
    with pytest.raises(TypeError, match="echo takes bytes or text, not int"):
        ran(engine, program.echo, 7, id="seven")


@pytest.mark.parametrize(
    ("name", "content", "keywords", "error", "words"),
    [
        ("gone.wasm", None, {}, weftrun.WasmRefused, "gone.wasm can't be read: No such file"),
        ("a.wasm", b"text", {}, weftrun.WasmRefused, "a.wasm is no WebAssembly module"),
        ("a.c", b"int main;", {}, weftrun.WasmRefused, "Build it first: weftrun build"),
        ("a.wasm", modules.ECHO, {"near": "maybe"}, weftrun.UsageError, "`near` is one of auto, forbid, require"),
        ("a.wasm", modules.ECHO, {"bucket": "b"}, weftrun.UsageError, "give both or none"),
        ("a.wasm", modules.ECHO, {"retires": 3}, weftrun.PolicyError, "retires"),
    ],
)
def test_what_can_not_be_one_is_refused_where_it_is_made(
    tmp_path: Path, name: str, content: bytes | None, keywords: dict[str, Any], error: type[Exception], words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words):
        weftrun.wasm_function(tmp_path / name, **keywords)
