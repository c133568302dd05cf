"""Starts that wait for room, and are let in or refused: `machines.admission` with a clock and with callers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable

from weftrun.adapters.sqlite.gateway import GatewayFile
from weftrun.entrypoints.http.problems import Refusal
from weftrun.machines.admission import Admission
from weftrun.model.policy import FunctionSpec
from weftrun.model.quotas import RUN_BYTES, QuotaRefused

_WAITS_S = 30.0
"""A start waits for room for so long at most, in seconds; then its caller is asked to come again."""
_LOOK_S = 0.005
"""Changed quotas are looked for so often at most, in seconds: it is a read of the file, on the way of each start."""


class Admitting:
    """Lets starts in, in the loop of the server.

    Attributes:
        admission: what decides.
    """

    def __init__(self, file: GatewayFile, at_once: int | None) -> None:
        """Read the quotas there are."""
        self._file = file
        self._version, self._looks_at = file.version(), 0.0
        self.admission = Admission(file.quotas(), at_once)
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._is_closing = False

    async def admit(self, tenant: str, function: FunctionSpec) -> Callable[[], None]:
        """Return once a start may go on, with what is to be called when its Run has ended.

        Raises:
            Refusal: 429 where the tenant has asked for too much, 503 where the server goes down.
        """
        self._look()
        if not self.admission.is_on:
            return free
        number = next(self._numbers)
        asked = self.admission.ask(number, tenant, function.memory_bytes_max or RUN_BYTES, self._loop.time())
        if isinstance(asked, QuotaRefused):
            raise _refusal(asked)
        if not asked:
            await self._wait(number)

        return lambda: self._ended(number)

    def _look(self) -> None:
        """See quotas that were changed: starts that come together look once."""
        now = self._loop.time()
        if now < self._looks_at:
            return
        self._looks_at = now + _LOOK_S
        version = self._file.version()
        if version != self._version:
            self._version = version
            self._let_in(self.admission.change(self._file.quotas()))

    async def _wait(self, number: int) -> None:
        future = self._waiting[number] = self._loop.create_future()
        with contextlib.ExitStack() as undo:
            undo.callback(self._ended, number)
            try:
                if self._is_closing:
                    raise _closing()
                async with asyncio.timeout(_WAITS_S):
                    await future
            except TimeoutError:
                detail = f"There was no room for one more Run for {_WAITS_S:.0f} s."
                raise _refusal(QuotaRefused("queue", detail, 1.0)) from None
            finally:
                del self._waiting[number]
            undo.pop_all()

    def _ended(self, number: int) -> None:
        self._let_in(self.admission.end(number))

    def _let_in(self, numbers: list[int]) -> None:
        for number in numbers:
            future = self._waiting.get(number)
            if future is None or future.done():  # its caller has gone meanwhile
                self._ended(number)
            else:
                future.set_result(None)

    def let_go(self) -> None:
        """Answer whoever waits that the server goes down."""
        self._is_closing = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_closing())


def _closing() -> Refusal:
    return Refusal(503, "unavailable", "The gateway goes down.", headers={"Retry-After": "1"})


def _refusal(refused: QuotaRefused) -> Refusal:
    headers = {"Retry-After": str(math.ceil(refused.retry_after_s))} if refused.retry_after_s else {}
    return Refusal(429, f"quota-{refused.kind}", refused.detail, headers=headers)


def free() -> None:
    """Do nothing: nobody counts the Run that has ended."""
