"""State between hosts: parts of it, what is appended, and locks whose holders may die."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.wasm import modules
from tests.wasm.test_state import ADDS, KEY, ROOT, called, program

import weftrun
from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.wasm import global_lock
from weftrun.adapters.wasm.building import build
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.global_lock import GlobalLock, LockLost, acquire
from weftrun.adapters.wasm.runner import cache_folder, load, run
from weftrun.adapters.wasm.state import BucketState
from weftrun.model.errors import WasmTrapped
from weftrun.model.wasm import WasmLimits

LOCK = "".join(
    f'(import "weftrun" "state_{name}" (func ${name} (param i32 i32) (result i32)))'
    for name in ("lock_global", "unlock_global")
)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[CallReach]]:
    """Two hosts with one bucket: what one of them has in memory, the other has not."""
    buckets = FileBuckets(str(tmp_path))
    made = [CallReach("b", buckets, named=f"{tmp_path} as host {number} sees it") for number in range(2)]
    yield made
    for place in made:
        shutil.rmtree(BucketState(place.named, "b").folder, ignore_errors=True)


def lock(place: CallReach, *, lease_s: float = 30.0, timeout_s: float = 20.0) -> GlobalLock | None:
    assert place.buckets is not None
    return acquire(place.buckets, "b", "k", "state/k", until=time.monotonic() + timeout_s, lease_s=lease_s)


def test_parts_of_a_state_are_pushed_and_pulled_and_the_rest_is_left(hosts: list[CallReach]) -> None:
    states = [BucketState(place.named, "b") for place in hosts]
    buckets = hosts[0].buckets
    assert buckets is not None
    for state, letter in zip(states, b"ab", strict=True):
        region = state.make("k", 100)
        state.push("k", buckets, 0, 10)
        with open(f"/proc/self/fd/{region.descriptor}", "r+b") as file:
            file.write(bytes([letter]) * 100)
    states[0].push("k", buckets, 0, 10)
    states[1].push("k", buckets, 90, -1)
    assert bytes((buckets.read("b", "state/k") or (None, b""))[1]) == b"a" * 10 + bytes(80) + b"b" * 10
    states[0].pull("k", buckets, 95, 5)
    assert (states[0].find("k", None) or (0,))[1] == 100
    with open(f"{states[0].folder}/k", "rb") as file:
        assert file.read() == b"a" * 95 + b"b" * 5
    for state in states:
        state.close()


COUNTS_EVERYWHERE = program(
    f"(drop (call $lock_global {KEY})) (drop (call $pull {KEY})) {ADDS} (drop (call $push {KEY}))"
    f"(drop (call $unlock_global {KEY}))",
    LOCK,
)


def test_calls_of_two_hosts_count_together_under_the_lock_of_all_hosts(hosts: list[CallReach]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda place: [called(COUNTS_EVERYWHERE, place) for _ in range(5)], hosts))
    copy = hosts[0].buckets.read("b", "state/k") if hosts[0].buckets else None
    assert copy is not None
    assert struct.unpack("<i", bytes(copy[1][:4])) == (10,)


def test_a_lock_of_all_hosts_is_free_when_its_call_ends_however_that_comes(hosts: list[CallReach]) -> None:
    with pytest.raises(WasmTrapped, match="aborted"):
        called(program(f"(drop (call $lock_global {KEY})) unreachable", LOCK), hosts[0])
    held = lock(hosts[1])
    assert held is not None
    with pytest.raises(WasmTrapped, match="its time was over while it waited for the global lock of 'k'"):
        called(COUNTS_EVERYWHERE, hosts[0], WasmLimits(time_s_max=0.05))
    held.release()
    assert called(COUNTS_EVERYWHERE, hosts[0])[0] == 1


def test_the_lock_of_a_holder_that_died_is_taken_over_after_its_lease(hosts: list[CallReach], tmp_path: Path) -> None:
    script = (
        "import sys, time; from weftrun.adapters.buckets.files import FileBuckets;"
        "from weftrun.adapters.wasm.global_lock import acquire;"
        "acquire(FileBuckets(sys.argv[1]), 'b', 'k', 'state/k', until=0); print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert lock(hosts[0], timeout_s=0.0) is None
        holder.kill()
    held = lock(hosts[0], lease_s=0.1)
    assert held is not None
    held.release()


def test_who_was_only_slow_finds_out_and_writes_over_nothing(
    hosts: list[CallReach], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not renew for longer than a lease; another takes the lock, and pushes; it then pushes, too."""
    buckets = hosts[0].buckets
    assert buckets is not None
    state = BucketState(hosts[0].named, "b")
    state.make("k", 8)
    state.push("k", buckets)
    monkeypatch.setattr(global_lock, "_RENEW_S", 3_600.0)
    slow = lock(hosts[0])
    other = lock(hosts[1], lease_s=0.01)
    assert slow is not None
    assert other is not None
    buckets.write("b", "state/k", b"theirs!!", if_version=other.guard)
    with pytest.raises(weftrun.adapters.wasm.state.KeyChanged):
        state.push("k", buckets, guard=slow.guard)
    slow.release()
    assert bytes((buckets.read("b", "lock/k") or (None, b""))[1]) == b"held"
    other.release()
    monkeypatch.setattr(global_lock, "_RENEW_S", 0.01)
    late = lock(hosts[0])
    assert late is not None
    buckets.write("b", "lock/k", b"held")
    with pytest.raises(LockLost, match="was taken over by another host"):
        until(late.check)
    state.close()


