"""A storage role that runs Python Functions: over HTTP, in a Run, for those who may, and when it dies."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from litestar.testing import TestClient
from tests.conftest import assert_closed
from tests.engine.conftest import until

import weftrun
from weftrun.adapters.buckets.opened import buckets_of
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.near.python_runner import PYTHON
from weftrun.entrypoints.cli.group import main
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.entrypoints.http.storage import Storage, make_storage
from weftrun.model.beside import PythonCall
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.near import NearRefused
from weftrun.wire.near import digest_of, encoder, python_answer_decoder

pytestmark = pytest.mark.sweep
TEXT = b"to be or not to be " * 1_000


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageRole]:
    made = StorageRole(tmp_path_factory.mktemp("storage"), "127.0.0.1", 0, python=True)
    yield made
    held: Any = buckets_of(made.url)  # as the Functions have opened it
    held.close()
    buckets_of.cache_clear()
    made.close()


@pytest.fixture(scope="module")
def functions(role: StorageRole) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEFTRUN_TEST_STORAGE", role.url)
        yield importlib.import_module("tests.near.functions")
    sys.modules.pop("tests.near.functions")


@pytest.fixture
def remote(role: StorageRole) -> Iterator[RemoteBuckets]:
    made = RemoteBuckets(role.url)
    made.write("texts", "a", TEXT)
    yield made
    made.close()


def test_the_value_is_the_same_over_http(remote: RemoteBuckets, functions: ModuleType) -> None:
    assert functions.count("a") == functions.count_here("a") == 2_000
    assert functions.describe("a") == ("a", len(TEXT), b"be or", [("to", 2_000), ("be", 2_000)])


def test_the_story_tells_where_it_ran_and_what_moved(
    remote: RemoteBuckets, functions: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.start(functions.counts.options(id="c"), ["a"]).result(timeout_s=60) == [2_000]
        told = "count('a') ran beside its data (its data is there):"
        until(lambda: main(["story", "--db", url, "c"]) == 0 and told in capsys.readouterr().out)
    assert_closed(url)


def test_a_storage_role_that_dies_in_a_call_is_told_and_the_value_is_written_once(
    role: StorageRole, remote: RemoteBuckets, functions: ModuleType, tmp_path: Path
) -> None:
    remote.write("texts", "late", b"quiet")
    url = f"sqlite:///{tmp_path}/journal.db"
    with weftrun.open(url, sandboxes=1) as engine:
        run = engine.start(functions.shout_late.options(id="late", retries=20), "late")
        until(lambda: (found := remote.read("texts", "late")) is not None and found[1] == b"QUIET")
        before = remote.stat("texts", "late")
        os.kill(role.pid, signal.SIGKILL)
        assert run.result(timeout_s=60) == 5
        until(lambda: remote.stat("texts", "late") == before)
    assert_closed(url)


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
def test_a_role_takes_python_only_where_it_is_told_to_and_from_those_who_may(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{digest_of(b'wasm')} b read,run\n{digest_of(b'all')} b run,python\n")
    call = encoder.encode(
        PythonCall("", PYTHON, "m", "f", "b", "k", b"", "", RunId("r"), RunUid("0" * 32), StepId("f[0]"), 1, 1.0)
    )
    with TestClient(make_storage(Storage(tmp_path, tokens=tokens))) as client:

        def asked(token: str) -> tuple[int, bytes]:
            answer = client.post("/near/python", content=call, headers={"authorization": f"Bearer {token}"})
            return answer.status_code, answer.content

        assert asked("unknown")[0] == 401
        assert asked("wasm")[0] == 403
        assert b"may not python" in asked("wasm")[1]
        status, told = asked("all")
        assert status == 200
        refused = python_answer_decoder.decode(told)
        assert isinstance(refused, NearRefused)
        assert (refused.for_good, "--python" in refused.reason) == (True, True)
