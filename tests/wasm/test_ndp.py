"""The example functions give what Python gives, beside the data and not, and move little where they run beside it."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.wasm.building import NotBuilt, build
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.runner import load, run
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.errors import UsageError, WasmTrapped
from weftrun.model.wasm import Near, WasmAnswer, WasmLimits

EXAMPLES = Path(__file__).parents[2] / "examples/ndp"
DICE = random.Random(17)
WORDS = [f"word{DICE.randrange(500)}" for _ in range(30_000)]
TEXT = "".join(word + DICE.choice(" \n") for word in WORDS)
TRACE = "".join(
    f"{n // 20} {n * 4096:x} {n * 4096 + DICE.randrange(9_000):x} {DICE.randrange(100)}\n" for n in range(5_000)
)


def counted() -> str:
    ordered = sorted(Counter(WORDS).items(), key=lambda entry: (-entry[1], entry[0]))
    return "".join(f"{word} {count}\n" for word, count in ordered)


def found(wanted: str) -> str:
    places = [match.start() for match in re.finditer(re.escape(wanted), TEXT)]
    return "".join(f"{n}\n" for n in [len(places), *places[:64]])


def matching(expression: str) -> str:
    return "".join(f"{n}\n" for n, line in enumerate(TEXT.split("\n"), 1) if re.search(expression, line))


def hottest(hot: int) -> str:
    by_time: Counter[str] = Counter()
    for line in TRACE.splitlines():
        time, start, end, accesses = line.split()
        by_time[time] += int(end, 16) - int(start, 16) if int(accesses) >= hot else 0
    return f"{max(by_time.values())}\n"


def filtered(hot: int) -> str:
    return "".join(line for line in TRACE.splitlines(keepends=True) if int(line.split()[3]) >= hot)


CASES: dict[str, tuple[str, Callable[[], str]]] = {
    "wordcount": ("text", counted),
    "substr": ("text word7", lambda: found("word7")),
    "grep": ("text ^word1[0-9]+ .*9$", lambda: matching("^word1[0-9]+ .*9$")),
    "sha256sum": ("text", lambda: hashlib.sha256(TEXT.encode()).hexdigest()),
    "substrrepl": ("text word42 sea urchin", lambda: f"{TEXT.count('word42')}\n"),
    "damo": ("trace 50", lambda: hottest(50)),
    "damofilter": ("trace 90", lambda: "trace_filter90"),
}
WRITTEN = {
    "substrrepl": ("text", lambda: TEXT.replace("word42", "sea urchin")),
    "damofilter": ("trace_filter90", lambda: filtered(90)),
}


SQUARES = """
#include <cstdio>
#include <weftrun.h>

static int squares[1000];

extern "C" WEFTRUN_INIT {
  for (int i = 0; i < 1000; i++) squares[i] = i * i;
  return 0;
}

int main() {
  char text[16];
  weftrun_output(text, (uint32_t)snprintf(text, sizeof text, "%d", squares[atoi(weftrun_input(nullptr))]));
  return 0;
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    for source in EXAMPLES.glob("*.c"):
        assert build(str(source), str(folder / f"{source.stem}.wasm")) == ""
    return folder


@pytest.fixture
def remote(storage: StorageRole) -> Iterator[RemoteBuckets]:
    made = RemoteBuckets(storage.url)
    made.write("ndp", "text", TEXT.encode())
    made.write("ndp", "trace", TRACE.encode())
    yield made
    made.close()


def called(built: Path, name: str, input: str, remote: RemoteBuckets, near: Near = "auto") -> WasmAnswer:
    place = CallReach("ndp", remote, remote, near)
    return run(load(str(built / f"{name}.wasm"), ""), "_start", name, input.encode(), place, WasmLimits())


@pytest.mark.sweep
@pytest.mark.parametrize("near", ["require", "forbid"])
@pytest.mark.parametrize("name", CASES)
def test_a_function_gives_what_python_gives(built: Path, remote: RemoteBuckets, name: str, near: Near) -> None:
    input, wanted = CASES[name]
    answer = called(built, name, input, remote, near)
    assert answer.output.decode() == wanted()
    moved = answer.moved[0]
    assert moved.where == ("near" if near == "require" else "here")
    if near == "require" and name != "wordcount":
        assert moved.bytes_back < len(TEXT) / 20
    if name in WRITTEN:
        key, content = WRITTEN[name]
        value = remote.read("ndp", key)
        assert value is not None
        assert value[1].decode() == content()


@pytest.mark.sweep
def test_put_and_get(built: Path, remote: RemoteBuckets) -> None:
    called(built, "put", "k a value", remote)
    assert called(built, "get", "k", remote).output == b"a value"
    with pytest.raises(WasmTrapped, match="get returned 1: no key gone"):
        called(built, "get", "gone", remote)
    with pytest.raises(WasmTrapped, match="put returned 1: the input is: KEY VALUE"):
        called(built, "put", "k", remote)


@pytest.mark.sweep
def test_a_program_in_cpp_with_an_init(tmp_path: Path, remote: RemoteBuckets) -> None:
    (tmp_path / "squares.cpp").write_text(SQUARES, encoding="utf-8")
    assert build(str(tmp_path / "squares.cpp"), str(tmp_path / "squares.wasm")) == ""
    assert [called(tmp_path, "squares", "30", remote).output for _ in range(3)] == [b"900"] * 3


@pytest.mark.sweep
def test_a_program_that_is_none_is_told_with_the_compilers_words(tmp_path: Path) -> None:
    (tmp_path / "wrong.c").write_text("int main(void) { return unknown; }", encoding="utf-8")
    with pytest.raises(NotBuilt, match=r"(?s)wrong\.c was not built:.*unknown"):
        build(str(tmp_path / "wrong.c"), str(tmp_path / "wrong.wasm"))
    assert not (tmp_path / "wrong.wasm").exists()


def test_what_is_no_c_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "f.rs").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"f\.rs can't be built: functions are built of \.c"):
        build(str(tmp_path / "f.rs"), str(tmp_path / "f.wasm"))
    with pytest.raises(UsageError, match="There is no file"):
        build(str(tmp_path / "gone.c"), str(tmp_path / "f.wasm"))
