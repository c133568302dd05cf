"""The way of a Python Function to its key: beside it or here, what both have cost, and how it goes there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from weftrun.adapters.buckets.opened import buckets_of
from weftrun.adapters.near.costs import NearChoice, costs_of
from weftrun.adapters.near.key import KeyOfCall
from weftrun.model.beside import PythonAnswer, PythonCall, PythonDone
from weftrun.model.near import NearRefused
from weftrun.model.wasm import Near
from weftrun.ports.near import Measured, Offload

_SLACK_S: Final = 35.0
"""How much longer a call may take than its body: a Sandbox may have to be made for it."""
_REASONS_MAX: Final = 10_000
_never: dict[tuple[str, str], str] = {}
"""Why functions can't run beside the data of a place; once that was said, nobody asks again in this process."""


class NearTrip:
    """One call of a function, and its way to the key that it is near.

    Attributes:
        key: as it is used from here.
    """

    def __init__(self, where: str, function: str, bucket: str, key: str, effects: str) -> None:
        """Begin one.

        Args:
            where: a folder, the URL of a storage role, or a store.
            function: a name for its code and itself.
            bucket: of the key.
            key: that it is near.
            effects: key of its Step.
        """
        self._began = time.perf_counter()
        self._where, self._function = where, function
        held: object = buckets_of(where)
        self._offload = held if isinstance(held, Offload) else None
        self.key = KeyOfCall(buckets_of(where), bucket, key, effects)

    @property
    def took_s(self) -> float:
        """How long it has taken so far, in seconds."""
        return time.perf_counter() - self._began

    @property
    def here_bytes(self) -> int:
        """How many bytes of the key came over a link to be read here."""
        return self.key.read_bytes if self._offload is not None else 0

    def choose(self, near: Near) -> NearChoice:
        """Choose whether it runs beside its key or here."""
        if near == "forbid":
            return NearChoice("here", "forbidden")
        if self._offload is None:
            far = "://" in self._where
            return NearChoice(
                "here", "no storage role is beside the bucket" if far else "the bucket is kept on this host"
            )
        never = _never.get((self._where, self._function))
        if never is not None:
            return NearChoice("here", never)
        if near == "require":
            return NearChoice("near", "")
        return costs_of(self._where).choose((self._function, 0), self.key.name)

    def send(self, call: PythonCall, code: bytes) -> Measured[PythonAnswer]:
        """Let it run beside its key, or be refused there, and learn from that.

        Raises:
            BucketsUnreachable: there was no answer; it may have run.
        """
        assert self._offload is not None
        told = self._offload.run_python(call, code, call.time_s + _SLACK_S)
        costs, of = costs_of(self._where), (self._function, 0)
        match told.answer:
            case PythonDone(is_first=False) as done if not told.with_module:
                costs.was_near(
                    of, self.key.name, took_s=self.took_s, ran_s=done.ran_s,
                    moved_bytes=told.bytes_out + told.bytes_back, read_bytes=done.read_bytes,
                )  # fmt: skip
            case NearRefused(reason, for_good=True):
                if len(_never) >= _REASONS_MAX:
                    _never.clear()
                _never[self._where, self._function] = f"refused: {reason}"
            case NearRefused(is_busy=True):
                costs.was_refused(of, took_s=self.took_s)
            case _:
                pass
        return told

    @contextmanager
    def here(self) -> Iterator[None]:
        """Learn what it takes to run it here, which is done within."""
        began = time.perf_counter()
        yield
        key = self.key
        if self._offload is not None and key.read_bytes:
            costs_of(self._where).was_here(
                (self._function, 0), key.name, took_s=time.perf_counter() - began, waited_s=key.waited_s,
                moved_bytes=key.read_bytes, read_bytes=key.read_bytes,
            )  # fmt: skip
