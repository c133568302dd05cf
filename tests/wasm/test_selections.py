"""Which lines a selection chooses, and what a program gets of them, near and here."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from tests.wasm import modules

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.near.admission import NearAdmission
from weftrun.adapters.wasm.building import build
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.modules import Modules
from weftrun.adapters.wasm.runner import cache_folder, load, run
from weftrun.adapters.wasm.storage import NearRunner
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.errors import UsageError, WasmTrapped
from weftrun.model.near import NearRefused
from weftrun.model.selecting import Selection, selected
from weftrun.model.wasm import Near, WasmAnswer, WasmLimits
from weftrun.sdk.wasm import wasm_function

LOG = b"10:01 get 200 12.50\n10:02 put 500 3\n10:03 get 404 -\n10:04 get 200 7.250\n\nlast get 200"


@pytest.mark.parametrize(
    ("selection", "gives"),
    [
        (Selection(), LOG + b"\n"),
        (Selection("put"), b"10:02 put 500 3\n"),
        (Selection("get", gives="count"), b"4"),
        (Selection("get", 4, gives="sum"), b"19.75"),
        (Selection("", 3, least=Decimal(400), gives="count"), b"2"),
        (Selection("", 3, least=Decimal(400), most=Decimal(499)), b"10:03 get 404 -\n"),
        (Selection("", 2, ":", gives="sum"), b"0"),
        (Selection("nowhere"), b""),
    ],
)
def test_lines_are_chosen_by_text_and_by_number(selection: Selection, gives: bytes) -> None:
    assert selected(selection, LOG) == gives


SELECT = (
    '(import "weftrun" "object_select" (func $select (param i32 i32 i32 i32 i32 i32) (result i64)))'
    '(import "weftrun" "output_append" (func $append (param i32 i32) (result i32)))'
)
ASKS = modules.command(
    # The input is what is wanted. Gives the answer, or "!" where there is none; it is asked for its length, then taken.
    "(local $n i32) (drop (call $input_read (i32.const 64) (call $input_size) (i32.const 0)))"
    "(local.set $n (i32.wrap_i64 (call $select (i32.const 0) (i32.const 1) (i32.const 64) (call $input_size)"
    " (i32.const 0) (i32.const 0))))"
    "(if (i32.lt_s (local.get $n) (i32.const 0)) (then (drop (call $append (i32.const 1) (i32.const 1))) (return)))"
    "(drop (call $select (i32.const 0) (i32.const 1) (i32.const 64) (call $input_size)"
    " (i32.const 1024) (local.get $n)))"
    "(drop (call $append (i32.const 1024) (local.get $n)))",
    modules.INPUT, modules.READ, SELECT, rest='(data (i32.const 0) "k!")',
)  # fmt: skip


def asked(wanted: str, place: CallReach) -> WasmAnswer:
    return run(compiled(ASKS, "m", cache_folder()), "_start", "m", wanted.encode(), place, WasmLimits(time_s_max=20))


def test_a_program_has_what_it_chooses_of_a_key_near_and_here(storage: StorageRole) -> None:
    remote = RemoteBuckets(storage.url)
    remote.write("select", "k", LOG * 1_000)
    said = {}
    for near in ("auto", "require", "forbid"):
        answer = asked('{"contains": "put", "gives": "count"}', CallReach("select", remote, remote, near))
        assert answer.output == b"1000"
        said[near] = answer.moved[0]
    assert [(one.where, one.reason) for one in said.values()] == [
        ("near", "chosen beside its data"), ("near", "chosen beside its data"), ("here", "forbidden"),
    ]  # fmt: skip
    assert said["auto"].bytes_back < 200
    assert said["forbid"].bytes_back >= len(LOG) * 1_000
    assert said["auto"].sentence().startswith("object_select('k') ran beside its data (chosen beside its data): ")
    assert asked("{}", CallReach("nothing", remote, remote)).output == b"!"
    remote.close()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("lines", "this is no selection of lines of 'k': JSON is malformed"),
        ('{"gives": "mean"}', r"Invalid enum value 'mean' - at `\$\.gives`"),
        ('{"least": 1}', "say `field`, from 1"),
        ('{"field": 1, "least": "nan"}', "numbers of up to 60 digits"),
        ('{"contains": "a\\n"}', "parts of a line"),
        ('{"contain": "a"}', "unknown field `contain`"),
    ],
)
def test_what_is_no_selection_is_told(tmp_path: Path, wanted: str, words: str) -> None:
    buckets = FileBuckets(str(tmp_path))
    buckets.write("b", "k", LOG)
    with pytest.raises(WasmTrapped, match=words):
        asked(wanted, CallReach("b", buckets))


@pytest.mark.parametrize("near", ["auto", "require"])
def test_what_can_not_be_chosen_near_is_chosen_here_with_the_reason(tmp_path: Path, near: Near) -> None:
    buckets = FileBuckets(str(tmp_path))
    buckets.write("b", "k", LOG)
    if near == "require":
        with pytest.raises(WasmTrapped, match="lines of 'k' can't be chosen near: the bucket is kept on this host"):
            asked("{}", CallReach("b", buckets, near=near))
    else:
        assert asked("{}", CallReach("b", buckets)).moved[0].reason == "the bucket is kept on this host"


def test_a_busy_storage_role_chooses_nothing_and_the_caller_does(tmp_path: Path) -> None:
    buckets = FileBuckets(str(tmp_path))
    buckets.write("b", "k", LOG)
    busy = NearRunner(Modules(str(tmp_path / "modules")), buckets, NearAdmission(0))
    assert busy.select("b", "k", Selection()) == NearRefused("the storage role is busy", is_busy=True)


@pytest.mark.sweep
def test_what_a_busy_storage_role_does_not_choose_is_fetched(tmp_path: Path) -> None:
    role = StorageRole(tmp_path / "role", "127.0.0.1", 0, slots=0)
    remote = RemoteBuckets(role.url)
    try:
        remote.write("b", "k", LOG)
        found = remote.select("b", "k", Selection("put", gives="count"))
        assert found is not None
        assert (found.data, found.where, found.reason) == (b"1", "here", "the storage role is busy")
    finally:
        remote.close()
        role.close()


def test_a_password_in_the_url_of_buckets_is_refused_before_it_is_on_record(tmp_path: Path) -> None:
    (tmp_path / "m.wasm").write_bytes(ASKS)
    with pytest.raises(UsageError, match="leave the password out of it"):
        wasm_function(tmp_path / "m.wasm", bucket="b", buckets="postgresql://u:secret@h/d")


CHOOSES = """
#include <weftrun.h>

int main(void) {
  uint32_t bytes;
  char *errors = weftrun_object_select("k", "{\\"contains\\": \\"get\\", \\"field\\": 3, \\"least\\": 400}", &bytes);
  if (!errors || bytes != strlen(errors)) return 1;
  weftrun_output(errors, bytes);
  weftrun_output_add(weftrun_object_select("k", "{\\"gives\\": \\"count\\"}", NULL), 1);
  return weftrun_object_select("gone", "{}", NULL) != NULL;
}
"""


@pytest.mark.sweep
def test_a_program_in_c_chooses_lines(tmp_path: Path) -> None:
    (tmp_path / "c.c").write_text(CHOOSES, encoding="utf-8")
    assert build(str(tmp_path / "c.c"), str(tmp_path / "c.wasm")) == ""
    buckets = FileBuckets(str(tmp_path))
    buckets.write("b", "k", LOG)
    answer = run(load(str(tmp_path / "c.wasm"), ""), "_start", "c", b"", CallReach("b", buckets), WasmLimits())
    assert answer.output == b"10:03 get 404 -\n6"
