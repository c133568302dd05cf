"""Time and signals of a local run: time passes at once, and signals come from the test that runs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from typing import Any

from weftrun.model.errors import StepTimedOut, UsageError
from weftrun.model.policy import SIGNALS, FunctionSpec, Kind
from weftrun.sdk import clock
from weftrun.sdk.codec import decode, encode

_sent: ContextVar[dict[str, deque[Any]] | None] = ContextVar("weftrun_signals", default=None)


def send(signals: Mapping[str, Sequence[Any]]) -> Token[dict[str, deque[Any]] | None]:
    """Let local runs of this context find these signals, by name, in order."""
    return _sent.set({name: deque(values) for name, values in signals.items()})


def take_back(token: Token[dict[str, deque[Any]] | None]) -> None:
    """Undo a `send`."""
    _sent.reset(token)


class LocalOutside:
    """What one local run sees of time and signals."""

    __slots__ = ("_ahead_s",)

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> float:
        """Return the time, in seconds since the epoch, with all that was waited for."""
        return clock.seconds() + self._ahead_s

    @staticmethod
    def has(spec: FunctionSpec) -> bool:
        """Say whether a signal that is waited for has been sent."""
        return spec.kind is Kind.SIGNAL and bool((_sent.get() or {}).get(spec.name.removeprefix(SIGNALS)))

    def wait(self, spec: FunctionSpec, since: float) -> Any:
        """Return what a wait ends with that was begun at `since`; nothing is really waited for.

        Raises:
            StepTimedOut: no such signal is there, and the wait has a timeout.
            UsageError: none is there, and it has none.
        """
        if spec.kind is Kind.TIMER:
            self._pass(since, spec)
            return None
        name = spec.name.removeprefix(SIGNALS)
        sent = (_sent.get() or {}).get(name)
        if sent:
            return decode(encode(sent.popleft(), what=f"the signal {name!r}").tobytes())
        if spec.timeout_s is None:
            raise UsageError(
                f"This workflow waits for the signal {name!r}, and runs here, without an engine: nobody sends it. "
                f"Give it by `with weftrun.testing.signals.signals({name}=[...])`, or start it with `engine.start`."
            )
        self._pass(since, spec)
        raise StepTimedOut(f"no signal {name!r} came within {spec.timeout_s:g} s")

    def _pass(self, since: float, spec: FunctionSpec) -> None:
        assert spec.timeout_s is not None
        self._ahead_s += max(0.0, since + spec.timeout_s - self.now())
