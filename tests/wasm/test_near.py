"""A storage call gives the same beside its data as here, is refused with a reason, and moves few bytes."""

from __future__ import annotations

import os
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.engine.conftest import until
from tests.near.test_processors import Counted
from tests.wasm import modules
from tests.wasm.conftest import Kept

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.near.admission import NearAdmission
from weftrun.adapters.near.processors import ProcessorGate
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.modules import Modules
from weftrun.adapters.wasm.runner import load, run
from weftrun.adapters.wasm.storage import NearRunner
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.beside import PythonAnswer, PythonCall
from weftrun.model.errors import WasmTrapped
from weftrun.model.near import NearAnswer, NearCall, NearDone, NearFailed, NearRefused
from weftrun.model.wasm import Near, WasmAnswer, WasmLimits
from weftrun.ports.near import Measured, MeasuredAnswer
from weftrun.wire.delta import delta

TEXT = bytes(range(256)) * 2_000
TOTAL = sum(TEXT)
CALLS = 40 + 4294967298


@pytest.fixture
def remote(storage: StorageRole) -> Iterator[RemoteBuckets]:
    made = RemoteBuckets(storage.url)
    made.write("b", "text", TEXT)
    yield made
    made.close()


def summed(path: str, remote: RemoteBuckets, near: Near, key: bytes = b"text") -> WasmAnswer:
    place = CallReach("b", remote, remote, near)
    return run(load(path, ""), "_start", "sum", key, place, WasmLimits(memory_bytes_max=8 << 20))


@pytest.mark.parametrize("near", ["auto", "require", "forbid"])
def test_the_answer_is_the_same_wherever_it_runs(kept: Kept, remote: RemoteBuckets, near: Near) -> None:
    """The sum, both arguments, a zero that was written, the value returned, and a variable of 64 bits come back."""
    answer = summed(kept(modules.SUM_NEAR), remote, near)
    assert struct.unpack("<iiiiq", answer.output) == (TOTAL, 23, 0, 5, CALLS)
    moved = answer.moved[0]
    if near == "forbid":
        assert (moved.where, moved.reason) == ("here", "forbidden")
        assert (moved.bytes_out, moved.bytes_back) == (0, len(TEXT))
    else:
        assert (moved.where, moved.reason) == ("near", "its data is there")
        assert moved.bytes_back < 300


def test_a_key_that_is_not_there_is_read_here_as_there(kept: Kept, remote: RemoteBuckets) -> None:
    path = kept(modules.SUM_NEAR)
    answer = summed(path, remote, "auto", b"gone")
    assert answer.moved[0].reason == "refused: the key 'gone' is not there"
    assert answer.output == summed(path, remote, "forbid", b"gone").output
    with pytest.raises(WasmTrapped, match=r"near=\"require\".*the key 'gone' is not there"):
        summed(path, remote, "require", b"gone")


def test_a_module_with_hidden_variables_stays_here(kept: Kept, remote: RemoteBuckets) -> None:
    answer = summed(kept(modules.HIDDEN_VARIABLE), remote, "auto")
    assert answer.moved[0].reason == "the module does not export all its variables"


class Direct:
    """A way to a storage role in this process, which tests may tamper with."""

    bytes_out = bytes_back = 0

    def __init__(self, runner: NearRunner) -> None:
        self.runner = runner

    def ask(self, call: NearCall) -> NearAnswer:
        return self.runner.run(call)

    def run(self, call: NearCall, module: object, timeout_s: float) -> MeasuredAnswer:
        return MeasuredAnswer(self.ask(call), 0, 0)

    def run_python(self, call: PythonCall, code: bytes, timeout_s: float) -> Measured[PythonAnswer]:
        raise NotImplementedError


class Rig:
    """Buckets in a folder, a runner beside them, and calls that go to it."""

    def __init__(self, folder: Path, content: bytes, *, slots: int = 1, wait_s: float = 0.01) -> None:
        self.buckets = FileBuckets(str(folder / "buckets"))
        self.buckets.write("b", "k", b"abc")
        kept = Modules(str(folder / "modules"))
        path = kept.path(kept.keep(content, "m"))
        self.admission = NearAdmission(slots, wait_s=wait_s)
        self.runner = NearRunner(kept, self.buckets, self.admission)
        self.way = Direct(self.runner)
        self.module = load(path, "")

    def call(self, near: Near = "auto", limits: WasmLimits | None = None) -> WasmAnswer:
        place = CallReach("b", self.buckets, self.way, near)
        return run(self.module, "_start", "m", b"k", place, limits or WasmLimits())


