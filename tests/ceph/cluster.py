"""A cluster of Ceph for the tests: one monitor and one OSD that keeps its data in memory, with the class of weftrun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import rados
from tests.docs.examples import free_port

from weftrun.adapters.buckets import names

ROOT = os.environ.get("WEFTRUN_CEPH_ROOT", "")
LIBRARIES = f"{ROOT}/usr/lib/x86_64-linux-gnu"
CLASS = Path(names.__file__).with_name("ceph_class.cc")
_CONFIGURATION = """[global]
fsid = {id}
mon host = [v2:127.0.0.1:{port},v1:127.0.0.1:{old_port}]
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
osd class load list = *
osd class default list = *
osd class dir = {folder}/classes
plugin dir = {libraries}/ceph
erasure code dir = {libraries}/ceph/erasure-code
run dir = {folder}
log file = {folder}/$name.log
admin socket = {folder}/$name.asok
public addr = 127.0.0.1
cluster addr = 127.0.0.1
[mon]
mon data = {folder}/mon
mon data avail crit = 1
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
"""


class Cluster:
    """A cluster with a pool `p`.

    Attributes:
        configuration: its file.
        osd: the process of its OSD.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        """Start it; its OSD says that the storage role beside it is at the URL `worker`."""
        self._folder, self._worker = folder, worker
        self.configuration = str(folder / "ceph.conf")
        for name in ("mon", "osd", "classes"):
            (folder / name).mkdir()
        ports = (free_port(), free_port())
        id = str(uuid.uuid4())
        text = _CONFIGURATION.format(id=id, port=ports[0], old_port=ports[1], folder=folder, libraries=LIBRARIES)
        Path(self.configuration).write_text(text, encoding="utf-8")
        self._make_class()
        address = f"[v2:127.0.0.1:{ports[0]},v1:127.0.0.1:{ports[1]}]"
        _run("monmaptool", "--create", "--fsid", id, "--addv", "a", address, f"{folder}/monmap")
        self._call("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{folder}/monmap")
        self._mon = self._started("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        with rados.Rados(conffile=self.configuration) as cluster:
            _asked(cluster, prefix="osd new", uuid=osd)
            self._call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
            self.osd = self._started("ceph-osd", "-i", "0", "-f")
            _asked(cluster, prefix="osd pool create", pool="p", pg_num=8, pgp_num=8)
            _asked(cluster, prefix="osd pool set", pool="p", var="size", val="1", yes_i_really_mean_it=True)

    def close(self) -> None:
        """End it."""
        for process in (self.osd, self._mon):
            process.kill()
            process.wait()

    def _make_class(self) -> None:
        folder = self._folder / "classes"
        for path in Path(LIBRARIES, "rados-classes").glob("libcls_hello.so"):
            shutil.copy(path, folder)
        headers = (f"-I{ROOT}/usr/include", f"-I{ROOT}/usr/include/rados")
        target = str(folder / "libcls_weftrun.so")
        _run("g++", "-std=c++17", "-O2", "-fPIC", "-shared", *headers, "-o", target, str(CLASS))

    def _call(self, program: str, *words: str) -> None:
        _run(program, "-c", self.configuration, *words)

    def _started(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with open(self._folder / f"{program}.out", "ab") as out:
            return subprocess.Popen(
                [program, "-c", self.configuration, *words],
                stdout=out, stderr=out, env=os.environ | {"WEFTRUN_WORKER": self._worker},
            )  # fmt: skip


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr[-2000:]}"


def _asked(cluster: Any, **words: object) -> None:
    code, _, told = cluster.mon_command(json.dumps(words), b"")
    assert code == 0, told
