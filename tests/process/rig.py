"""An engine's end for tests: a real loop, a real store, real Sandboxes, and what they said in order."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.process import ProcessSandboxes
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.errors import JournalCorrupt
from weftrun.model.ids import ObjectId, RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import DEFAULT_LIMITS, Limits
from weftrun.model.messages import Batch, FromSandbox, Invocation, ItemBatch, ItemOutcomes, Outcomes
from weftrun.model.outcomes import Outcome
from weftrun.model.policy import Bundle, FunctionSpec, Privileges, Reach
from weftrun.model.values import Blob, Data, Inline, Object, Tree
from weftrun.ports.sandboxes import Profile, Progress
from weftrun.sdk.codec import decode, encode

HERE = Path(__file__).parent
WAIT_S = 20.0
_T = TypeVar("_T")


def bundle(module: str = "sandboxed", folder: Path = HERE) -> Bundle:
    """Return the bundle of a module in a folder."""
    return Bundle(module, path=(str(folder), *sys.path), started=str(folder))


ARRAYS = bundle("arrays")


def full_name(name: str) -> str:
    """Return the name by which a guest finds a Function of `sandboxed`, or of the module before the colon."""
    return name if ":" in name else f"sandboxed:{name}"


def inline(value: object) -> Tree:
    """Return a value that rides in a message."""
    return Tree(Inline(encode(value, what="a value").tobytes()))


def no_blob(blob: Blob) -> int:
    """Open nothing: there are no blobs here."""
    raise JournalCorrupt(f"no blob {blob.sha256}")


class Rig:
    """Sandboxes on a loop; `heard` has everything they told, in order."""

    def __init__(self, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.loop = UvLoop()
        self.loop.start()
        self.objects = MemfdObjects(folder, quota_bytes=1 << 30, descriptors_max=1_000, open_blob=no_blob)
        self.sandboxes = ProcessSandboxes(self.loop, self.objects, limits=limits, hash_seed=7)
        self.heard: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self.sandboxes.listen(self)
        self.last = 0
        self.closed = False
        self.batches = 0

    # what Sandboxes tell
    def sandbox_ready(
        self,
        sandbox: SandboxId,
        start_s: float,
        isolation: tuple[str, ...],
        unforkable: tuple[str, ...] = (),
        written: tuple[str, ...] = (),
    ) -> None:
        self.heard.put(("ready", sandbox, start_s, isolation, unforkable))

    def sandbox_spoke(self, sandbox: SandboxId, messages: list[FromSandbox]) -> None:
        for message in messages:
            self.heard.put(("spoke", sandbox, message))

    def sandbox_printed(self, sandbox: SandboxId, text: str) -> None:
        self.heard.put(("printed", sandbox, text))

    def sandbox_gone(self, sandbox: SandboxId, why: str, progress: Progress) -> None:
        self.heard.put(("gone", sandbox, why, progress))

    # what tests do
    def on_loop(self, work: Callable[[], _T]) -> _T:
        """Do something in the loop's thread and return what it gave."""
        box: list[_T] = []
        done = threading.Event()

        def call() -> None:
            try:
                box.append(work())
            finally:
                done.set()

        self.loop.call_from_thread(call)
        assert done.wait(WAIT_S)
        return box[0]

    def create(self, code: Bundle | None = None, *, network: bool = True, privileges: Privileges = "drop") -> SandboxId:
        """Ask for a Sandbox."""
        self.last += 1
        sandbox = SandboxId(self.last)
        profile = Profile(code or bundle(), network, privileges)
        self.on_loop(lambda: self.sandboxes.create(sandbox, profile))
        return sandbox

    def ready(self, code: Bundle | None = None, *, network: bool = True, privileges: Privileges = "drop") -> SandboxId:
        """Return a Sandbox that takes work."""
        sandbox = self.create(code, network=network, privileges=privileges)
        assert self.hear("ready")[1] == sandbox
        return sandbox

    def hear(self, kind: str) -> tuple[Any, ...]:
        """Return what is told next, which must be of this kind."""
        event = self.heard.get(timeout=WAIT_S)
        assert event[0] == kind, event
        return event

    def send(self, sandbox: SandboxId, name: str, *calls: tuple[Any, ...] | Tree, objects: tuple[ObjectId, ...] = (),
             is_prepared: bool = False, **policy: Any) -> int:  # fmt: skip
        """Send a Batch with a call of `sandboxed:name` for each tuple of arguments."""
        self.batches += 1
        spec = FunctionSpec(full_name(name), name, **policy)
        items = tuple(
            Invocation(0, i, StepId(f"{name}[{i}]"), 1, call if isinstance(call, Tree) else inline((call, {})))
            for i, call in enumerate(calls)
        )
        batch = Batch(
            self.batches, spec, ((RunId("r"), RunUid("u")),), items, objects, is_prepared=is_prepared
        )  # fmt: skip
        self.on_loop(lambda: self.sandboxes.send(sandbox, batch))
        return self.batches

    def send_items(
        self,
        sandbox: SandboxId,
        name: str,
        items: list[Any],
        *ranges: tuple[int, int],
        reach: bool | Reach = True,
        **same: Any,
    ) -> int:
        """Send an ItemBatch of `sandboxed:name` over these items, each the only argument."""
        return self.send_range(
            sandbox, name, inline([(item,) for item in items]), *(ranges or ((0, len(items)),)), reach=reach, **same
        )

    def send_range(
        self,
        sandbox: SandboxId,
        name: str,
        items: Tree,
        *ranges: tuple[int, int],
        reach: bool | Reach = True,
        **same: Any,
    ) -> int:
        """Send an ItemBatch of `sandboxed:name` over encoded items."""
        self.batches += 1
        spec = FunctionSpec(full_name(name), name, reach=reach)
        batch = ItemBatch(
            self.batches, spec, (RunId("r"), RunUid("u")), StepId(f"{name}[0]"), 1,
            inline(((), same)), items, 0, ranges,
        )  # fmt: skip
        self.on_loop(lambda: self.sandboxes.send(sandbox, batch))
        return self.batches

    def outcomes(self, count: int) -> list[Outcome]:
        """Hear of this many Invocations."""
        found: list[Outcome] = []
        while len(found) < count:
            message = self.hear("spoke")[2]
            assert isinstance(message, Outcomes)
            found += message.outcomes
        return found

    def item_outcomes(self, count: int) -> list[ItemOutcomes]:
        """Hear of this many items."""
        found: list[ItemOutcomes] = []
        told = 0
        while told < count:
            message = self.hear("spoke")[2]
            assert isinstance(message, ItemOutcomes)
            found.append(message)
            told += sum(hi - lo for lo, hi, _ in message.values) + len(message.failures)
        return found

    def call(self, sandbox: SandboxId, name: str, *args: Any, **policy: Any) -> Any:
        """Call a Function and return its value."""
        self.send(sandbox, name, args, **policy)
        (outcome,) = self.outcomes(1)
        assert outcome.failure is None, outcome.failure
        assert outcome.value is not None
        return self.read(outcome.value)

    def fail(self, sandbox: SandboxId, name: str, *args: Any, **policy: Any) -> Outcome:
        """Call a Function that fails and return the outcome."""
        self.send(sandbox, name, args, **policy)
        (outcome,) = self.outcomes(1)
        assert outcome.failure is not None
        return outcome

    def outcomes_text(self, sandbox: SandboxId, name: str, *args: Any) -> str:
        """Call a Function and return what its Attempt printed."""
        self.send(sandbox, name, args)
        return self.outcomes(1)[0].text

    def read(self, data: Data) -> Any:
        """Decode a value here, and release its Object."""
        if isinstance(data, Inline):
            return decode(data.data)
        assert isinstance(data, Object)
        value = decode(self.objects.view(data.oid))
        self.objects.release(data.oid)
        return value

    def kill(self, sandbox: SandboxId) -> None:
        """Kill by the port."""
        self.on_loop(lambda: self.sandboxes.kill(sandbox))

    def close(self) -> None:
        """End everything. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self.on_loop(self.sandboxes.close)
        self.objects.close()
        self.loop.stop()


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Poll something outside our control, and say whether it came true in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def open_descriptors() -> list[str]:
    """Return what this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return found


def processes_named(word: str) -> list[int]:
    """Return the pids of processes whose command line or environment has this word."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                told = Path(f"/proc/{name}/cmdline").read_bytes() + Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if word.encode() in told:
                found.append(int(name))
    return found
