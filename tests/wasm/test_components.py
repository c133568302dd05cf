"""Components: functions with typed values, of Python and of anything else that makes a component."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from tests.conftest import assert_closed

import weftrun
from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.wasm.building import NotBuilt, build
from weftrun.adapters.wasm.building_python import exported
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.components import call_component
from weftrun.adapters.wasm.sandboxed import call
from weftrun.adapters.wasm.state import BucketState
from weftrun.entrypoints.cli.group import main
from weftrun.model.errors import UsageError, WasmRefused, WasmTrapped
from weftrun.model.wasm import WasmCall, WasmLimits

CORE = """(core module $m (memory (export "memory") 1)
  (func (export "add") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))
  (func (export "loop") (loop $l (br $l)))
  (func (export "abort") unreachable)
  (func (export "grow") (if (i32.eq (memory.grow (i32.const 9000)) (i32.const -1)) (then unreachable)))
  (func (export "pair") (param i32) (result i32) (i32.store8 (i32.const 8) (local.get 0)) (i32.const 8)))
(core instance $i (instantiate $m))"""
ADD = '(func (export "add") (param "one" s64) (param "two" s64) (result s64) (canon lift (core func $i "add")))'
FUNCTIONS = ADD + "".join(
    f'(func (export "{name}") (canon lift (core func $i "{name}")))' for name in ("loop", "abort", "grow")
)
OPTION = """(func (export "maybe-a-pair") (param "there" bool) (result (option (tuple u8 u8)))
  (canon lift (core func $i "pair") (memory (core memory $i "memory"))))"""


FOREIGN = f'(import "other:world/thing" (instance (export "f" (func)))) {ADD}'


def component(functions: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(component {CORE} {functions})"))


def called(folder: Path, content: bytes, entry: str, *args: Any, limits: WasmLimits | None = None) -> Any:
    path = folder / f"{hash(content):x}.wasm"
    path.write_bytes(content)
    wanted = WasmCall(str(path), "", "m", entry, limits=limits or WasmLimits(memory_bytes_max=4 << 20))
    return call_component(wanted, args, CallReach())


def test_values_go_in_and_out_by_their_types(tmp_path: Path) -> None:
    assert called(tmp_path, component(ADD), "", 40, 2) == 42
    assert called(tmp_path, component(FUNCTIONS), "add", -(2**63), 1) == 1 - 2**63
    both = component(ADD + OPTION)
    assert called(tmp_path, both, "maybe_a_pair", False) is None
    assert called(tmp_path, both, "maybe-a-pair", True) == (0, 0)


@pytest.mark.parametrize(
    ("entry", "args", "error", "words"),
    [
        ("loop", (), WasmTrapped, r"m ended: its time was over.*0\.05 s"),
        ("abort", (), WasmTrapped, "m ended: it aborted"),
        ("grow", (), WasmTrapped, "m ended: it aborted"),
        ("add", (1,), TypeError, r"m takes 2 arguments \(one, two\), not 1"),
        ("add", (1, "2"), TypeError, "expected int"),
        (
            "add",
            (1, 2**63),
            TypeError,
            r"m: `two` is a whole number from -\d+ to 9223372036854775807, not 9223372036854775808",
        ),
        ("gone", (), WasmRefused, "exports no function 'gone'; it exports: add, loop, abort, grow"),
        ("", (), WasmRefused, "exports several functions: add, loop, abort, grow"),
    ],
)
def test_what_goes_wrong_is_told_in_a_sentence(
    tmp_path: Path, entry: str, args: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    limits = WasmLimits(time_s_max=0.05, memory_bytes_max=1 << 20)
    with pytest.raises(error, match=words):
        called(tmp_path, component(FUNCTIONS), entry, *args, limits=limits)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            component(FOREIGN),
            "imports what isn't there; a component may import WASI 0.2 and what weftrun.wit .*other:world/thing",
        ),
        (component(ADD)[:-5], "is no valid WebAssembly component"),
        (b"\0asm\x0d\0\1\0" + b"\xff" * 9, "is no valid WebAssembly component"),
    ],
)
def test_a_component_that_can_not_be_used_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(WasmRefused, match=words):
        called(tmp_path, content, "add", 1, 2)


def test_it_is_a_step_and_each_kind_of_module_has_its_own_word(tmp_path: Path) -> None:
    (tmp_path / "adding.wasm").write_bytes(component(ADD))
    (tmp_path / "core.wasm").write_bytes(wasmtime.wat2wasm("(module)"))
    (tmp_path / "adding.py").write_text(
        "import weftrun\n\nadd = weftrun.wasm_component('adding.wasm')\n", encoding="utf-8"
    )
    url = f"sqlite:///{tmp_path}/journal.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        add = importlib.import_module("adding").add
        with weftrun.open(url) as engine:
            assert engine.start(add, 1, 2).result(timeout_s=60) == 3
            assert add.map([1, 2], [3, 4]) == [4, 6]
        assert_closed(url)
    with pytest.raises(WasmRefused, match=r"adding\.wasm is a component: say wasm_component"):
        weftrun.wasm_function(tmp_path / "adding.wasm")
    with pytest.raises(WasmRefused, match=r"core\.wasm is a core module: say wasm_function"):
        weftrun.wasm_component(tmp_path / "core.wasm")
    with pytest.raises(WasmRefused, match="is a component"):
        call(WasmCall(str(tmp_path / "adding.wasm"), "", "m"), b"", "", lambda _: None)


def test_the_annotations_of_python_are_the_types() -> None:
    text = """
