"""Members of a group run at once, talk to one another, and are told where what they wait for can't come."""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.wasm import modules

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.wasm.building import build
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.group import UNREAD_BYTES_MAX, Group, GroupEnded
from weftrun.adapters.wasm.runner import cache_folder, load, run
from weftrun.adapters.wasm.state import BucketState
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.wasm import WasmLimits

GROUP = "".join(
    f'(import "weftrun" "group_{name}" (func ${name} (param {takes}) (result i32)))'
    for name, takes in (
        ("run", "i32 i32"), ("rank", ""), ("size", ""), ("send", "i32 i32 i32"), ("receive", "i32 i32 i32"),
        ("next", "i32"), ("barrier", ""), ("lock", "i32"), ("unlock", "i32"), ("share", "i32"),
    )
)  # fmt: skip
RANK = "(local.set $rank (call $rank))"
ADDS = "(i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))"


def grouped(member: str, *, before: str = "", members: int = 4, imports: str = "") -> bytes:
    """Return a program that runs a function in members, and answers with 16 bytes from 100 on."""
    return modules.command(
        f"{before} (i32.store (i32.const 112) (call $run (i32.const 0) (i32.const {members})))"
        "(drop (call $output (i32.const 100) (i32.const 16)))",
        GROUP, modules.OUTPUT, modules.MERGE, imports,
        rest='(table (export "__indirect_function_table") 1 funcref) (elem (i32.const 0) $member)'
        '(data (i32.const 90) "k") (global $g (export "g") (mut i32) (i32.const 0))'
        f"(func $member (result i32) (local $rank i32) (local $at i32) (local $n i32) {RANK} {member})",
    )  # fmt: skip


def called(content: bytes, limits: WasmLimits | None = None, place: CallReach | None = None) -> tuple[int, ...]:
    module = compiled(content, "m.wasm", cache_folder())
    output = run(module, "_start", "m", b"", place or CallReach(), limits or WasmLimits(time_s_max=20)).output
    return struct.unpack("<4i", output)


MERGED = "(drop (call $merge (i32.const 100) (i32.const 1) (i32.const 0) (i32.const 0)))"
RING = """
(i32.store (i32.const 8) (local.get $rank))
(drop (call $send (i32.rem_u (i32.add (local.get $rank) (i32.const 1)) (call $size)) (i32.const 8) (i32.const 4)))
(local.set $n (i32.rem_u (i32.add (local.get $rank) (i32.const 3)) (call $size)))
(if (i32.ne (call $next (local.get $n)) (i32.const 4)) (then (return (i32.const 9))))
(drop (call $receive (local.get $n) (i32.const 100) (i32.const 4)))
(i32.store (i32.const 100) (i32.mul (i32.load (i32.const 100)) (i32.add (local.get $rank) (i32.const 1))))
(i32.store (i32.const 104) (i32.const 5)) (i32.const 0)"""


def test_members_have_copies_of_the_memory_send_messages_and_give_back_what_is_declared() -> None:
    """Each takes the number of the one before it, times its own plus 1. What was not declared stays with them."""
    own = "(i32.store (i32.const 100) (i32.const 1000)) (i32.store (i32.const 104) (i32.const 7))"
    assert called(grouped(RING, before=own + MERGED)) == (1_000 + 3 + 0 * 2 + 1 * 3 + 2 * 4, 7, 0, 0)


def test_members_share_the_memory_that_was_made_for_it_and_locks_keep_them_apart() -> None:
    before = "(i32.store (i32.const 108) (call $share (i32.const 70000)))"
    adds = (
        "(local.set $at (i32.load (i32.const 108))) (local.set $n (i32.const 300)) (loop $more"
        f" (drop (call $lock (i32.const 3))) {ADDS} (drop (call $unlock (i32.const 3)))"
        " (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $more (local.get $n)))"
        # After the barrier all of it is there, for each of them.
        "(drop (call $barrier)) (i32.ne (i32.load (local.get $at)) (i32.const 1200))"
    )
    assert called(grouped(adds, before=before))[3] == 0


