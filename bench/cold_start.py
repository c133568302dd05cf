"""A Sandbox is made and gives its first answer, next to a bare fork into the same namespaces and one round trip."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from bench import programs
from bench.figure import ROOT, Figure, Setting

from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.process import ProcessSandboxes
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.messages import Batch, FromSandbox, Invocation
from weftrun.model.values import Inline, Tree
from weftrun.ports.sandboxes import Profile, Progress
from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.codec import encode

_WAIT_S = 20.0
_QUIET_S = 0.1
_IMPORTS = ("weftrun.guest.zygote", programs.__name__)


class ColdStarts:
    """Makes Sandboxes, sends each one Invocation, and kills them. It is whom the Sandboxes tell.

    Attributes:
        isolation: the namespaces that the last one said it has.
        why: what is known of the last one's end.
    """

    def __init__(self, setting: Setting) -> None:
        self._loop = UvLoop()
        self._loop.start()
        self._objects = MemfdObjects(setting.folder, quota_bytes=1 << 20, descriptors_max=8, open_blob=_no_blob)
        self._sandboxes = ProcessSandboxes(self._loop, self._objects, limits=DEFAULT_LIMITS, hash_seed=0)
        self._sandboxes.listen(self)
        self._bundle = bundle_of(programs.plain)
        args = Tree(Inline(encode(((1,), {}), what="the arguments").tobytes()))
        invocation = Invocation(0, 0, StepId("plain[0]"), 1, args)
        self._batch = Batch(1, programs.plain.spec, ((RunId("bench"), RunUid("bench")),), (invocation,))
        self._last = 0
        self._begun: dict[SandboxId, float] = {}
        self._took: dict[SandboxId, float] = {}
        self._gone = threading.Semaphore(0)
        self.why = ""
        self.isolation: tuple[str, ...] = ()

    def together(self, count: int) -> list[float]:
        """Return how long each of so many took from the wish for it to its first answer, in seconds."""
        wanted = [SandboxId(self._last + number) for number in range(1, count + 1)]
        self._last += count
        self._loop.call_from_thread(lambda: self._create(wanted))
        gone = [self._gone.acquire(timeout=_WAIT_S) for _ in wanted]
        if not all(gone) or not all(number in self._took for number in wanted):
            raise RuntimeError(f"A Sandbox gave no answer within {_WAIT_S:g} s: {self.why or 'it said nothing'}.")
        return [self._took.pop(number) for number in wanted]

    def _create(self, wanted: Sequence[SandboxId]) -> None:
        for number in wanted:
            self._begun[number] = time.perf_counter()
            self._sandboxes.create(number, Profile(self._bundle))

    # what Sandboxes tell, on the loop
    def sandbox_ready(
        self,
        sandbox: SandboxId,
        start_s: float,  # noqa: ARG002
        isolation: tuple[str, ...],
        threads: tuple[str, ...] = (),  # noqa: ARG002
        written: tuple[str, ...] = (),  # noqa: ARG002
    ) -> None:
        """Give it its first Invocation."""
        self.isolation = isolation
        self._sandboxes.send(sandbox, self._batch)

    def sandbox_spoke(self, sandbox: SandboxId, messages: list[FromSandbox]) -> None:  # noqa: ARG002
        """Look at the clock and end it."""
        if sandbox in self._begun:
            self._took[sandbox] = time.perf_counter() - self._begun.pop(sandbox)
            self._sandboxes.kill(sandbox)

    def sandbox_printed(self, sandbox: SandboxId, text: str) -> None:
        """Nothing is printed."""

    def sandbox_gone(self, sandbox: SandboxId, why: str, progress: Progress) -> None:  # noqa: ARG002
        """Let the next one begin."""
        self.why = why
        self._gone.release()

    def close(self) -> None:
        """End what is left."""
        closed = threading.Event()

        def end() -> None:
            self._sandboxes.close()
            closed.set()

        self._loop.call_from_thread(end)
        closed.wait(_WAIT_S)
        self._loop.stop()
        self._objects.close()


class BareForks:
    """The floor, in a process of its own (`bench.bare_fork`): these namespaces, and these modules imported."""

    def __init__(self, namespaces: Sequence[str], *modules: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.bare_fork", ",".join(namespaces), *modules],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def one(self) -> float:
        """Return how long a fork and its answer took, in seconds."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("The process was made with pipes.")
        stdin.write("\n")
        stdin.flush()
        return float(stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def cold_start(setting: Setting) -> list[Figure]:
    """Make Sandboxes from a zygote that has the code, each next to a bare fork of either kind."""
    with contextlib.ExitStack() as stack:
        cold = stack.enter_context(contextlib.closing(ColdStarts(setting)))
        cold.together(1)  # it waits for the zygote's import, and tells which namespaces a Sandbox has here
        bare = stack.enter_context(contextlib.closing(BareForks(cold.isolation)))
        loaded = stack.enter_context(contextlib.closing(BareForks(cold.isolation, *_IMPORTS)))
        median, slow, like, rested = table = _figures(setting.sizes.cold_starts, cold.isolation)
        for _ in range(setting.rounds):
            times = [_once(bare, loaded, cold) for _ in range(setting.sizes.cold_starts)]
            forks, loaded_forks, starts, reserved = (
                [each * 1e3 for each in column] for column in zip(*times, strict=True)
            )
            median.add(statistics.median(starts), statistics.median(forks))
            slow.add(_ninth(starts), _ninth(forks))
            like.add(statistics.median(starts), statistics.median(loaded_forks))
            rested.add(statistics.median(reserved), statistics.median(forks))
    return table


def _once(bare: BareForks, loaded: BareForks, cold: ColdStarts) -> tuple[float, float, float, float]:
    time.sleep(_QUIET_S)
    reserved, forked = cold.together(2)  # the zygote has made one ahead; the other is forked when it is wanted
    return bare.one(), loaded.one(), forked, reserved


def _figures(times: int, namespaces: Sequence[str]) -> list[Figure]:
    bare = "bare namespaced fork"
    return [
        Figure("cold start with first answer", "ms", bare, must=2.0, inside=f"the median of {times} a round: from "
               "ProcessSandboxes.create, with a zygote that has imported the code, to the arrival of the first "
               "Invocation's outcome. Two are wanted at once, and the one counts that was not made ahead. Floor: a "
               f"lean interpreter forks, the child enters the same namespaces ({', '.join(namespaces)}), gets its "
               "ids, and one message goes there and back."),
        Figure("cold start, 90th percentile", "ms", bare, "the same, the 90th percentile of both."),
        Figure("cold start, loaded floor", "ms", "the same with a zygote's imports", "the same, but the floor's "
               f"interpreter has imported {' and '.join(_IMPORTS)}, as a zygote has."),
        Figure("the one made ahead", "ms", bare, f"the other of the two: after {_QUIET_S:g} s of quiet the zygote had "
               "made its process ahead. The floor's was not."),
    ]  # fmt: skip


def _ninth(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.9)]


def _no_blob(_blob: object) -> int:
    raise AssertionError("no blob was published")
