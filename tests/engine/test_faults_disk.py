"""Full disks, I/O errors and slow bytes under a running engine: Runs stand still, and go on when the disk is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import faulty as f
from tests.engine.leftovers import in_namespaces, nothing_left, wait_until, warm  # noqa: F401
from tests.sweeping import shared

import weftrun
from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.assembly import open_reader
from weftrun.model.records import Settled
from weftrun.model.values import Blob
from weftrun.testing.contracts.disk import Disk, Operation, broken, no_room


def entries(ledger: Path) -> Counter[str]:
    """Return how often each Step was entered."""
    return Counter(line.split()[0] for line in ledger.read_text().splitlines()) if ledger.exists() else Counter()


def settled(url: str, id: str) -> set[str]:
    """Return the Steps of a Run whose outcome is durable."""
    reader = open_reader(url)
    try:
        info = reader.find(id)
        assert info is not None
        records = [record for row in reader.load(info.uid) for record in row.records]
    finally:
        reader.close()
    return {str(outcome.step) for record in records if isinstance(record, Settled) for outcome in record.outcomes}


# ---------------------------------------------------------------------- a disk that is really full

FULL = """
import json, os, signal, subprocess, sys, warnings, weftrun
from collections import Counter
from pathlib import Path
from tests.engine import faulty as f
from tests.conftest import assert_closed
from tests.engine.leftovers import wait_until
warnings.simplefilter("ignore")
folder, outside, role = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
url, go, ledger, ballast = f"sqlite:///{folder / 'journal.db'}", outside / "go", outside / "ledger", folder / "ballast"
STEPS, SMALL, LARGE = 40, 20_000, 300_000  # the Journal has no room for 40 × 20,000 bytes, whatever it frees

def entered():
    return Counter(line.split()[0] for line in ledger.read_text().splitlines()) if ledger.exists() else Counter()

def fill():
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096): pass
        except OSError as error:
            assert error.errno == 28

def until_it_stands_still(engine):
    '''Fill the disk with values in flight, and return the Runs, which wait for it.'''
    assert engine.start(f.inc.options(id="before"), 1).result(30) == 2
    runs = [engine.start(f.in_flight.options(id="small"), str(go), STEPS, str(ledger), SMALL),
            engine.start(f.large_in_flight.options(id="large"), str(go), LARGE, str(ledger))]
    wait_until(lambda: all(len(run.steps()) > 3 for run in runs), "the graphs are durable")
    fill()
    go.touch()
    wait_until(lambda: entered()["length[0]"] == 2, "values are computed beyond what is durable")
    wait_until(lambda: all(run.waiting_for == "disk" for run in runs), "the Runs wait for the disk")
    assert [run.status for run in runs] == ["running", "running"]
    assert engine.get("before").result(60) == 2
    assert "seen[0]" not in entered(), "a gate opened before its records were durable"
    return runs

if role == "lives":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], check=True)
    with weftrun.open(url, sandboxes=2) as engine:
        runs = until_it_stands_still(engine)
        ballast.unlink()
        answers = [run.result(60) for run in runs]
        assert [run.waiting_for for run in runs] == [None, None]
elif role == "dies":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], check=True)
    program = [sys.executable, "-c", sys.argv[4], str(folder), str(outside), "is killed"]
    assert subprocess.run(program).returncode == -signal.SIGKILL
    try:
        weftrun.open(url, sandboxes=2)
    except weftrun.JournalError as error:
        print("refused:", error, file=sys.stderr)
    ballast.unlink()
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("before").result(60) == 2
        answers = [engine.get(id).result(60) for id in ("small", "large")]
else:
    until_it_stands_still(weftrun.open(url, sandboxes=2))
    os.kill(os.getpid(), signal.SIGKILL)
