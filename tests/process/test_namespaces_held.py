"""What a zygote must hold of its Sandboxes so that the end of one is never taken for the end of another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.process.rig import WAIT_S, Rig, until


def children(pid: int) -> list[int]:
    """Return the children of a process, oldest first."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(child) for task in tasks for child in (task / "children").read_text().split())


def namespaces_held(pid: int) -> set[str]:
    """Return the ipc namespaces that a process holds open."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    return {link for link in found if link.startswith("ipc:")}


def test_a_zygote_holds_the_namespaces_of_its_sandboxes_and_nobody_else_does(rig: Rig) -> None:
    """The kernel gives the number of a namespace again once nobody is in it: the orphans of a dead Sandbox are known by
    that number, and would be what has just begun."""
    before = set(children(os.getpid()))
    first = rig.create()
    isolation = rig.hear("ready")[3]
    if "ipc" not in isolation:
        pytest.skip("this host gives Sandboxes no ipc namespace")
    rig.ready()
    (zygote,) = set(children(os.getpid())) - before
    if "pid" in isolation:
        (zygote,) = children(zygote)

    def own() -> set[str]:
        return {os.readlink(f"/proc/{pid}/ns/ipc") for pid in children(zygote)}

    assert until(lambda: len(own()) == 3 and namespaces_held(zygote) == own(), WAIT_S), "two, and one made ahead"
    assert not any(namespaces_held(pid) for pid in children(zygote))
    before = own()
    rig.kill(first)
    rig.hear("gone")
    assert until(lambda: len(namespaces_held(zygote)) == 2, WAIT_S)
    assert namespaces_held(zygote) < before
