"""Run a command where Ceph's programs and `rados` of Python are found: `python scripts/with_ceph.py COMMAND...`.

They are those of the system, or of Debian's packages that were unpacked into the folder `$WEFTRUN_CEPH_ROOT` (each by
`dpkg -x PACKAGE.deb FOLDER`). Where there are none, it says what is missing and leaves it at that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = "ceph-mon ceph-osd python3-rados librados-dev libradospp-dev rados-objclass-dev"


def environment(root: str) -> dict[str, str]:
    """Return the environment in which what is below a folder is found; of the system where that is empty."""
    found = dict(os.environ)
    if root:
        folders = sorted({str(path.parent) for path in Path(root).rglob("*.so*")})
        found["LD_LIBRARY_PATH"] = ":".join(folders)
        found["PATH"] = f"{root}/usr/bin:{found['PATH']}"
    alone = Path(tempfile.gettempdir(), f"weftrun-rados-{os.getuid()}")  # no other package of Debian's comes with it
    shutil.rmtree(alone, ignore_errors=True)
    alone.mkdir(mode=0o700)
    for module in Path(f"{root}/usr/lib/python3/dist-packages").glob("rados.*"):
        (alone / module.name).symlink_to(module)
    found["PYTHONPATH"] = str(alone)
    return found


def missing(found: dict[str, str]) -> str:
    """Return what is missing; empty where all is there."""
    for program in ("ceph-mon", "ceph-osd", "g++"):
        if shutil.which(program, path=found["PATH"]) is None:
            return f"{program} is not here (Debian: apt-get install g++ {PACKAGES}; or see scripts/with_ceph.py)"
    asked = subprocess.run(
        [sys.executable, "-c", "import rados"], env=found, capture_output=True, text=True, check=False
    )
    return f"this Python can't import rados: {asked.stderr.strip().splitlines()[-1]}" if asked.returncode else ""


def main() -> None:
    """Run the command, or say why not."""
    found = environment(os.environ.get("WEFTRUN_CEPH_ROOT", ""))
    why_not = missing(found)
    if why_not:
        sys.stdout.write(f"skipped: {why_not}\n")
    else:
        os.execvpe(sys.argv[1], sys.argv[1:], found)


if __name__ == "__main__":
    main()
