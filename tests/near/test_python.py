"""A Python Function gives the same beside its key as here, in a Sandbox that has nothing but its code and that key."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

import weftrun
from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.opened import buckets_of
from weftrun.adapters.near import way
from weftrun.adapters.near.admission import NearAdmission
from weftrun.adapters.near.key import ChangedMeanwhile, KeyOfCall
from weftrun.adapters.near.python_runner import PYTHON, PythonRunner
from weftrun.model.beside import CodeModule, PythonAnswer, PythonCall, PythonCode
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.near import NearCall, NearRefused
from weftrun.ports.near import Measured, MeasuredAnswer
from weftrun.sdk.own_code import own_code
from weftrun.wire.near import digest_of, encoder, python_answer_decoder, python_call_decoder, python_code_decoder

TEXT = b"to be or not to be " * 1_000


class Direct(FileBuckets):
    """Buckets in a folder, and a storage role for Python Functions in this process; what is said goes as bytes."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.bytes_out = self.bytes_back = 0
        self.runner = PythonRunner(self, NearAdmission(1))

    def run(self, call: NearCall, module: Callable[[], bytes], timeout_s: float) -> MeasuredAnswer:
        raise NotImplementedError

    def run_python(self, call: PythonCall, code: bytes, timeout_s: float) -> Measured[PythonAnswer]:
        told = self.runner.run(python_call_decoder.decode(encoder.encode(call)), "")
        if isinstance(told, NearRefused) and told.wants_module:
            self.runner.keep(code, call.code)
            return self.run_python(call, code, timeout_s)
        answer = encoder.encode(told)
        return Measured(python_answer_decoder.decode(answer), 1, len(answer))


@pytest.fixture(scope="module")
def functions() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEFTRUN_TEST_STORAGE", "http://127.0.0.1:1")
        yield importlib.import_module("tests.near.functions")
    sys.modules.pop("tests.near.functions")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Direct]:
    made = Direct(str(tmp_path_factory.mktemp("buckets")))
    yield made
    made.runner.close()