def test_members_share_the_state_that_their_program_has_mapped(tmp_path: Path) -> None:
    state = "".join(
        f'(import "weftrun" "state_{name}" (func $state_{name} (param {takes}) (result i32)))'
        for name, takes in (("map", "i32 i32 i32 i32"), ("lock", "i32 i32 i32"), ("unlock", "i32 i32"))
    )
    mapped = "(i32.store (i32.const 108) (call $state_map (i32.const 90) (i32.const 1) (i32.const 8) (i32.const 80)))"
    adds = (
        "(drop (call $state_lock (i32.const 90) (i32.const 1) (i32.const 1)))"
        "(local.set $at (i32.load (i32.const 108)))"
        f"{ADDS} (drop (call $state_unlock (i32.const 90) (i32.const 1))) (drop (call $barrier))"
        "(i32.rem_u (i32.load (local.get $at)) (i32.const 4))"
    )
    place = CallReach("b", FileBuckets(str(tmp_path)), named=str(tmp_path))
    assert [called(grouped(adds, before=mapped, imports=state), None, place)[3] for _ in range(2)] == [0, 0]
    shutil.rmtree(BucketState(str(tmp_path), "b").folder)


def test_what_members_of_two_groups_write_is_written_once_each(tmp_path: Path) -> None:
    """The same bytes of one Step are two writes; those of an Attempt that comes again are the same two."""
    write = "(drop (call $write (i32.const 90) (i32.const 1) (i32.const 90) (i32.const 1)))"
    writes = f"(if (i32.eqz (local.get $rank)) (then {write}))"
    twice = grouped(
        f"{writes} (i32.const 0)", before="(drop (call $run (i32.const 0) (i32.const 2)))", imports=modules.WRITE
    )
    buckets = _Counting(str(tmp_path))
    place = CallReach("b", buckets, named=str(tmp_path), effects="run/step")
    for _ in range(2):
        called(twice, None, place)
    assert len(buckets.tokens) == 4
    assert len(set(buckets.tokens)) == 2


class _Counting(FileBuckets):
    """Buckets that note the tokens of writes."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.tokens: list[str] = []

    def write(self, *args: object, once: str = "", **named: object) -> object:  # type: ignore[override]
        self.tokens.append(once)
        return super().write(*args, once=once, **named)  # type: ignore[arg-type]


TO_ITSELF = "(drop (call $send (local.get $rank) (i32.const 0) (i32.const 4)))"
FAILS = "(if (i32.eq (local.get $rank) (i32.const 2)) (then {}))"


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (FAILS.format("unreachable") + "(drop (call $barrier))", r"m \(member 2 of 4\) ended: it aborted"),
        (FAILS.format("(loop $l (br $l))") + "(drop (call $barrier))", "its time was over"),
        ("(drop (call $barrier)) (drop (call $receive (local.get $rank) (i32.const 0) (i32.const 4)))",
         "no member can go on: 0 waits for a message of 0, 1 waits for a message of 1, 2 waits"),
        (FAILS.format("(return (i32.const 0))") + "(drop (call $barrier))",
         "no member can go on: 0 waits at the barrier, 1 waits at the barrier, 3 waits at the barrier; 2 ended"),
        ("(drop (call $send (i32.const 4) (i32.const 0) (i32.const 4)))", "members 0 to 3, and no member 4"),
        ("(drop (call $run (i32.const 0) (i32.const 2)))", "a member of a group can't make another one"),
        ("(drop (call $share (i32.const 2)))", "memory is shared before a group is made"),
        ("(drop (call $unlock (i32.const 2)))", "gives the lock 2 back, which it does not have"),
        ("(drop (call $lock (i32.const 2))) (drop (call $lock (i32.const 2)))", "takes the lock 2, which it has"),
        (f"{TO_ITSELF} (drop (call $receive (local.get $rank) (i32.const 0) (i32.const 3)))", "of 4 bytes .* 3 are"),
    ],
)  # fmt: skip
def test_a_member_that_fails_ends_the_group_and_nobody_waits_for_it(member: str, words: str) -> None:
    limits = WasmLimits(time_s_max=0.1 if "$l" in member else 20)
    with pytest.raises(WasmTrapped, match=words):
        called(grouped(f"{member} (i32.const 0)"), limits)


def test_what_the_first_member_that_failed_has_returned_is_told_and_nothing_is_merged() -> None:
    """The others wait for it, and end as well. A lock that a member has is free when it ends."""
    own = "(i32.store (i32.const 100) (i32.const 7))"
    member = f"{own} {FAILS.format('(return (i32.const 42))')} (drop (call $barrier)) (i32.const 0)"
    assert called(grouped(member, before=MERGED)) == (0, 0, 0, 42)
    assert called(grouped("(drop (call $lock (i32.const 1))) (i32.const 0)"))[3] == 0


@pytest.mark.parametrize("members", [0, 65, -1])
def test_how_many_members_there_may_be(members: int) -> None:
    with pytest.raises(WasmTrapped, match=f"a group has 1 to 64 members, not {members}"):
        called(grouped("(i32.const 0)", members=members))


def test_a_module_that_hides_variables_makes_no_group() -> None:
    hidden = modules.command(
        "(drop (call $run (i32.const 0) (i32.const 2)))", GROUP, rest="(global (mut i32) (i32.const 0))"
    )
    with pytest.raises(WasmRefused, match="does not export all its variables, so no copy of it can be made"):
        called(hidden)


def at_once(*members: Callable[[], object]) -> list[object]:
    """Run members of a group in threads; return what each gives, or the text of its error."""

    def told(member: Callable[[], object]) -> object:
        try:
            return member()
        except GroupEnded as error:
            return str(error)

    with ThreadPoolExecutor(len(members)) as pool:
        return list(pool.map(told, members))


def test_who_sends_more_than_is_taken_waits_and_two_that_do_are_told() -> None:
    group, until, large = Group(2), time.monotonic() + 20, bytes(UNREAD_BYTES_MAX)

    def sends(rank: int) -> None:
        for _ in range(2):
            group.send(rank, 1 - rank, large, until)

    told = at_once(lambda: sends(0), lambda: sends(1))
    assert (
        told
        == ["no member can go on: 0 waits until 1 takes what it was sent, 1 waits until 0 takes what it was sent"] * 2
    )
    group = Group(2)
    taken = at_once(lambda: sends(0), lambda: [len(group.receive(1, 0, UNREAD_BYTES_MAX, until)) for _ in range(2)])
    assert taken == [None, [UNREAD_BYTES_MAX] * 2]


def test_the_time_of_who_waits_is_bounded_while_others_compute() -> None:
    with pytest.raises(GroupEnded, match="its time was over while 0 waits at the barrier"):
        Group(2).barrier(0, time.monotonic() + 0.01)


COLLECTIVES = """
#include <stdio.h>
#include <weftrun.h>

