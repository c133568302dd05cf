"""The example functions give what Python gives, beside the data and not, and move little where they run beside it."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from tests.wasm import images

from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.wasm.building import NotBuilt, build
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.runner import load, run
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.errors import UsageError, WasmTrapped
from weftrun.model.wasm import Near, WasmAnswer, WasmLimits

NEARS: Final[tuple[Near, ...]] = ("require", "forbid")
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


IMAGE, PIXELS = images.png(3, 6)
FACES, ROWS = images.mnist(5)
TREE: Any = {
    f"n{n}": [n, -n / 4, None, True, 'q"\\/\b\n\x01ü€😀', {"": [[]]}, {}, {"deep": [{"er": DICE.random()}]}]
    for n in range(300)
}
JSON = json.dumps(TREE, indent=1)
KEYS = {
    "text": TEXT.encode(),
    "trace": TRACE.encode(),
    "json": JSON.encode(),
    "image": IMAGE,
    "faces": FACES,
    "k": b"a value",
}  # fmt: skip


def same(wanted: Callable[[], str]) -> Callable[[bytes], bool]:
    return lambda output: output.decode() == wanted()


def shown(output: bytes) -> bool:
    return bool((images.pixels_of(output) == images.smaller(PIXELS)).all())


def written_bytes() -> str:
    return str(len(json.dumps(TREE, separators=(",", ":"), ensure_ascii=False).encode()))


CASES: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    "get": ("k", same(lambda: "a value")),
    "put": ("k2 some words", same(lambda: "")),
    "wordcount": ("text", same(counted)),
    "substr": ("text word7", same(lambda: found("word7"))),
    "grep": ("text ^word1[0-9]+ .*9$", same(lambda: matching("^word1[0-9]+ .*9$"))),
    "sha256sum": ("text", same(lambda: hashlib.sha256(TEXT.encode()).hexdigest())),
    "substrrepl": ("text word42 sea urchin", same(lambda: f"{TEXT.count('word42')}\n")),
    "json_parse": ("json", same(written_bytes)),
    "thumbnailer_decode": ("image", shown),
    "thumbnailer_shrink": ("image", shown),
    "pcakmm": ("faces", same(lambda: images.grouped(images.reduced(ROWS)))),
    "pcakmmstore": ("faces", same(lambda: "faces_pcareduced")),
    "damo": ("trace 50", same(lambda: hottest(50))),
    "damofilter": ("trace 90", same(lambda: "trace_filter90")),
}
"""The fourteen functions of Faasm's `ndp`: an input of each, and whether an output is right."""


def is_reduced(value: bytes) -> bool:
    """Say whether these are the images in the space of the right directions, whichever way each of them points."""
    rows, wanted = np.frombuffer(value).reshape(len(ROWS), -1), images.reduced(ROWS)
    return rows.shape == wanted.shape and bool(np.allclose(rows @ rows.T, wanted @ wanted.T, atol=1e-4))


WRITTEN: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    "put": ("k2", same(lambda: "some words")),
    "substrrepl": ("text", same(lambda: TEXT.replace("word42", "sea urchin"))),
    "pcakmmstore": ("faces_pcareduced", is_reduced),
    "damofilter": ("trace_filter90", same(lambda: filtered(90))),
}
LARGE_BACK = {"wordcount", "json_parse", "thumbnailer_decode", "pcakmm"}
"""Those whose result in memory is not much smaller than what they read."""


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
    for key, value in KEYS.items():
        made.write("ndp", key, value)
    yield made
    made.close()


def called(built: Path, name: str, input: str, remote: RemoteBuckets, near: Near = "auto") -> WasmAnswer:
    place = CallReach("ndp", remote, remote, near)
    return run(load(str(built / f"{name}.wasm"), ""), "_start", name, input.encode(), place, WasmLimits())


def test_they_are_all_there() -> None:
    assert len(CASES) == 14
    assert {source.stem for source in EXAMPLES.glob("*.c")} == set(CASES)


@pytest.mark.sweep
@pytest.mark.parametrize("name", CASES)
def test_a_function_gives_what_python_gives_near_and_here(built: Path, remote: RemoteBuckets, name: str) -> None:
    input, is_right = CASES[name]
    outputs, values = [], []
    for near in NEARS:
        for key, value in KEYS.items():
            remote.write("ndp", key, value)
        answer = called(built, name, input, remote, near)
        assert is_right(answer.output)
        outputs.append(answer.output)
        if name not in ("get", "put"):  # which read or write a key, and have no part that could move
            (moved,) = answer.moved
            assert moved.where == ("near" if near == "require" else "here")
            if near == "require" and name not in LARGE_BACK:
                assert moved.bytes_back < len(KEYS[input.split()[0]]) / 5
        if name in WRITTEN:
            key, is_written = WRITTEN[name]
            found = remote.read("ndp", key)
            assert found is not None
            assert is_written(bytes(found[1]))
            values.append(bytes(found[1]))
    assert len(set(outputs)) == 1
    assert len(set(values)) == (name in WRITTEN)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("json_parse", b'{"a": [1, 2}', "k is no JSON"),
        ("json_parse", b"[" * 9_000, "k is no JSON"),
        ("thumbnailer_shrink", IMAGE[:-200], "k is no PNG"),
        ("thumbnailer_decode", b"text", "k is no PNG"),
        ("pcakmm", FACES[:40], "k has no images of MNIST"),
    ],
)
def test_what_it_can_not_read_is_told(
    built: Path, remote: RemoteBuckets, name: str, content: bytes, words: str
) -> None:
    remote.write("ndp", "k", content)
    with pytest.raises(WasmTrapped, match=words):
        called(built, name, "k", remote)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", [0, 2, 3, 4, 6])
def test_images_of_each_kind_are_read(built: Path, remote: RemoteBuckets, kind: int) -> None:
    for seed in range(4):
        image, pixels = images.png(seed * 3 + kind, kind, 30 + seed, 21 + 9 * seed)
        remote.write("ndp", "image", image)
        output = called(built, "thumbnailer_shrink", "image", remote).output
        assert (images.pixels_of(output) == images.smaller(pixels)).all()


@pytest.mark.sweep
def test_put_and_get_tell_what_is_wrong(built: Path, remote: RemoteBuckets) -> None:
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
