"""State is one memory for all calls of a host that ask for it; the bucket has copies; locks go with their call."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.wasm import modules

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.runner import cache_folder, run
from weftrun.adapters.wasm.state import BucketState
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.wasm import WasmLimits

ROOT = Path(__file__).parents[2]
STATE = "".join(
    f'(import "weftrun" "state_{name}" (func ${name} (param {takes}) (result {gives})))'
    for name, takes, gives in (
        ("map", "i32 i32 i32 i32", "i32"),
        ("push", "i32 i32", "i32"),
        ("pull", "i32 i32", "i32"),
        ("lock", "i32 i32 i32", "i32"),
        ("unlock", "i32 i32", "i32"),
    )
)
KEY = "(i32.const 0) (i32.const 1)"
MAPPED = f"(local.set $at (call $map {KEY} (i32.const 100000) (i32.const 8)))"
ADDS = "(i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))"


def program(body: str, *imports: str) -> bytes:
    """Return a program with the state of the key `k` at `$at`, that answers with its first number and its length."""
    tells = (
        "(i32.store (i32.const 4) (i32.load (local.get $at)))(drop (call $output (i32.const 4) (i32.const 8)))"
    )  # fmt: skip
    return modules.command(
        f"(local $at i32) (local $n i32) {MAPPED} {body} {tells}",
        STATE,
        modules.OUTPUT,
        *imports,
        rest='(data (i32.const 0) "k")',
    )


COUNTS = program(ADDS)
READS = program("")
LOCKED = program(
    f"(local.set $n (i32.const 2000)) (loop $more (drop (call $lock {KEY} (i32.const 1))) {ADDS}"
    f" (drop (call $unlock {KEY})) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $more (local.get $n)))"
)
PUSHES = program(f"{ADDS} (drop (call $push {KEY}))")
PULLS = program(f"(drop (call $pull {KEY}))")
TRAPS_LOCKED = program(f"(drop (call $lock {KEY} (i32.const 1))) unreachable")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CallReach]:
    made = CallReach("b", FileBuckets(str(tmp_path)), named=str(tmp_path))
    yield made
    shutil.rmtree(BucketState(str(tmp_path), "b").folder, ignore_errors=True)


def called(content: bytes, place: CallReach, limits: WasmLimits | None = None) -> tuple[int, int]:
    module = compiled(content, "m.wasm", cache_folder())
    first, length = struct.unpack("<ii", run(module, "_start", "m", b"", place, limits or WasmLimits()).output)
    return first, length


def forget(place: CallReach) -> None:
    """Lose what this host has of the state, as a restart of the host does."""
    shutil.rmtree(BucketState(place.named, place.bucket).folder)


def test_a_call_sees_what_an_earlier_one_wrote(place: CallReach) -> None:
    assert [called(COUNTS, place) for _ in range(3)] == [(n, 100_000) for n in (1, 2, 3)]
    assert called(READS, place._replace(bucket="other")) == (0, 100_000)
    forget(place._replace(bucket="other"))


def test_calls_at_once_share_one_memory_and_a_lock_keeps_them_apart(place: CallReach) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: called(LOCKED, place), range(3)))
    assert called(READS, place)[0] == 6_000


def test_another_process_shares_it(place: CallReach) -> None:
    called(COUNTS, place)
    script = (
        "from tests.wasm.test_state import *; import sys;"
        "called(COUNTS, CallReach('b', FileBuckets(sys.argv[1]), named=sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", script, place.named], cwd=ROOT, check=True)
    assert called(READS, place)[0] == 2


def test_it_moves_by_push_and_pull_only(place: CallReach) -> None:
    called(COUNTS, place)
    forget(place)
    assert called(READS, place)[0] == 0
    assert called(PUSHES, place)[0] == 1
    called(COUNTS, place)
    assert called(PULLS, place)[0] == 1
    forget(place)
    assert called(READS, place) == (1, 100_000)


def test_a_lock_is_free_when_its_call_has_trapped(place: CallReach) -> None:
    with pytest.raises(WasmTrapped, match="aborted"):
        called(TRAPS_LOCKED, place)
    assert called(LOCKED, place)[0] == 2_000


def test_a_lock_is_waited_for_no_longer_than_the_call_may_take_and_is_free_when_its_process_has_died(
    place: CallReach,
) -> None:
    script = (
        "import sys, time; from weftrun.adapters.wasm.state import BucketState;"
        "BucketState(sys.argv[1], 'b').lock('k', writes=True, until=0); print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, place.named]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(WasmTrapped, match="its time was over while it waited for the lock of 'k'"):
            called(LOCKED, place, WasmLimits(time_s_max=0.05))
        holder.kill()
    assert called(LOCKED, place)[0] == 2_000


def test_state_that_is_larger_than_memory_is_not_mapped(place: CallReach) -> None:
    """The program is told by NULL; this one goes on and reads what lies at 0: the letter of its key."""
    assert called(READS, place, WasmLimits(memory_bytes_max=65_536)) == (ord("k"), 0)


def test_without_a_bucket_there_is_no_state() -> None:
    with pytest.raises(WasmRefused, match="was given none"):
        called(READS, CallReach())