def one(a: int, b_c: list[tuple[str, float]], d: bytes | None) -> tuple[bool, list[int]]: ...
def two(): ...
def three(type: str) -> None: ...
def _own(x): ...
"""
    assert list(exported(text, "f.py").values()) == [
        "%one: func(%a: s64, %b-c: list<tuple<string, f64>>, %d: option<list<u8>>) -> tuple<bool, list<s64>>",
        "%two: func()",
        "%three: func(%type: string)",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:", r"f\.py is no Python: .*line 1"),
        ("x = 1", "exports nothing"),
        ("def f(a): ...", r"f \(f\.py:1\) has no annotation"),
        (
            "def f(a: dict[str, int]): ...",
            r"has the annotation dict\[str, int\]: a component takes and gives int, float",
        ),
        ("def f(a: int = 1): ...", "by name or by default"),
        ("def f(*a: int): ...", "by name or by default"),
        ("def fX(a: int): ...", "'fX' can't be a name in a component"),
    ],
)
def test_python_that_can_not_be_exported_is_told(text: str, words: str) -> None:
    with pytest.raises(NotBuilt, match=words):
        exported(text, "f.py")


GUEST = """
import json

from weftrun_guest import keys, state as shared

ready = {"n": 40}  # made once, when the component is built

def tally(text: str, least: int) -> list[tuple[str, int]]:
    print("counting", flush=True)
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    ready["n"] += 1
    return sorted((word, n) for word, n in counts.items() if n >= least)

def state(raw: bytes) -> str:
    ready["n"] += 1
    return json.dumps([ready["n"], len(raw)])

def shares(key: str, by: int) -> tuple[int, int]:
    shared.make(key, 8)
    shared.lock(key, True)
    total = int.from_bytes(shared.read(key, 0, 8), "little") + by
    shared.write(key, 0, total.to_bytes(8, "little"))
    keys.write("copy", str(total).encode())
    return total, int(keys.read("copy", 0, 9))

def fails(n: int) -> float | None:
    if n == 0:
        return None
    if n == 1:
        raise ValueError("no ones")
    with open("/etc/passwd") as file:
        return float(len(file.read()))
"""


@pytest.mark.sweep
@pytest.mark.timeout(400)
def test_a_file_of_python_is_built_and_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CPython is begun when it is built; each call begins with that, without files, and tells what it has raised."""
    (tmp_path / "guest.py").write_text(GUEST, encoding="utf-8")
    assert main(["build", str(tmp_path / "guest.py"), "-o", str(tmp_path / "guest.wasm")]) == 0
    assert "bytes, with tally, state, shares, fails\n" in capsys.readouterr().out
    said: list[bytes] = []

    def ask(entry: str, *args: Any) -> Any:
        wanted = WasmCall(str(tmp_path / "guest.wasm"), "", "m", entry)
        place = CallReach("b", FileBuckets(str(tmp_path)), say=said.append, named=str(tmp_path))
        return call_component(wanted, args, place)

    assert ask("tally", "b a b c a b", 2) == [("a", 2), ("b", 3)]
    assert b"counting\n" in b"".join(said)
    assert [ask("state", b"ab") for _ in range(2)] == ["[41, 2]"] * 2
    assert [ask("shares", "k", 20) for _ in range(2)] == [(20, 20), (40, 40)]
    shutil.rmtree(BucketState(str(tmp_path), "b").folder)
    assert ask("fails", 0) is None
    with pytest.raises(WasmTrapped, match="m ended: ValueError: no ones"):
        ask("fails", 1)
    with pytest.raises(WasmTrapped, match="m ended: FileNotFoundError"):
        ask("fails", 2)


def test_what_is_neither_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def f(a): ...", encoding="utf-8")
    with pytest.raises(NotBuilt, match="has no annotation"):
        build(str(tmp_path / "f.py"), str(tmp_path / "f.wasm"))
    with pytest.raises(UsageError, match="There is no file"):
        build(str(tmp_path / "gone.py"), str(tmp_path / "f.wasm"))