def test_a_busy_storage_role_refuses_and_the_call_runs_here(tmp_path: Path) -> None:
    rig = Rig(tmp_path, modules.SUM_NEAR, slots=0)
    answer = rig.call()
    assert struct.unpack("<iiiiq", answer.output)[0] == sum(b"abc")
    assert answer.moved[0].reason == "refused: the storage role is busy"
    with pytest.raises(WasmTrapped, match="the storage role is busy"):
        rig.call("require")


def test_slots_bound_how_many_run_at_once(tmp_path: Path) -> None:
    """The one slot is held; who comes meanwhile waits its time out and is refused; then the next one is admitted."""
    rig = Rig(tmp_path, modules.SUM_NEAR)
    assert rig.admission._free.acquire(timeout=1)
    assert rig.call().moved[0].reason == "refused: the storage role is busy"
    rig.admission._free.release()
    assert rig.call().moved[0].where == "near"


def test_a_loop_near_the_data_ends_when_the_time_is_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path, modules.write_near(-1))
    with pytest.raises(WasmTrapped, match=r"storage_call\('k'\) ended: its time was over"):
        rig.call(limits=WasmLimits(time_s_max=0.05))
    assert bytes((rig.buckets.read("b", "k") or (None, b""))[1]) == b"abc"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memory": b"\xff"}, "no memory delta"),
        ({"memory": delta(bytes(5), bytes(5))}, "is of 5 bytes"),
        ({"function": 7}, "no function pointer 7"),
    ],
)
def test_a_forged_call_fails_and_harms_nothing(tmp_path: Path, change: dict[str, object], words: str) -> None:
    rig = Rig(tmp_path, modules.SUM_NEAR)

    def ask(call: NearCall) -> NearAnswer:
        return rig.runner.run(replace(call, **change))

    rig.way.ask = ask  # type: ignore[method-assign]
    with pytest.raises(WasmTrapped, match=words):
        rig.call()
    del rig.way.ask
    assert rig.call().moved[0].where == "near"


def test_a_call_from_another_beginning_is_refused(tmp_path: Path) -> None:
    """An init that draws numbers, say, leaves other bytes in each process."""
    rig = Rig(tmp_path, modules.SUM_NEAR)
    answer = rig.runner.run(replace(_caught(rig), beginning="0" * 64))
    assert answer == NearRefused("instances begin with another memory there")


@pytest.mark.parametrize("memory_bytes", [0, 100, 1 << 40, -5])
def test_a_call_whose_memory_can_not_be_is_refused(tmp_path: Path, memory_bytes: int) -> None:
    rig = Rig(tmp_path, modules.SUM_NEAR)
    call = _caught(rig)
    answer = rig.runner.run(replace(call, memory_bytes=memory_bytes))
    assert isinstance(answer, NearRefused | NearFailed)


def test_an_answer_that_writes_outside_is_refused(tmp_path: Path) -> None:
    rig = Rig(tmp_path, modules.SUM_NEAR)

    def ask(call: NearCall) -> NearAnswer:
        done = rig.runner.run(call)
        assert isinstance(done, NearDone)
        return replace(done, memory=msgspec.msgpack.encode((call.memory_bytes, 1 << 30)))

    rig.way.ask = ask  # type: ignore[method-assign]
    with pytest.raises(WasmTrapped, match="got no memory back"):
        rig.call()


def _caught(rig: Rig) -> NearCall:
    """Return the call that a program sends."""
    caught: list[NearCall] = []

    def ask(call: NearCall) -> NearAnswer:
        caught.append(call)
        return NearRefused("caught")

    rig.way.ask = ask  # type: ignore[method-assign]
    rig.call()
    return caught[0]