assert_closed(url)
print(json.dumps([answers, entered()]))
"""


@pytest.mark.parametrize("role", shared(["dies", "lives"]))
def test_a_full_disk_with_values_in_flight(tmp_path: Path, role: str) -> None:
    """Computing goes on beyond what is durable, gates stay shut, and with room again nothing is lost."""
    folder, outside = tmp_path / "full", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    done = in_namespaces(FULL, folder, outside, role, FULL, cwd=folder)
    assert done.returncode == 0, done.stderr
    answers, entered = json.loads(done.stdout)
    assert answers == [20_040, 300_000]
    steps = {*(f"longer[{i}]" for i in range(40)), "big[0]", "length[0]", "seen[0]"}
    assert set(entered) == steps
    assert entered["seen[0]"] == 2  # once in each of the two Runs
    if role == "lives":
        assert entered.pop("length[0]") == entered.pop("seen[0]")
        assert set(entered.values()) == {1}
    if role == "dies":
        told = [line for line in done.stderr.splitlines() if line.startswith("refused:")]
        assert all("No room is left on the disk" in line for line in told)


OPENED_FULL = """
import subprocess, sys, warnings, weftrun
from pathlib import Path
from tests.engine import faulty as f
warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
with (folder / "ballast").open("wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096): pass
    except OSError: pass
try:
    weftrun.open(f"sqlite:///{folder / 'journal.db'}", sandboxes=1)
except weftrun.WeftrunError as error:
    print(type(error).__name__, error)
(folder / "ballast").unlink()
with weftrun.open(f"sqlite:///{folder / 'journal.db'}", sandboxes=1) as engine:
    print(engine.run(f.inc, 1))
"""


def test_a_journal_that_finds_no_room_at_all(tmp_path: Path) -> None:
    done = in_namespaces(OPENED_FULL, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    refusal, answer = done.stdout.splitlines()
    assert refusal.startswith(f"JournalFull No room is left on the disk of {tmp_path}/journal.db")
    assert answer == "2"


FILES_CANT_GROW = """
import resource, sys, warnings, weftrun
from pathlib import Path
from tests.engine import faulty as f
from tests.engine.leftovers import wait_until
warnings.simplefilter("ignore")
url, go, ledger = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
with weftrun.open(url, sandboxes=2) as engine:
    assert engine.run(f.inc, 1) == 2
    run = engine.start(f.large_in_flight.options(id="large"), str(go), 300_000, str(ledger))
    wait_until(lambda: len(run.steps()) > 3, "the graph is durable")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    go.touch()
    wait_until(lambda: run.waiting_for == "disk" and "length[0]" in ledger.read_text(), "the Run waits for the disk")
    assert "seen[0]" not in ledger.read_text()
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print(run.result(60), run.waiting_for)
"""


def test_files_that_can_not_grow_are_a_full_disk(url: str, tmp_path: Path) -> None:
    """As a quota does it, and without any rights: the limit holds for the engine's process alone."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FILES_CANT_GROW, url, str(tmp_path / "go"), str(tmp_path / "ledger")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "300000 None\n"), done.stderr
    assert entries(tmp_path / "ledger") == Counter({"big[0]": 1, "length[0]": 1, "seen[0]": 1})
    assert_closed(url)


# ---------------------------------------------------------------------- a disk that gives errors


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The Journal of each engine lies on a disk that fails when told to."""
    made = Disk("faulty-engine")
    assert SqliteJournal.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(SqliteJournal.__init__.__kwdefaults__, "vfs", made.name)
    return made


@pytest.mark.parametrize("skip", shared([3, 0]))
@pytest.mark.parametrize(("operation", "make"), [("sync", broken), ("write", broken), ("write", no_room)])
def test_an_error_in_commits_is_survived(
    disk: Disk, url: str, tmp_path: Path, operation: Operation, make: Callable[[], Exception], skip: int
) -> None:
    """Three errors in a row, from the start record on or later: the Run ends as ever, each Step entered once."""
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.start(f.inc.options(id="before"), 1).result(30) == 2
        fault = disk.fail(operation, make, file="journal.db-wal", skip=skip, times=3)
        run = engine.start(f.in_flight.options(id="run"), str(go), 10, str(ledger))
        go.touch()
        assert run.result(60) == 10
        assert run.waiting_for is None
        assert engine.run(f.chain, 5) == 5
        assert fault.met == 3
        assert engine.get("before").result(30) == 2
    assert set(entries(ledger).values()) == {1}
    disk.heal()
    assert_closed(url)


def test_a_disk_that_stays_broken_stops_runs_until_it_is_well(disk: Disk, url: str, tmp_path: Path) -> None:
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    with weftrun.open(url, sandboxes=2) as engine:
        run = engine.start(f.in_flight.options(id="run"), str(go), 20, str(ledger))
        wait_until(lambda: len(run.steps()) > 20, "the graph is durable")
        fault = disk.fail("sync", broken, file="journal.db-wal", times=10**9)
        go.touch()
        wait_until(lambda: fault.met >= 4, "it was tried again")
        wait_until(lambda: run.waiting_for == "disk", "the Run waits for the disk")
        wait_until(lambda: entries(ledger)["longer[19]"], "what needs no disk goes on")
        assert (run.status, entries(ledger)["seen[0]"]) == ("running", 0)
        with pytest.raises(TimeoutError):
            run.result(0.05)
        disk.heal()
        assert run.result(60) == 20
    assert set(entries(ledger).values()) == {1}
    assert_closed(url)


def test_closing_while_the_disk_is_broken_does_not_hang(disk: Disk, url: str, tmp_path: Path) -> None:
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    engine = weftrun.open(url, sandboxes=2)
    run = engine.start(f.in_flight.options(id="run"), str(go), 5, str(ledger))
    wait_until(lambda: len(run.steps()) > 5, "the graph is durable")
    fault = disk.fail("sync", broken, file="journal.db-wal", times=10**9)
    go.touch()
    wait_until(lambda: fault.met >= 2 and entries(ledger)["longer[4]"], "it was tried again")
    engine.close(drain_s=0.1)
    with pytest.raises(weftrun.EngineClosed):
        run.result(1)
    disk.heal()
    with weftrun.open(url, sandboxes=2) as again:
        assert again.get("run").result(60) == 5
    assert entries(ledger)["seen[0]"] == 1
    assert_closed(url)


def test_bytes_that_can_not_be_stored_end_the_engine_and_not_the_run(url: str, tmp_path: Path) -> None:
    """The folder of blobs is no folder for a while: nothing can be promised any more, and everybody is told so."""
    ledger, go, blobs = tmp_path / "ledger", tmp_path / "go", tmp_path / "journal.db.d/blobs"
    with weftrun.open(url, sandboxes=2) as engine:
        run = engine.start(f.large_in_flight.options(id="large"), str(go), 300_000, str(ledger))
        wait_until(lambda: len(run.steps()) > 3, "the graph is durable")
        blobs.rename(tmp_path / "aside")
        blobs.touch()
        go.touch()
        told = []
        for use in (lambda: run.result(60), lambda: engine.run(f.inc, 1), lambda: engine.get("large")):
            with pytest.raises(weftrun.JournalError, match=rf"300\d\d\d bytes can't be stored in {blobs}") as caught:
                use()
            told.append(str(caught.value))
        assert len(set(told)) == 1 and "\n" not in told[0]
    blobs.unlink()
    (tmp_path / "aside").rename(blobs)
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("large").result(60) == 300_000
    assert entries(ledger)["seen[0]"] == 1
    assert_closed(url)


# ---------------------------------------------------------------------- bytes that are slower than records


def test_a_slow_blob_holds_back_what_descends_from_it(
    engine: weftrun.Engine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: the record of a Step whose argument's bytes are not durable yet waits, though it is ready itself."""
    well = threading.Event()
    put = FileBlobs.put

    def slow_put(self: FileBlobs, descriptor: int, nbytes: int) -> Blob:
        assert well.wait(60)
        return put(self, descriptor, nbytes)

    monkeypatch.setattr(FileBlobs, "put", slow_put)
    ledger = tmp_path / "ledger"
    try:
        run = engine.start(f.behind_a_blob.options(id="slow"), 300_000, str(ledger))
        wait_until(lambda: entries(ledger)["length[0]"], "the descendant was entered, which needs no disk")
        # Another Run goes from start to end meanwhile: so the descendant's record had every chance to be written.
        assert [engine.run(f.chain, 3) for _ in range(5)] == [3] * 5
        assert settled(url, "slow") == set()
        assert entries(ledger)["seen[0]"] == 0
        assert run.status == "running"
    finally:
        well.set()
    assert run.result(60) == 300_000
    assert {"big[0]", "length[0]"} <= settled(url, "slow")
    assert entries(ledger) == Counter({"big[0]": 1, "length[0]": 1, "seen[0]": 1})