@pytest.fixture
def direct(opened: Direct, functions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Direct:
    monkeypatch.setattr(way, "buckets_of", lambda where: opened)  # wherever it is
    opened.write("texts", "a", TEXT)
    return opened


def test_the_value_is_the_same_near_and_here(direct: Direct, functions: ModuleType) -> None:
    assert functions.count("a") == functions.count_here("a") == functions.count("a", word="to") == 2_000
    for function in (functions.count, functions.count_here):
        with pytest.raises(KeyError, match="no key 'gone' in the bucket 'texts'"):
            function("gone")


def test_modules_that_it_imports_go_along_and_what_it_prints_comes_back(
    direct: Direct, functions: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert functions.describe("a") == ("a", len(TEXT), b"be or", [("to", 2_000), ("be", 2_000)])
    assert capsys.readouterr().out == "looking at a\n"


def test_it_writes_its_key(direct: Direct, functions: ModuleType) -> None:
    assert functions.shout("a") == len(TEXT)
    assert direct.read("texts", "a", 0, 5)[1] == b"TO BE"  # type: ignore[index]


def test_what_it_raises_is_raised_here(direct: Direct, functions: ModuleType) -> None:
    with pytest.raises(functions.Odd) as caught:
        functions.fails("a")
    assert caught.value.count == len(TEXT)
    assert any("functions.py" in note and "raise Odd" in note for note in caught.value.__notes__)


def test_a_sandbox_that_ends_or_takes_too_long_fails_its_call_alone(direct: Direct, functions: ModuleType) -> None:
    with pytest.raises(weftrun.RemoteFailed, match=r"endless gave no value beside 'a': it took longer than 0\.5 s"):
        functions.endless("a")
    with pytest.raises(weftrun.RemoteFailed, match="ended by signal 6"):
        functions.dies("a")
    assert functions.describe("a")[0] == "a"


def test_it_reaches_nothing_but_its_key(direct: Direct, functions: ModuleType) -> None:
    assert functions.reaches("a", "/etc/passwd").startswith("PermissionError")
    assert functions.reaches("a", f"/proc/{os.getpid()}/environ").startswith("PermissionError")
    assert functions.reaches("a", f"/proc/{os.getppid()}/maps").startswith("PermissionError")
    for what in ("network", "process", "write"):
        assert functions.reaches("a", what).startswith("PermissionError"), what
    assert set(functions.reaches("a", "environment").split(",")) <= {"PATH", "LANG", "LC_ALL", "TZ", "LC_CTYPE"}
    assert "in a workflow" in functions.reaches("a", "other")


# ---------------------------------------------------------------------- the storage role


def call_of(code: bytes, **said: object) -> PythonCall:
    made = PythonCall(
        code=digest_of(code), python=PYTHON, module="m", function="f", bucket="b", key="k", arguments=b"", effects="",
        run_id=RunId("r"), run_uid=RunUid("0" * 32), step=StepId("f[0]"), attempt=1, time_s=5.0,
    )  # fmt: skip
    return msgspec.structs.replace(made, **said)


def code_of(source: bytes) -> bytes:
    return encoder.encode(PythonCode((CodeModule("m", source, "m.py", False),)))


@pytest.fixture
def buckets(tmp_path: Path) -> FileBuckets:
    made = FileBuckets(str(tmp_path / "buckets"))
    made.write("b", "k", b"abc")
    return made


def test_what_can_not_run_there_is_refused_with_a_reason(buckets: FileBuckets) -> None:
    good, bad = code_of(b"x = 1"), code_of(b"import a_module_that_is_not_there")
    runner = PythonRunner(buckets, NearAdmission(1))
    try:
        assert runner.run(call_of(good), "") == NearRefused("the code is not known there", wants_module=True)
        runner.keep(good, digest_of(good))
        runner.keep(bad, digest_of(bad))
        assert runner.run(call_of(good, python="2.7"), "") == NearRefused(
            f"Python {PYTHON} is there, not 2.7", for_good=True
        )
        assert runner.run(call_of(good, key="gone"), "") == NearRefused("the key 'gone' is not there")
        told = runner.run(call_of(bad), "")
        assert isinstance(told, NearRefused)
        assert told.for_good
        assert "No module named 'a_module_that_is_not_there'" in told.reason
        unread = runner.run(call_of(good, function="f"), "")
        assert isinstance(unread, NearRefused)
        assert "it can't be entered there" in unread.reason
    finally:
        runner.close()
    busy = PythonRunner(buckets, NearAdmission(0))
    busy.keep(good, digest_of(good))
    assert busy.run(call_of(good), "") == NearRefused("the storage role is busy", is_busy=True)
    busy.close()


@pytest.mark.parametrize(
    ("content", "digest", "words"),
    [
        (b"x", "0" * 64, "another SHA-256"),
        (b"x", digest_of(b"x"), "no code of Python"),
        (bytes(5 << 20), "0" * 64, "is too much"),
    ],
)
def test_what_is_no_code_is_not_kept(buckets: FileBuckets, content: bytes, digest: str, words: str) -> None:
    runner = PythonRunner(buckets, NearAdmission(1))
    with pytest.raises(ValueError, match=words):
        runner.keep(content, digest)
    runner.close()


def test_a_write_of_what_has_changed_meanwhile_is_refused_and_one_that_comes_twice_is_done_once(
    buckets: FileBuckets,
) -> None:
    first, second, again = (KeyOfCall(buckets, "b", "k", effects) for effects in ("one", "two", "one"))
    for key in (first, second):
        assert key.read(0, -1) == b"abc"
    first.write(b"ABC")
    version = buckets.stat("b", "k")
    with pytest.raises(ChangedMeanwhile, match="Another Attempt"):
        second.write(b"DEF")
    with pytest.raises(ChangedMeanwhile, match="while it was read"):
        second.read(0, -1)
    again.write(b"ABC")
    assert buckets.stat("b", "k") == version


# ---------------------------------------------------------------------- where it is made


def test_in_a_folder_it_runs_here(tmp_path: Path) -> None:
    @weftrun.function(near=tmp_path / "texts" / "{name}.txt", effects="none")
    def first(name: str) -> bytes:
        return weftrun.current().near.read(0, 2)

    buckets_of(str(tmp_path)).write("texts", "a.txt", b"abc")
    assert first("a") == b"ab"


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"near": "texts"}, "it is written WHERE/BUCKET/KEY"),
        ({"near": "http://h:1/b"}, "it is written WHERE/BUCKET/KEY"),
        ({"near": "http://h:1/b/{nam}"}, "there may be: name"),
        ({"near": "http://{name}/b/k"}, "in its bucket and key there may be"),
        ({"near": "http://h/b/{name.x}"}, "there may be: name"),
        ({"near": "http://h/b/{name"}, "can't be read"),
        ({"near": 7}, "is no key"),
        ({"near": "http://h/b/k", "batch": True}, "`near` and `batch` exclude each other"),
        ({"near": "http://h/b/k", "network": False}, "needs the network"),
        ({"near": "http://h/b/k", "effects": "transaction"}, "exclude each other"),
    ],
)
def test_what_can_not_be_a_key_is_refused_where_it_is_made(keywords: dict[str, object], words: str) -> None:
    def shown(name: str) -> None:
        """Do nothing."""

    with pytest.raises(weftrun.WeftrunError, match=words):
        weftrun.function(**keywords)(shown)  # type: ignore[call-overload]


def test_other_misuse_is_told(tmp_path: Path) -> None:
    async def waits(name: str) -> None:
        """Do nothing."""

    with pytest.raises(weftrun.PolicyError, match="takes a plain `def`"):
        weftrun.function(near="http://h/b/k")(waits)
    with pytest.raises(weftrun.UsageError, match="`run` is one of"):
        weftrun.near("http://h/b/k", run="maybe")  # type: ignore[arg-type]

    @weftrun.function
    def nowhere() -> bytes:
        return weftrun.current().near.read()

    with pytest.raises(weftrun.UsageError, match="near no key"):
        nowhere()


def test_the_code_of_a_module_is_it_and_what_it_imports_of_the_authors_own(functions: ModuleType) -> None:
    modules = python_code_decoder.decode(own_code("tests.near.functions").content).modules
    assert [one.name for one in modules] == ["tests.near.functions", "tests.near.words"]
    assert own_code("sys").why_not == "its code is in no file"
