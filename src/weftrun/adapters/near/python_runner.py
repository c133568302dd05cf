"""Python Functions that come to their data: kept code, and Sandboxes that are used again by calls of the same code."""

from __future__ import annotations

import platform
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from weftrun.adapters.near.admission import NearAdmission
from weftrun.adapters.near.key import KeyOfCall
from weftrun.adapters.near.sandbox import BesideSandbox, NotLoaded, refused_to_load
from weftrun.model.beside import PythonAnswer, PythonCall, PythonCode, PythonDone
from weftrun.model.near import NearRefused
from weftrun.ports.buckets import Buckets
from weftrun.wire.near import digest_of, python_code_decoder

CODE_BYTES_MAX: Final = 4 << 20
_CODES_MAX: Final = 64
PYTHON: Final = ".".join(platform.python_version_tuple()[:2])
_Whose = tuple[str, str, str, str]
"""Who asks, code, its module and bucket: only calls that have all of it in common use one Sandbox after the other."""


class PythonRunner:
    """Runs Python Functions beside their keys, each in a Sandbox. What they are given is never read in this process."""

    def __init__(self, buckets: Buckets, admission: NearAdmission) -> None:
        """Run what comes on `buckets`, as far as it is let in."""
        self._buckets = buckets
        self._admission = admission
        self._lock = threading.Lock()
        self._codes: OrderedDict[str, PythonCode] = OrderedDict()
        self._idle: list[tuple[_Whose, BesideSandbox]] = []
        self._starting = ThreadPoolExecutor(1, "weftrun-beside")
        """Sandboxes end with the thread that has started them, so one starts all."""

    def keep(self, content: bytes, digest: str) -> None:
        """Keep code that calls come with; what was not used for longest is forgotten.

        Raises:
            ValueError: it is none, is too large, or has another digest.
        """
        if len(content) > CODE_BYTES_MAX:
            raise ValueError(f"Code of {len(content):,} bytes is too much; it has at most {CODE_BYTES_MAX:,}.")
        if digest_of(content) != digest:
            raise ValueError("The code has another SHA-256 than its address says.")
        try:
            code = python_code_decoder.decode(content)
        except msgspec.MsgspecError as error:
            raise ValueError(f"This is no code of Python: {error}") from None
        with self._lock:
            self._codes[digest] = code
            while len(self._codes) > _CODES_MAX:
                self._codes.popitem(last=False)

    def run(self, told: PythonCall, asked_by: str) -> PythonAnswer:
        """Run a call, or refuse it with a reason.

        Args:
            told: which function, and beside which key.
            asked_by: whoever asks; nobody else's calls share a Sandbox with theirs.
        """
        if told.python != PYTHON:
            return NearRefused(f"Python {PYTHON} is there, not {told.python}", for_good=True)
        with self._lock:
            code = self._codes.get(told.code)
            if code is None:
                return NearRefused("the code is not known there", wants_module=True)
            self._codes.move_to_end(told.code)
        if self._buckets.stat(told.bucket, told.key) is None:
            return NearRefused(f"the key {told.key!r} is not there")
        with self._admission.entered() as why_not:
            if why_not:
                return NearRefused(why_not, is_busy=True)
            return self._run(told, code, (asked_by, told.code, told.module, told.bucket))

    def close(self) -> None:
        """End all Sandboxes that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, sandbox in idle:
            sandbox.close()
        self._starting.shutdown()

    def _run(self, told: PythonCall, code: PythonCode, whose: _Whose) -> PythonAnswer:
        sandbox = self._taken(whose)
        is_first = sandbox is None
        if sandbox is None:
            try:
                sandbox = self._starting.submit(BesideSandbox, code, told.module).result()
            except NotLoaded as error:
                return refused_to_load(str(error))
        key = KeyOfCall(self._buckets, told.bucket, told.key, told.effects)
        answer = sandbox.call(told, key)
        if sandbox.is_alive:
            self._give_back(whose, sandbox)
        if isinstance(answer, PythonDone):
            return msgspec.structs.replace(answer, read_bytes=key.read_bytes, is_first=is_first)
        return answer

    def _taken(self, whose: _Whose) -> BesideSandbox | None:
        with self._lock:
            for at in reversed(range(len(self._idle))):
                if self._idle[at][0] == whose:
                    return self._idle.pop(at)[1]
        return None

    def _give_back(self, whose: _Whose, sandbox: BesideSandbox) -> None:
        """Keep as many as there are slots, the newest ones."""
        with self._lock:
            self._idle.append((whose, sandbox))
            over = self._idle.pop(0)[1] if len(self._idle) > max(1, self._admission.slots) else None
        if over is not None:
            over.close()
