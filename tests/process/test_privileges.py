"""`privileges=`: set-user-ID programs, groups and owners of files in a Sandbox, as root and as an ordinary user.

The ordinary user is one that root becomes, in a mount namespace where it can read the interpreter wherever that lies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.rig import HERE, Rig, bundle

_ORDINARY, _GROUPS = 65534, [100, 65534]

_MODULE = """
import os, subprocess
from weftrun import function

@function
def found(program, file):
    return {
        "program": int(subprocess.check_output([program, "-u"])),
        "groups": sorted(os.getgroups()),
        "owner": os.stat(file).st_uid,
        "new privileges": "NoNewPrivs:\\t0" in open("/proc/self/status").read(),
    }

@function
def leaves_behind(program):
    process = subprocess.Popen([program, "300"], start_new_session=True)
    return process.pid
"""

_PROGRAM = """
import json, os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from tests.process.rig import Rig, bundle
folder = Path({folder!r})
rig = Rig(folder)
code = bundle("privileged", folder)
found = {{}}
for privileges in ("drop", "keep"):
    sandbox = rig.create(code, privileges=privileges)
    isolation = rig.hear("ready")[3]
    called = rig.call(sandbox, "privileged:found", str(folder / "id"), "/etc/passwd")
    found[privileges] = {{**called, "isolation": isolation}}
    fresh = rig.create(bundle("fresh", folder), privileges=privileges)
    event = rig.hear("ready")
    assert (event[3], event[4]) == (isolation, ("a pipe",))
    assert rig.call(fresh, "fresh:found", str(folder / "id"), "/etc/passwd") == called
    rig.kill(fresh)
    assert rig.hear("gone")[2] == "killed by us"
    if privileges == "keep":
        found["left"] = rig.call(sandbox, "privileged:leaves_behind", str(folder / "sleep"))
    rig.kill(sandbox)
    assert rig.hear("gone")[2] == "killed by us"
rig.create(code, network=False, privileges="keep")
found["refused"] = rig.hear("gone")[2]
rig.close()
print(json.dumps(found))
"""

_AS_ANOTHER = """
set -e
mount --make-rprivate /
stage="$1"; closed="$2"; user="$3"; groups="$4"; shift 4
n=0; for folder in $(cat "$stage/folders"); do
    n=$((n + 1)); mkdir "$stage/$n"; mount --bind "$folder" "$stage/$n"
done
for folder in $closed; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
n=0; for folder in $(cat "$stage/folders"); do
    n=$((n + 1)); mkdir -p "$folder"; mount --bind "$stage/$n" "$folder"
done
exec setpriv --reuid="$user" --regid="$user" --groups="$groups" "$@"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, with programs that run as root for whoever starts them."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "privileged.py").write_text(_MODULE)
    (made / "fresh.py").write_text(f"{_MODULE}\npipe = os.pipe()\n")
    for program in ("id", "sleep"):
        shutil.copy(shutil.which(program) or program, made / program)
        (made / program).chmod(0o4755)
    yield made
    shutil.rmtree(made)


def closed_folder(path: Path) -> Path | None:
    """Return the topmost folder over `path` that others may not enter."""
    return next((one for one in reversed([path, *path.parents]) if not one.stat().st_mode & 0o001), None)


def as_ordinary_user(folder: Path, program: str) -> Any:
    """Return what a program prints as JSON, run by a user who owns nothing but `folder`."""
    os.chown(folder, _ORDINARY, _ORDINARY)
    needed = {Path(entry).resolve() for entry in (sys.base_prefix, sys.prefix, HERE.parents[1], *sys.path) if entry}
    hidden = {one: closed for one in needed if one.is_dir() and (closed := closed_folder(one)) is not None}
    stage = folder / "stage"
    stage.mkdir()
    (stage / "folders").write_text("\n".join(str(one) for one in sorted(hidden)))
    closed = " ".join(sorted({str(one) for one in hidden.values()}))
    groups = ",".join(map(str, _GROUPS))
    command = ["unshare", "--mount", "sh", "-c", _AS_ANOTHER, "sh", str(stage), closed, str(_ORDINARY), groups]
    done = subprocess.run(
        [*command, sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, and make programs that run as root")
def test_an_ordinary_user(folder: Path) -> None:
    program = _PROGRAM.format(path=[str(HERE), str(HERE.parents[1]), *sys.path], folder=str(folder))
    found = as_ordinary_user(folder, program)
    left = found.pop("left")
    subprocess.run(["kill", "-9", str(left)], check=True)  # it runs as root: no engine of another user can end it
    outside = {"program": 0, "groups": _GROUPS, "owner": 0, "new privileges": True, "isolation": []}
    assert found["keep"] == outside
    assert found["drop"]["program"] == _ORDINARY
    assert not found["drop"]["new privileges"]
    if "user" in found["drop"]["isolation"]:
        assert found["drop"]["owner"] != 0, "the kernel shows every other user as nobody"
        assert found["drop"]["groups"] != _GROUPS
    assert found["refused"].startswith('network=False and privileges="keep" can\'t both be held for an ordinary user')


@pytest.mark.skipif(os.geteuid() != 0, reason="this is about root")
def test_root_keeps_all_but_the_user_namespace(rig: Rig, folder: Path) -> None:
    code = bundle("privileged", folder)
    for privileges in ("drop", "keep"):
        sandbox = rig.create(code, privileges=privileges)
        isolation = set(rig.hear("ready")[3])
        found = rig.call(sandbox, "privileged:found", str(folder / "id"), "/etc/passwd")
        assert found["owner"] == 0
        assert found["new privileges"] is (privileges == "keep")
        if privileges == "keep":
            assert "user" not in isolation
        else:
            dropped = isolation
    assert dropped - isolation <= {"user"}
    rig.create(code, privileges="keep", network=False)
    assert "network" in rig.hear("ready")[3]


def test_functions_of_one_program_that_differ(tmp_path: Path) -> None:
    program = f"""
import weftrun

@weftrun.function
def may_gain() -> bool:
    return "NoNewPrivs:\\t0" in open("/proc/self/status").read()

@weftrun.workflow
def both() -> list[bool]:
    return [may_gain(), may_gain.options(privileges="keep")()]

if __name__ == "__main__":
    with weftrun.open("sqlite:///{tmp_path}/journal.db", sandboxes=2) as engine:
        print(engine.run(both))
"""
    (tmp_path / "app.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "app.py"], check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("[False, True]\n", "")
