"""A Sandbox at a storage role: it gives up all that Functions have no need of, imports their code, and calls them.

What they use of the key that they are beside is asked of the storage role, over the only socket that there is.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from weftrun.guest import isolation, kernel, strict
from weftrun.guest.by_value import GivenModules
from weftrun.model.beside import (
    BesideAsks,
    BesideLoad,
    BesideLoaded,
    FromBeside,
    KeyTold,
    PythonCall,
    PythonDone,
    PythonRaised,
    ToBeside,
)
from weftrun.model.errors import LimitExceeded
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.near import NearRefused
from weftrun.model.telling import bounded, short_name_of, text_of, writable
from weftrun.sdk import place
from weftrun.sdk.codec import decode, encode
from weftrun.sdk.failure import failure_of
from weftrun.sdk.function import Function
from weftrun.sdk.home import RUN_AS
from weftrun.sdk.near import body_of, refuse_to_move
from weftrun.sdk.near_key import NearKey
from weftrun.wire.channel import Channel, unix_socket
from weftrun.wire.frames import FrameTooLarge
from weftrun.wire.memfd import map_private
from weftrun.wire.text import BoundedText

_TEXT_BYTES: Final = 1 << 20
_ERROR_BYTES: Final = DEFAULT_LIMITS.error_text_bytes_max
_NO_EMITS: Final = (
    "current().emit(...) beside the data: a message stands in the record of an outcome, which is made by the caller. "
    "Emit from a Function without `near`."
)


def main() -> None:
    """Answer what comes over the socket whose descriptor, with the parent's pid, is among the arguments."""
    descriptor, parent = (int(argument) for argument in sys.argv[1:3])
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    isolation.stay_alive_on_interrupt()
    channel: Channel[ToBeside] = Channel(
        unix_socket(descriptor), ToBeside, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max
    )
    place.sandboxed.serves = True
    refuse_to_move()
    sandbox = _Sandbox(channel)
    while (received := channel.receive()) is not None:
        for message, _ in received:
            answer = sandbox.answer(message)
            try:
                channel.queue(answer)
            except FrameTooLarge as error:
                channel.queue(sandbox.too_large(str(error)))
            channel.flush()


class _Sandbox:
    def __init__(self, channel: Channel[ToBeside]) -> None:
        self._channel = channel
        self._printed = BoundedText(_TEXT_BYTES)
        sys.stdout = sys.stderr = io.TextIOWrapper(
            _Printed(self._printed), encoding="utf-8", errors="backslashreplace", write_through=True
        )
        self._call: PythonCall | None = None
        self._began = 0.0

    def answer(self, message: ToBeside) -> FromBeside:
        """Do what is asked for; what the author's code raises is told."""
        if isinstance(message, KeyTold):
            return NearRefused("nothing was asked of the key")
        self._began = 0.0
        try:
            return self._loaded(message) if isinstance(message, BesideLoad) else self._entered(message.call)
        except BaseException as error:  # noqa: BLE001  # the author's code, which may raise anything
            if isinstance(message, BesideLoad):
                return BesideLoaded(_told(error))
            if not self._began:
                return NearRefused(f"it can't be entered there: {_told(error)}")
            return self._raised(message.call, error)

    def _loaded(self, told: BesideLoad) -> BesideLoaded:
        why_not = strict.why_not()
        if why_not:
            return BesideLoaded(f"the storage role can't shut a Sandbox in: {why_not}")
        strict.enter((), network=False, store_folder="")
        GivenModules(told.code.modules).install()
        importlib.import_module(told.module)
        sys.modules.update(dict.fromkeys(RUN_AS, sys.modules[told.module]))
        return BesideLoaded()

    def _entered(self, call: PythonCall) -> PythonDone:
        """Find a function, read what it is given, and call it."""
        self._call = call
        self._printed.take()
        current = place.Current(call.run_id, call.run_uid, call.step, call.attempt)
        place.no_emits(current, _NO_EMITS)
        current.is_near(NearKey(call.bucket, call.key, _KeyByAsking(self._channel)))
        token = place.enter(current)
        try:
            body = _found(call)
            args, kwargs = decode(call.arguments)
            self._began = time.perf_counter()
            value = encode(body(*args, **kwargs), what=f"the value of {call.step}").tobytes()
        finally:
            place.leave(token)
        ran_s = time.perf_counter() - self._began
        return PythonDone(value, writable(self._printed.take()), current.notes, ran_s)

    def _raised(self, call: PythonCall, error: BaseException) -> PythonRaised:
        failure = failure_of(error, origin=call.step, attempt=call.attempt, attempts=1, bytes_max=_ERROR_BYTES)
        return PythonRaised(failure, writable(self._printed.take()))

    def too_large(self, why: str) -> PythonRaised:
        """Return what to answer where the value can't be sent."""
        assert self._call is not None
        return self._raised(self._call, LimitExceeded(why))


def _found(call: PythonCall) -> Callable[..., Any]:
    found: Any = sys.modules[call.module]
    for part in call.function.split("."):
        found = getattr(found, part)
    body = body_of(found) if isinstance(found, Function) else None
    if body is None:
        raise LookupError(f"{call.function} is no Function with `near`")
    return body


class _KeyByAsking:
    """The key, as the storage role tells it."""

    def __init__(self, channel: Channel[ToBeside]) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def nbytes(self) -> int:
        """Return how long the value is; -1 where the key isn't there."""
        return self._asked(BesideAsks("stat"))[0].nbytes

    def read(self, offset: int, nbytes: int) -> memoryview | None:
        """Return bytes of the value; None where the key isn't there."""
        told, memory = self._asked(BesideAsks("read", offset, nbytes))
        if told.nbytes < 0:
            return None
        return memory if memory is not None else memoryview(told.data)

    def write(self, data: bytes) -> None:
        """Set the value."""
        self._asked(BesideAsks("write", data=data))

    def _asked(self, asked: BesideAsks) -> tuple[KeyTold, memoryview | None]:
        with self._lock:
            self._channel.send(asked)
            received = self._channel.receive()
            while received is not None and not received:
                received = self._channel.receive()
            if received is None:
                os._exit(0)
        told, descriptors = received[0]
        assert isinstance(told, KeyTold)
        if told.failed:
            raise (ConnectionError if told.again else ValueError)(told.failed)
        if not descriptors:
            return told, None
        try:
            return told, memoryview(map_private(descriptors[0], told.nbytes))
        finally:
            os.close(descriptors[0])


class _Printed(io.RawIOBase):
    """Takes what is printed."""

    def __init__(self, into: BoundedText) -> None:
        super().__init__()
        self._into = into

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._into.add(view)
        return len(view)


def _told(error: BaseException) -> str:
    return writable(bounded(f"{short_name_of(type(error))}: {text_of(error)}", _ERROR_BYTES))
