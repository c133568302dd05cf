"""The doors of Faasm: upload, invocation by its JSON, and the lines of its README."""

from __future__ import annotations

import json
import re
import shlex
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.wasm import modules
from tests.wasm.serving import serving

from weftrun.adapters.wasm.building import build
from weftrun.entrypoints.cli.group import main

ROOT = Path(__file__).parents[2]
README = """
curl -X POST 'http://worker-0:8080/f/' -H "Content-Type: application/json" -d '{"async": false, "user": "ndp", "function": "put", "input_data": "key v1 v2 v3"}'
curl -X POST 'http://worker-0:8080/f/' -H "Content-Type: application/json" -d '{"async": false, "user": "ndp", "function": "get", "input_data": "key"}'
curl -X POST 'http://worker-0:8080/f/' -H "Content-Type: application/json" -d '{"async": false, "user": "ndp", "function": "wordcount", "input_data": "key"}'
curl -X POST 'http://worker-0:8080/f/' -H "Content-Type: application/json" -d '{"async": false, "user": "ndp", "function": "wordcount", "input_data": "key", "forbid_ndp": true}'
"""  # noqa: E501  # as they are written there
"""Commands of the README of Faasm with near-storage offload, each as it stands there, but for the host."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("served")) as url:
        for name, content in (("put", modules.PUT), ("sum", modules.SUM_NEAR), ("echo", modules.ECHO)):
            assert httpx.put(f"{url}/f/ndp/{name}", content=content).status_code == 200
        yield url


def invoked(url: str, **fields: Any) -> httpx.Response:
    fields = {name.rstrip("_"): value for name, value in fields.items()}
    return httpx.post(f"{url}/f/", json={"user": "ndp"} | fields, timeout=60)


def test_a_call_gives_the_same_near_and_here_and_tells_what_it_moved(url: str) -> None:
    value = "abc" * 5_000
    assert invoked(url, function="put", input_data=f"k {value}").status_code == 200
    near = invoked(url, function="sum", input_data="k")
    here = invoked(url, function="sum", input_data="k", forbid_ndp=True)
    assert near.content == here.content
    assert struct.unpack("<i", near.content[:4]) == (sum(value.encode()),)
    assert near.headers["weftrun-near"] == "near (its data is there)"
    assert here.headers["weftrun-near"] == "here (forbidden)"
    assert int(near.headers["weftrun-bytes-back"]) < 400 < len(value) == int(here.headers["weftrun-bytes-back"])
    required = invoked(url, function="sum", input_data="k", require_ndp=True)
    assert required.content == near.content


def test_state_is_put_and_taken_at_the_doors(url: str) -> None:
    assert httpx.get(f"{url}/s/ndp/weights").status_code == 404
    assert httpx.put(f"{url}/s/ndp/weights", content=b"12345678").status_code == 200
    assert httpx.get(f"{url}/s/ndp/weights").content == b"12345678"
    refused = httpx.put(f"{url}/s/ndp/{'x' * 300}", content=b"")
    assert (refused.status_code, "1 to 255 characters" in refused.json()["detail"]) == (400, True)


def test_an_asynchronous_call_is_asked_for_by_its_id(url: str) -> None:
    assert invoked(url, function="echo", input_data="x", async_=True, id=17).text == "17"
    until_it = time.monotonic() + 60
    while (told := invoked(url, id=17, status=True)).text == "RUNNING" and time.monotonic() < until_it:
        pass
    assert told.json() == {"id": "17", "finished": True, "output_data": "x"}
    assert invoked(url, function="echo", input_data="x", id=17).text == "x"
    assert invoked(url, id=17, exec_graph=True).json()["steps"] == [{"id": "echo", "status": "succeeded"}]


def test_a_failed_call_answers_500_and_its_status_says_so(url: str) -> None:
    failed = invoked(url, function="sum", input_data="gone", require_ndp=True, id="failed")
    assert failed.status_code == 500
    assert "the key 'gone' is not there" in failed.text
    told = invoked(url, id="failed", status=True)
    assert (told.status_code, told.text) == (500, f"FAILED: {failed.text}")


def test_what_a_program_calls_are_steps_of_its_run(url: str) -> None:
    """It calls what was uploaded when its Run began, by name; what was not there it can not call."""
    assert httpx.put(f"{url}/f/ndp/chain", content=modules.CHAIN).status_code == 200
    assert invoked(url, function="chain", input_data="echo", id="chained").text == "ab"
    steps = invoked(url, id="chained", exec_graph=True).json()["steps"]
    assert [step["id"] for step in steps] == ["chain", "echo[0]", "echo[1]"]
    assert {step["status"] for step in steps} == {"succeeded"}
    assert invoked(url, id="chained", status=True).json()["output_data"] == "ab"
    gone = invoked(url, function="chain", input_data="gone")
    assert (gone.status_code, "calls 'gone', which was not uploaded when its Run began" in gone.text) == (500, True)
    assert invoked(url, function="chain", input_data="chain").text == "!!"


def test_a_batch_is_answered_in_its_order(url: str) -> None:
    batch = [{"user": "ndp", "function": "echo", "input_data": str(n)} for n in range(5)]
    batch.append({"user": "ndp", "function": "gone"})
    told = httpx.post(url, json=batch, timeout=60).json()
    assert [one["output_data"] for one in told[:5]] == list("01234")
    assert told[5]["status"] == 404


def test_an_upload_of_the_same_module_changes_nothing_and_another_is_another_version(url: str) -> None:
    def put(content: bytes) -> dict[str, Any]:
        told: dict[str, Any] = httpx.put(f"{url}/f/ndp/versioned", content=content).json()
        return told

    assert (put(modules.ECHO)["version"], put(modules.ECHO)["changed"]) == (1, False)
    assert put(modules.COUNTING)["version"] == 2
    assert httpx.get(f"{url}/f/ndp/versioned").json()["version"] == 2
    assert invoked(url, function="versioned").content == b"\1\0\0\0"


def test_what_is_uploaded_while_a_call_runs_is_for_the_next_one(url: str) -> None:
    """A Run that has begun, and waits for a file, goes on with the module that it began with."""
    httpx.put(f"{url}/f/ndp/changing", content=modules.SUM_NEAR)
    assert invoked(url, function="put", input_data=f"slow {'a' * 50_000}").status_code == 200
    ids = [invoked(url, function="changing", input_data="slow", async_=True).text for _ in range(8)]
    assert httpx.put(f"{url}/f/ndp/changing", content=modules.ECHO).json()["changed"] is True
    assert invoked(url, function="changing", input_data="slow").content == b"slow"
    for id in ids:
        told = invoked(url, id=id, status=True)
        while told.text == "RUNNING":
            told = invoked(url, id=id, status=True)
        assert told.status_code == 200
        assert "slow" not in told.json()["output_data"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no wasm", "ndp/bad is no WebAssembly module"),
        (b"", "ndp/bad is no WebAssembly module"),
        (modules.MISSING, "ndp/bad imports what isn't there: env.gone"),
        (modules.ECHO[:-2], "ndp/bad is no valid WebAssembly module"),
    ],
)
def test_what_can_not_be_used_is_not_uploaded(url: str, content: bytes, words: str) -> None:
    answer = httpx.put(f"{url}/f/ndp/bad", content=content)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert httpx.get(f"{url}/f/ndp/bad").status_code == 404


def test_a_module_that_is_too_large_is_refused(url: str) -> None:
    assert httpx.put(f"{url}/f/ndp/large", content=bytes(65 << 20), timeout=60).status_code == 413


@pytest.mark.parametrize("name", ["a%20b", "..%2F..%2Fetc", "x" * 101, "%00"])
def test_a_name_that_can_not_be_one_is_refused(url: str, name: str) -> None:
    assert httpx.put(f"{url}/f/ndp/{name}", content=modules.ECHO).status_code in (400, 404)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "is no JSON"),
        (b"7", 400, "not a JSON object"),
        (b'{"user": 7}', 400, "`user` of the invocation is of type str"),
        (b'{"forbid_ndp": "yes"}', 400, "is of type bool"),
        (b'{"usr": "ndp"}', 400, "`usr` of the invocation is no field"),
        (b'[{"mpi": true}]', 200, "asks for what is not built yet"),
        (b'{"user": "ndp", "function": "gone"}', 404, "no function ndp/gone"),
        (b'{"user": "ndp", "function": "../echo"}', 404, "no function"),
        (b'{"id": "nobody", "status": true}', 404, "nobody"),
        (b'{"status": true}', 400, "needs its `id`"),
        (b'{"type": 1}', 400, "`type` of the invocation"),
        (b'{"forbid_ndp": true, "require_ndp": true}', 400, "exclude each other"),
    ],
)
def test_an_invocation_that_is_none_is_refused(url: str, body: bytes, status: int, words: str) -> None:
    answer = httpx.post(f"{url}/f/", content=body)
    if body.startswith(b"["):
        assert answer.status_code == 400 or words in answer.text
    else:
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


def test_fields_that_hosts_of_faasm_tell_each_other_are_passed_by(url: str) -> None:
    assert invoked(url, function="echo", input_data="x", timestamp=5, exec_host="h", mpi=False).text == "x"


def test_the_command_uploads(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.wasm").write_bytes(modules.ECHO)
    assert main(["upload", "ndp", "uploaded", str(tmp_path / "m.wasm"), "--to", url]) == 0
    assert capsys.readouterr().out == "ndp/uploaded: version 1\n"
    assert main(["upload", "ndp", "uploaded", str(tmp_path / "m.wasm"), "--to", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert main(["upload", "ndp", "uploaded", str(tmp_path / "gone.wasm"), "--to", url]) == 2
    (tmp_path / "m.wasm").write_bytes(b"text")
    assert main(["upload", "ndp", "uploaded", str(tmp_path / "m.wasm"), "--to", url]) == 2
    assert main(["upload", "ndp", "uploaded", str(tmp_path / "m.wasm"), "--to", "http://127.0.0.1:9"]) == 2
    told = capsys.readouterr().err
    for words in ("gone.wasm can't be read", "is no WebAssembly module", "127.0.0.1:9 can't be reached"):
        assert words in told


@pytest.mark.sweep
def test_the_lines_of_the_readme_of_faasm(tmp_path: Path) -> None:
    """Built of C, uploaded, and called by curl, near storage and not: one answer, and the bytes are told."""
    with serving(tmp_path) as url:
        for name in ("put", "get", "wordcount"):
            built = tmp_path / f"{name}.wasm"
            build(str(ROOT / f"examples/ndp/{name}.c"), str(built))
            assert main(["upload", "ndp", name, str(built), "--to", url]) == 0
        told = []
        for line in README.strip().splitlines():
            words = shlex.split(line.replace("http://worker-0:8080", url))
            told.append(subprocess.run([*words, "-s", "-i"], check=True, capture_output=True, text=True).stdout)
    heads, answers = zip(*(one.replace("\r", "").split("\n\n", 1) for one in told), strict=True)
    counted = "v1 1\nv2 1\nv3 1\n"
    assert answers == ("", "v1 v2 v3", counted, counted)
    assert "weftrun-near: near (its data is there)" in heads[2]
    assert "weftrun-near: here (forbidden)" in heads[3]
    assert [re.search(r"weftrun-bytes-back: (\d+)", head) is not None for head in heads] == [True] * 4
