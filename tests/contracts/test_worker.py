"""A Worker in this process, and one in another over a socket, keep the contract."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weftrun.adapters.hosts.introductions import Introductions
from weftrun.adapters.hosts.local import LocalWorkers
from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.process import ProcessSandboxes
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.commands import Invoke
from weftrun.model.errors import JournalCorrupt
from weftrun.model.hosts import Begin, KnownBatches, Ping, ToWorker
from weftrun.model.ids import RunId, RunUid, WorkerId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import Bundle
from weftrun.model.values import Blob
from weftrun.ports.worker import Worker
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.testing.contracts import working
from weftrun.testing.contracts.worker import RUN, WAIT_S, Heard, OnLoop, WorkerContract, invocation
from weftrun.wire.channel import Channel

QUOTA_BYTES = 1 << 30


def no_blob(blob: Blob) -> int:
    raise JournalCorrupt(f"no blob {blob.sha256}")


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[MemfdObjects]:
    store = MemfdObjects(tmp_path, quota_bytes=QUOTA_BYTES, descriptors_max=1_000, open_blob=no_blob)
    yield store
    store.close()


@pytest.fixture
def loop() -> Iterator[UvLoop]:
    loop = UvLoop()
    loop.start()
    yield loop
    loop.stop()


def doing(loop: UvLoop) -> Callable[[Callable[[], None]], None]:
    def do(work: Callable[[], None]) -> None:
        done = threading.Event()
        errors: list[BaseException] = []

        def call() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # raised again where the test waits
                errors.append(error)
            done.set()

        loop.call_from_thread(call)
        assert done.wait(WAIT_S)
        if errors:
            raise errors[0]

    return do


class TestWorkerInThisProcess(WorkerContract):
    @pytest.fixture
    def there(self, loop: UvLoop, objects: MemfdObjects) -> Iterator[OnLoop]:
        sandboxes = ProcessSandboxes(loop, objects, limits=DEFAULT_LIMITS, hash_seed=7)
        do = doing(loop)
        yield OnLoop(WorkerDriver(loop, sandboxes, objects, DEFAULT_LIMITS, 1), do, objects)
        do(sandboxes.close)


class TestWorkerInAnotherProcess(WorkerContract):
    @pytest.fixture
    def there(self, loop: UvLoop, objects: MemfdObjects, tmp_path: Path) -> Iterator[OnLoop]:
        joined: list[Worker] = []

        def begin(worker: WorkerId) -> Begin:
            return Begin(worker, 1, DEFAULT_LIMITS, 7, 1_024, str(tmp_path), QUOTA_BYTES)

        workers = LocalWorkers(
            loop, objects, 1, "weftrun.assembly.worker_process", begin, lambda _, worker, __: joined.append(worker)
        )
        do = doing(loop)
        do(workers.start)
        yield OnLoop(joined[0], do, objects)
        do(workers.close)


@pytest.mark.sweep
class TestWorkerThatKeepsWhatItMakes(WorkerContract):
    """As on a host of its own: its Objects stay with it until the engine forgets them."""

    @pytest.fixture
    def there(self, loop: UvLoop, objects: MemfdObjects, tmp_path: Path) -> Iterator[OnLoop]:
        joined: list[Worker] = []

        def begin(worker: WorkerId) -> Begin:
            return Begin(worker, 1, DEFAULT_LIMITS, 7, 1_024, str(tmp_path), QUOTA_BYTES, secret=b"of this engine")

        workers = LocalWorkers(
            loop, objects, 1, "weftrun.assembly.worker_process", begin, lambda _, worker, __: joined.append(worker),
            introductions=Introductions(loop, objects, begin, lambda *_: None),
        )  # fmt: skip
        do = doing(loop)
        do(workers.start)
        yield OnLoop(joined[0], do, objects)
        do(workers.close)


class HeardOfEnd(Heard):
    """What a Worker has told until it was gone."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[KnownBatches] = []

    def gone(self, why: str, word: KnownBatches) -> None:
        self._note(lambda: self.words.append(word))


def test_an_engine_knows_of_a_batch_of_which_its_worker_could_not_write(
    loop: UvLoop, objects: MemfdObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    joined: list[Worker] = []

    def begin(worker: WorkerId) -> Begin:
        return Begin(worker, 1, DEFAULT_LIMITS, 7, 1_024, str(tmp_path), QUOTA_BYTES)

    workers = LocalWorkers(
        loop, objects, 1, "tests.contracts.dying_worker", begin, lambda _, worker, __: joined.append(worker)
    )
    do, heard = doing(loop), HeardOfEnd()
    do(workers.start)
    bundle = Bundle(working.__name__, path=tuple(sys.path), started=str(Path.cwd()))

    def give() -> None:
        joined[0].listen(heard)
        joined[0].open_run(RUN, RunId("run"), RunUid("0" * 32), bundle)
        joined[0].work(RUN, Invoke(working.add.spec, (invocation(1, 2, 2), invocation(2, 3, 3))))

    do(give)
    heard.until(lambda: bool(heard.words), "the Worker is gone")
    do(workers.close)
    assert heard.words == [KnownBatches.ALL]
    assert [sent.holds.singles for sent in heard.batches] == [((RUN, 1, 1, 0),)]


def test_a_worker_that_hears_something_else_first_ends_with_a_sentence() -> None:
    program = "import socket, sys; from weftrun.assembly.worker_process import main; main()"

    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(theirs.fileno())], pass_fds=[theirs.fileno()], stderr=subprocess.PIPE
        )
        Channel[ToWorker](ours, ToWorker, frame_bytes_max=1_000).send(Ping())
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, b"A Worker is started by an engine, which says first who it is.\n")