static int32_t *shared, checked;

static int member(void) {
  uint32_t rank = weftrun_rank(), members = weftrun_members();
  int32_t all[8], given[8], own[2] = {(int32_t)rank + 1, -(int32_t)rank}, word = rank == 1 ? 77 : 0;
  weftrun_broadcast(1, &word, sizeof word);
  if (word != 77) return 1;
  weftrun_gather(2, &own[0], 4, all);
  if (rank == 2 && (all[0] != 1 || all[3] != 4)) return 2;
  weftrun_gather_all(&own[0], 4, all);
  if (all[0] != 1 || all[3] != 4) return 3;
  for (uint32_t i = 0; i < members; i++) all[i] = (int32_t)(10 * rank + i);
  weftrun_exchange(all, 4, given);
  for (uint32_t i = 0; i < members; i++) if (given[i] != (int32_t)(10 * i + rank)) return 4;
  weftrun_scatter(3, all, 4, &word);
  if (word != (int32_t)(30 + rank)) return 5;
  weftrun_reduce(0, own, 2, WEFTRUN_I32, WEFTRUN_SUM);
  if (rank == 0 && (own[0] != 10 || own[1] != -6)) return 6;
  double least = -1.5 * rank;
  weftrun_reduce_all(&least, 1, WEFTRUN_F64, WEFTRUN_MIN);
  if (least != -4.5) return 7;
  int64_t product = (int64_t)rank + 2;
  weftrun_scan(&product, 1, WEFTRUN_I64, WEFTRUN_PRODUCT);
  if (product != (int64_t[]){2, 6, 24, 120}[rank]) return 8;
  weftrun_lock(0);
  shared[0] += 1;
  weftrun_unlock(0);
  weftrun_barrier();
  if (shared[0] != 4) return 9;
  checked += 1;
  printf("member %u\\n", rank);
  if (rank == 0) weftrun_output_text("well");
  return 0;
}

int main(void) {
  shared = weftrun_share(100000);
  weftrun_merge(&checked, 1, WEFTRUN_I32, WEFTRUN_SUM);
  int code = weftrun_group(member, 4);
  return code ? code : checked != 4 || shared[0] != 4;
}
"""


@pytest.mark.sweep
def test_the_collective_calls_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "c.c").write_text(COLLECTIVES, encoding="utf-8")
    assert build(str(tmp_path / "c.c"), str(tmp_path / "c.wasm")) == ""
    said: list[bytes] = []
    answer = run(load(str(tmp_path / "c.wasm"), ""), "_start", "c", b"", CallReach(say=said.append), WasmLimits())
    assert answer.output == b"well"
    assert b"".join(said) == b"".join(b"member %d\n" % rank for rank in range(4))
