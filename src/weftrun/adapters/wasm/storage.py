"""What the storage role does with a call that comes to its data: admit it or refuse it, and run it."""

from __future__ import annotations

import os

from weftrun.adapters.near.admission import NearAdmission
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.modules import Modules
from weftrun.adapters.wasm.runner import load, run_near
from weftrun.model.near import NearAnswer, NearCall, NearRefused
from weftrun.model.selecting import Selection
from weftrun.ports.buckets import Buckets, Selected


class NearRunner:
    """Runs calls in threads of this process. No lock of the store is held while one runs."""

    def __init__(self, modules: Modules, buckets: Buckets, admission: NearAdmission) -> None:
        """Run what comes on `buckets`, as far as it is let in, with the `modules` that it comes with."""
        self._modules = modules
        self._buckets = buckets
        self._admission = admission

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
        with self._admission.entered() as why_not:
            if why_not:
                return NearRefused(why_not, is_busy=True)
            place = CallReach(told.bucket, self._buckets)
            return run_near(load(path, told.module), told, place)

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | NearRefused | None:
        """Choose lines of a key, or refuse to, as a call is; None where the key isn't there."""
        with self._admission.entered() as why_not:
            if why_not:
                return NearRefused(why_not, is_busy=True)
            return self._buckets.select(bucket, key, selection)
