"""What the storage role does with a call that comes to its data: admit it or refuse it, and run it."""

from __future__ import annotations

import os
import threading
from typing import Final

from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.modules import Modules
from weftrun.adapters.wasm.processors import ProcessorGate
from weftrun.adapters.wasm.runner import load, run_near
from weftrun.model.near import NearAnswer, NearCall, NearRefused
from weftrun.model.selecting import Selection
from weftrun.ports.buckets import Buckets, Selected

_WAITING_A_SLOT: Final = 4


class NearRunner:
    """Runs calls in threads of this process, as many at once as there are slots.

    More of them wait, a few for each slot and for a bounded time; the rest is refused at once, so that the store goes
    on serving reads. No lock of the store is held while a call runs.
    """

    def __init__(
        self, modules: Modules, buckets: Buckets, *, slots: int | None = None, wait_s: float = 1.0,
        cpu_max: float | None = None,
    ) -> None:  # fmt: skip
        """Run what comes on `buckets`.

        Args:
            modules: where modules are kept.
            buckets: the data.
            slots: calls at once; default is the processors that this process may use. 0 refuses all.
            wait_s: longest time for which one waits for a slot, in seconds.
            cpu_max: take none while more than this share of the host's processors is busy; None takes them anyway.
        """
        self._gate = None if cpu_max is None else ProcessorGate(cpu_max)
        self._modules = modules
        self._buckets = buckets
        self._slots = len(os.sched_getaffinity(0)) if slots is None else slots
        self._wait_s = wait_s
        self._free = threading.Semaphore(self._slots)
        self._counting = threading.Lock()
        self._waiting = 0

    def run(self, told: NearCall) -> NearAnswer:
        """Run a call, or refuse it with a reason.

        Raises:
            WasmRefused: its module can't be used.
        """
        path = self._modules.path(told.module)
        if not os.path.exists(path):
            return NearRefused("the module is not known there", wants_module=True)
        if self._buckets.stat(told.bucket, told.key) is None:
            return NearRefused(f"the key {told.key!r} is not there")
        why_not = self._enter()
        if why_not:
            return NearRefused(why_not, is_busy=True)
        try:
            place = CallReach(told.bucket, self._buckets)
            return run_near(load(path, told.module), told, place)
        finally:
            self._free.release()

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | NearRefused | None:
        """Choose lines of a key, or refuse to, as a call is; None where the key isn't there."""
        why_not = self._enter()
        if why_not:
            return NearRefused(why_not, is_busy=True)
        try:
            return self._buckets.select(bucket, key, selection)
        finally:
            self._free.release()

    def _enter(self) -> str:
        """Take a slot; where there is none, say why."""
        if self._gate is not None and not self._gate.is_open():
            return "the processors of the storage role are busy"
        return "" if self._admitted() else "the storage role is busy"

    def _admitted(self) -> bool:
        if self._slots == 0:
            return False
        with self._counting:
            if self._waiting >= self._slots * _WAITING_A_SLOT:
                return False
            self._waiting += 1
        try:
            return self._free.acquire(timeout=self._wait_s)
        finally:
            with self._counting:
                self._waiting -= 1
