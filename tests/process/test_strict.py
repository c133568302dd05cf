"""`protect`: what each level stands in the way of. The table in docs/concepts/sandboxes.md has these cells."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest
from tests.process import attacks

import weftrun
from weftrun import PolicyError, function
from weftrun.entrypoints.cli.host import _walls
from weftrun.guest import strict

STRICT = {
    "forks": "EPERM",
    "starts_a_program": "EPERM",
    "writes_a_file": "EACCES",
    "reads_the_journal": "EACCES",
    "reads_passwords": "EACCES",
    "takes_two_gigabytes": "ENOMEM",
    "opens_a_socket": "EPERM",
    "signals_its_parent": "EPERM",
    "signals_by_descriptor": "EPERM",
    "traces_its_parent": "EPERM",
    "enters_a_namespace": "EPERM",
    "import": "EPERM",
    **dict.fromkeys(("fills_the_disk", "sets_the_kernel", "writes_code"), "EACCES"),
    **dict.fromkeys(("finds_a_way_out", "mounts_proc_anew", "remounts_libraries"), "EPERM"),
}
LACKING = [name for name, there in _walls().items() if not there]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this host has no {', '.join(LACKING)}")


def test_strict_stops_what_is_usual(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with weftrun.open(f"sqlite:///{journal}", sandboxes=1) as engine:
        run = engine.start(attacks.strict, str(journal))
        found = run.result(60)
        assert found.pop("raises_its_limits") == "not allowed to raise maximum limit"
        assert found == STRICT
        usual = engine.run(attacks.usual, str(journal))
        stopped = {name for name, what in usual.items() if what != "done"}
        assert not stopped & {"forks", "writes_a_file", "reads_the_journal", "takes_two_gigabytes", "opens_a_socket"}
        assert len(engine.run(attacks.works, 500_000)) == 500_000
    assert (tmp_path / "written").exists()


def test_it_is_forked_of_what_has_seen_nothing_of_its_code(tmp_path: Path) -> None:
    with weftrun.open(f"sqlite:///{tmp_path}/journal.db", sandboxes=3) as engine:
        told = [run.result(60) for run in [engine.start(attacks.held) for _ in range(6)]]
    for descriptors, is_imported_here in told:
        assert is_imported_here, "its module was imported by its zygote"
        assert descriptors == {"/dev/null": 1, "pipe": 3, "socket": 1, "/memfd:weftrun-page (deleted)": 2,
                               "/memfd:weftrun-lease (deleted)": 2}, "it has what is another's"  # fmt: skip


def test_a_network_that_is_asked_for_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with server.accept()[0] as caller:
                caller.sendall(b"hello")

        threading.Thread(target=greet, daemon=True).start()
        with weftrun.open(f"sqlite:///{tmp_path}/journal.db", sandboxes=1) as engine:
            assert engine.run(attacks.with_network, server.getsockname()[1]) == "hello"


def plain(n: int) -> int:
    return n


def test_what_is_recorded_and_refused() -> None:
    made = function(plain, protect="strict")
    assert (made.spec.network, made.spec.privileges) == (False, "strict")
    assert made.options(network=True).spec.network and made.options(network=True).spec.privileges == "strict"
    assert made.options(privileges="drop").spec.privileges == "strict"
    assert made.options(protect="usual").spec.privileges == "drop"
    assert function(plain, protect="strict", concurrency=4).spec.privileges == "strict"
    assert function(plain, protect="usual").spec == function(plain).spec
    with pytest.raises(PolicyError, match=r'`protect="strict"` and `privileges="keep"` exclude each other'):
        function(plain, protect="strict", privileges="keep")
    with pytest.raises(PolicyError, match=r'takes forks, and `protect="strict"` lets a Sandbox start no process'):
        function(plain, protect="strict", concurrency=("processes", 2))
    with pytest.raises(PolicyError, match=r"`protect='all'` is not one of 'usual', 'strict'"):
        function(plain, protect="all")  # type: ignore[call-overload]


def test_system_calls_have_the_numbers_that_the_kernel_gives_them() -> None:
    """A wrong number would refuse another call, and let the one that is named through."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed: apt-get install linux-libc-dev")
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    ours = strict.DENIED | strict.TOLD_BY_ARGUMENT
    assert ours == {name: numbers[name] for name in ours}
