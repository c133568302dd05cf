"""What every test shares: reproducible Hypothesis runs, and the check that nothing is left behind."""

from __future__ import annotations

import compileall
import contextlib
import gc
import os
import re
import signal
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.errors import JournalError
from weftrun.testing.closure import closure_violations


@contextlib.contextmanager
def bytecode_is_kept() -> Iterator[None]:
    """Keep the bytecode of what is imported for the next time, whatever the environment says of bytecode."""
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        yield
    finally:
        sys.dont_write_bytecode = kept


with bytecode_is_kept():  # pytest rewrites all of Hypothesis, which takes a second in each process
    from hypothesis import HealthCheck, settings

# The same examples every time: a red test must be red for everybody. `HYPOTHESIS_PROFILE=search` looks further.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("search", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Whoever starts the tests in the background lets them ignore these, and programs that tests start inherit that.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

ROWS_ARE_MADE_UP = {"contracts", "journal", "views"}
"""Folders of tests whose Journals were written without a machine."""


def children() -> list[str]:
    """Return the command lines of this process's living children."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            try:
                found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return [line for line in found if line]


def memfds() -> list[str]:
    """Return the names of the memfds that this process holds."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name = os.readlink(entry)
        except OSError:
            continue
        if name.startswith("/memfd:weftrun"):
            found.append(name)
    return found


def pytest_configure(config: pytest.Config) -> None:
    """Compile once what programs of tests import: else each does so, where PYTHONDONTWRITEBYTECODE is set."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(weftrun.__file__).parent, quiet=2)
        compileall.compile_dir(Path(__file__).parent, quiet=2, rx=re.compile("/test_"))


def pytest_collection_finish() -> None:
    """Let no look for garbage walk through all tests and their modules again: many tests look for it, twice each."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the bytecode of the tests, too."""
    with bytecode_is_kept():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with what was not run, and why."""
    skipped = terminalreporter.getreports("skipped")
    terminalreporter.section(f"{len(skipped)} skipped")
    for report in skipped:
        terminalreporter.line(f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}")


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """At the end no process and no Object of ours is alive."""
    before = set(children())
    yield
    deadline = time.monotonic() + 5
    while (left := set(children()) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, f"processes left behind: {sorted(left)}"
    assert not memfds(), f"memfds left behind: {memfds()}"


@pytest.fixture(autouse=True)
def closed(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test every Journal that an engine left must hold the rule of closure (C1)."""
    wanted = "tmp_path" in request.fixturenames and request.path.parent.name not in ROWS_ARE_MADE_UP
    folder = request.getfixturevalue("tmp_path") if wanted else None
    yield
    for path in sorted(folder.rglob("*.db")) if folder is not None else ():
        # What a test has damaged on purpose is passed over.
        with contextlib.suppress(JournalError):
            assert_closed(f"sqlite:///{path}")


def assert_closed(url: str) -> None:
    """Check every Run of a Journal against the rule of closure (C1)."""
    with contextlib.closing(open_reader(url)) as reader:
        rows = {info.uid: reader.load(info.uid) for info in reader.runs(limit=10_000)}
    assert closure_violations(rows) == [], url