def until(check: Callable[[], None]) -> None:
    for _ in range(2_000):
        check()
        time.sleep(0.01)


APPENDS = modules.command(
    "(drop (call $append (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 2)))"
    "(drop (call $output (i32.const 64) (i32.wrap_i64"
    " (call $appended (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 999)))))",
    modules.OUTPUT, '(import "weftrun" "state_append" (func $append (param i32 i32 i32 i32) (result i32)))'
    '(import "weftrun" "state_appended" (func $appended (param i32 i32 i32 i32) (result i64)))',
    rest='(data (i32.const 0) "kab")',
)  # fmt: skip


def test_what_is_appended_is_there_once_for_each_step(hosts: list[CallReach]) -> None:
    module = compiled(APPENDS, "m", cache_folder())
    steps = [place._replace(effects=f"run/{number}") for number, place in enumerate(hosts)]
    answers = [run(module, "_start", "m", b"", place, WasmLimits()).output for place in [*steps, steps[0]]]
    assert answers == [b"ab", b"abab", b"abab"]


def test_a_python_function_has_the_same_memory(tmp_path: Path) -> None:
    """What WebAssembly has written it sees, and the other way; it makes numpy arrays of it."""
    place = CallReach("b", FileBuckets(str(tmp_path)), named=str(tmp_path))
    assert called(program(ADDS), place)[0] == 1
    with weftrun.shared_state("k", bucket="b", buckets=tmp_path) as state:
        numbers = state.memory.cast("i")
        assert (numbers[0], len(state.memory)) == (1, 100_000)
        again = weftrun.shared_state("k", bucket="b", buckets=tmp_path)
        with state.locked(), pytest.raises(TimeoutError, match="'k' was not free"), again.locked(timeout_s=0):
            pass
        again.close()
        with state.locked(everywhere=True):
            numbers[0] = 41
            state.push()
            assert state.pull()
    assert called(program(ADDS), place)[0] == 42
    with pytest.raises(weftrun.UsageError, match=r"There is no state 'new' .*: say how long it is"):
        weftrun.shared_state("new", bucket="b", buckets=tmp_path)
    with pytest.raises(weftrun.UsageError, match="give `bucket` and `buckets`"):
        weftrun.shared_state("new", bucket="", buckets=tmp_path)
    shutil.rmtree(BucketState(str(tmp_path), "b").folder)


IN_C = """
#include <weftrun.h>

int main(void) {
  uint32_t *numbers = weftrun_state_map("n", 8, NULL);
  weftrun_state_lock_global("n");
  numbers[1] = 7;
  weftrun_state_push_part("n", 4, 4);
  numbers[1] = 0;
  if (weftrun_state_pull_part("n", 4, -1) || numbers[1] != 7) return 1;
  if (weftrun_state_unlock_global("n")) return 2;
  weftrun_state_append("list", "ab", 2);
  char text[8] = {0};
  if (weftrun_state_appended("list", text, 8) != 2 || strcmp(text, "ab")) return 3;
  return weftrun_state_clear_appended("list") || weftrun_state_appended("list", text, 8);
}
"""


@pytest.mark.sweep
def test_the_calls_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "c.c").write_text(IN_C, encoding="utf-8")
    assert build(str(tmp_path / "c.c"), str(tmp_path / "c.wasm")) == ""
    place = CallReach("b", FileBuckets(str(tmp_path)), named=str(tmp_path))
    run(load(str(tmp_path / "c.wasm"), ""), "_start", "c", b"", place, WasmLimits())
    shutil.rmtree(BucketState(str(tmp_path), "b").folder)
