"""Bundles: deployed and switched at once; and those that can't be."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.http.serving import SOURCE, Server, serving
from tests.http.test_runs import problem

APP = "from weftrun import function\nimport beside\n\n@function\ndef said() -> str:\n    return beside.WORD + {!r}\n"

WAITS = """
from pathlib import Path
import time
from weftrun import function, workflow

@function
def first(file: str) -> str:
    while not Path(file).exists():
        time.sleep(0.01)
    return {0!r}

@function
def second(word: str) -> str:
    return word + {0!r}

@workflow
def both(file: str) -> str:
    return second(first(file))
"""


def tar(files: dict[str, str], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def zipped(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return stream.getvalue()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without an app."""
    folder = tmp_path_factory.mktemp("empty")
    with serving(folder, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder)) as server:
        yield server


def deployed(server: Server, name: str, word: str) -> dict[str, object]:
    answer = server.http.post(f"/apps/{name}", content=tar({"app.py": APP.format(word), "beside.py": "WORD = 'so '"}))
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_version_is_switched_at_once_and_stays_after_a_restart(empty: Server) -> None:
    first = deployed(empty, "talk", "one")
    assert empty.run("said", id="first").json()["result"] == "so one"
    second = deployed(empty, "talk", "two")
    assert first["version"] != second["version"]
    assert empty.run("said").json()["result"] == "so two"
    assert empty.run("said", id="first").json() == {
        "id": "first", "status": "succeeded", "result": "so one", "joined": True
    }  # fmt: skip
    packed_otherwise = zipped({"beside.py": "WORD = 'so '", "app.py": APP.format("two")})
    assert empty.http.post("/apps/talk", content=packed_otherwise).json()["version"] == second["version"]
    empty.end()
    empty.start()
    assert empty.run("said").json()["result"] == "so two"
    assert empty.http.get("/runs/first/result").json() == "so one"
    assert empty.http.delete("/apps/talk").status_code == 204
    problem(empty.run("said"), 404, "function-not-found")
    assert empty.http.get("/runs/first/result").json() == "so one"


def test_an_open_run_stays_on_its_version(empty: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    assert empty.http.post("/apps/wait", content=tar({"app.py": WAITS.format("old")})).status_code == 201
    empty.run("both", str(file), id="open", wait_s=0)
    assert empty.http.post("/apps/wait", content=tar({"app.py": WAITS.format("new")})).status_code == 201
    file.touch()
    assert empty.http.get("/runs/open/result?wait_s=30").json() == "oldold"
    assert empty.run("both", str(file)).json()["result"] == "newnew"


def linked() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("app.py")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    return stream.getvalue()


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("app.py", "w") as out:
        for _ in range(257):
            out.write(bytes(1 << 20))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("body", "kind", "why"),
    [
        (b"", "bad-bundle", "can't be deployed"),
        (b"garbage", "bad-bundle", "can't be deployed"),
        (tar({"app.py": "x = 1"})[:-20], "bad-bundle", "damaged"),
        (zipped({"app.py": "x = 1" * 99})[:-30], "bad-bundle", "can't be deployed"),
        (tar({"../app.py": "x = 1"}), "bad-bundle", "lies outside"),
        (tar({"/tmp/app.py": "x = 1"}), "bad-bundle", "lies outside"),
        (zipped({"a/../../app.py": "x = 1"}), "bad-bundle", "lies outside"),
        (tar({"app.py": "x = 1", "app.py/b.py": "x"}), "bad-bundle", "can't be deployed"),
        (tar({"a\nb.py": ""}), "bad-bundle", "can't be the name"),
        (linked(), "bad-bundle", "no plain file"),
        pytest.param(bomb, "bad-bundle", "more than 256 MiB", marks=pytest.mark.sweep),
        (tar({"a.py": "", "b.py": ""}), "bad-bundle", "no app.py"),
        (tar({"app.py": "1 / 0"}), "unprocessable", "ZeroDivisionError"),
        (tar({"app.py": "import os; os._exit(3)"}), "unprocessable", "ended"),
        (tar({"app.py": "x = 1"}), "unprocessable", "no Function"),
        (tar({"app.py": "", "requirements.txt": "no-such-package-of-weftrun"}), "bad-requirements", "can't be had"),
    ],
    ids=range(16),
)
def test_what_cannot_be_deployed_is_told(empty: Server, body: bytes | Callable[[], bytes], kind: str, why: str) -> None:
    body = body if isinstance(body, bytes) else body()
    assert why in problem(empty.http.post("/apps/bad", content=body), 422, kind)
    assert not list((empty.folder / "apps/-/bad").glob("*"))
    assert not (empty.folder.parent / "app.py").exists()


def test_names_and_sizes(empty: Server) -> None:
    problem(empty.http.post("/apps/a.b", content=b""), 422, "bad-app-name")
    problem(empty.http.post("/apps/x?entry=../x.py", content=tar({"app.py": ""})), 422, "bad-bundle")
    assert empty.http.post("/apps/x", content=b"\0" * (64 * 2**20 + 1)).status_code == 413


def test_what_an_app_requires_is_its_own(empty: Server) -> None:
    wheel = {
        "tiny_dependency.py": "WORD = 'tiny'",
        "tiny_dependency-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-dependency\nVersion: 1\n",
        "tiny_dependency-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny_dependency-1.dist-info/RECORD": "",
    }
    (empty.folder / "tiny_dependency-1-py3-none-any.whl").write_bytes(zipped(wheel))
    code = "import tiny_dependency\nfrom weftrun import function\n"
    code += "@function\ndef needs() -> str:\n    return tiny_dependency.WORD\n"
    required = "# what it needs\n\nTiny-Dependency[x] >=1, <2 ; python_version > '3'  # one\n"
    answer = empty.http.post("/apps/needs", content=tar({"app.py": code, "requirements.txt": required}))
    assert answer.status_code == 201, answer.text
    assert empty.run("needs").json()["result"] == "tiny"


@pytest.mark.parametrize("line", ["-e .", ".", "./here", "x @ file:///x", "--no-binary=:all:", "-r more.txt", "x \\"])
def test_requirements_that_could_run_code_are_refused(empty: Server, line: str) -> None:
    files = {"app.py": "", "setup.py": "open('ran', 'w')", "requirements.txt": f"{line}\n"}
    assert "has the line" in problem(empty.http.post("/apps/runs", content=tar(files)), 422, "bad-requirements")


def test_the_commands_deploy_and_invoke(empty: Server, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import prices\nfrom weftrun import function\n"
        "@function\ndef price(item: str, count: int = 1) -> dict:\n"
        '    """Say what items cost."""\n    return {"item": item, "price": prices.OF_ALL * count}\n'
        "@function\ndef fails() -> None:\n    raise ValueError('no luck')\n"
    )
    (tmp_path / "prices.py").write_text("OF_ALL = 2.5\n")
    (tmp_path / "not_used.py").write_text("1 / 0")

    def weftrun(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "weftrun", *words, "--url", empty.url]
        environment = {"PYTHONPATH": SOURCE, "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = weftrun("deploy", "shop.py")
    assert done.returncode == 0, done.stderr
    assert "shop is deployed in version" in done.stdout
    assert "function  price  Say what items cost." in done.stdout
    done = weftrun("invoke", "shop/price", "item=5", "count=2", "--id", "five")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"item": "5", "price": 5.0}, "five\n")
    done = weftrun("invoke", "fails")
    assert done.returncode == 1
    assert "ValueError: no luck" in done.stderr