def test_a_write_of_a_call_that_comes_twice_happens_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, modules.write_near(1))
    call = replace(_caught(rig), effects="run/step")
    rig.buckets.write("b", "k", b"abc")
    first = rig.runner.run(call)
    assert isinstance(first, NearDone)
    rig.buckets.write("b", "k", b"zzz")
    # The same Attempt again, late: it reads what is there now, and would write another value than the first.
    rig.buckets.write("b", "k", b"abc")
    assert isinstance(rig.runner.run(call), NearDone)
    assert bytes((rig.buckets.read("b", "k") or (None, b""))[1]) == b"abc"


@pytest.mark.sweep
def test_a_storage_role_that_dies_in_a_call_is_told_and_the_value_is_written_once(tmp_path: Path) -> None:
    """It is killed while a call runs; the caller hears of it, and its next try writes the one value."""
    role = StorageRole(tmp_path, "127.0.0.1", 0)
    remote = RemoteBuckets(role.url)
    try:
        remote.write("b", "k", b"abc")
        path = tmp_path / "m.wasm"
        path.write_bytes(modules.write_near(2_000_000_000))
        place = CallReach("b", remote, remote, "require", "run/step")

        def call() -> WasmAnswer:
            return run(load(str(path), ""), "_start", "m", b"", place, WasmLimits())

        outcome: list[object] = []

        def first() -> None:
            try:
                outcome.append(call())
            except ConnectionError as error:
                outcome.append(error)

        thread = threading.Thread(target=first)
        before = _cpu_ticks(role.pid)
        thread.start()
        until(lambda: _cpu_ticks(role.pid) > before + 3)
        died = role.pid
        os.kill(died, signal.SIGKILL)
        thread.join()
        assert isinstance(outcome[0], ConnectionError)
        until(lambda: role.pid != died)
        assert bytes((remote.read("b", "k") or (None, b""))[1]) == b"abc"
        call()
        assert bytes((remote.read("b", "k") or (None, b""))[1]) == b"bbc"
    finally:
        remote.close()
        role.close()


@pytest.mark.sweep
def test_a_storage_role_that_is_dead_before_a_call_or_dies_after_it_changes_nothing_twice(
    tmp_path: Path, kept: Kept
) -> None:
    """A call to one that is away fails and may be tried again; a write that it has told of is there when it is back."""
    role = StorageRole(tmp_path / "data", "127.0.0.1", 0)
    remote = RemoteBuckets(role.url)
    try:
        remote.write("b", "k", b"abc")
        place = CallReach("b", remote, remote, "require", "run/step")
        module = load(kept(modules.write_near(1)), "")
        died = _kill(role)
        with pytest.raises(ConnectionError, match="can't be reached"):
            _until_refused(lambda: run(module, "_start", "m", b"", place, WasmLimits()))
        until(lambda: role.pid != died and _is_up(remote))
        run(module, "_start", "m", b"", place, WasmLimits())
        died = _kill(role)
        until(lambda: role.pid != died and _is_up(remote))
        # The answer had come, and its record had not: the Step is entered again, and finds the key as it has left it.
        remote.write("b", "k", b"abc")
        run(module, "_start", "m", b"", place, WasmLimits())
        assert bytes((remote.read("b", "k") or (None, b""))[1]) == b"abc"
    finally:
        remote.close()
        role.close()


def _kill(role: StorageRole) -> int:
    died = role.pid
    os.kill(died, signal.SIGKILL)
    return died


def _until_refused(call: Callable[[], object]) -> None:
    """Call until it fails: the kernel may take a moment to end what was killed."""
    while True:
        call()


def _is_up(remote: RemoteBuckets) -> bool:
    try:
        return remote.stat("b", "k") is not None
    except ConnectionError:
        return False


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_call_is_refused_while_processors_are_busy(tmp_path: Path) -> None:
    rig, counted = Rig(tmp_path, modules.SUM_NEAR), Counted()
    rig.admission._gate = ProcessorGate(0.5, counted)
    assert rig.call().moved[0].where == "near"
    counted.passes(2.0, 0.9)
    assert rig.call().moved[0].reason == "refused: the processors of the storage role are busy"
    counted.passes(2.0, 0.1)
    assert rig.call().moved[0].where == "near"
