"""The process that has imported an app and turns JSON into its values and back, for a gateway that does neither.

It answers one message after the other, in order. Whatever the author's code does while it is imported, or while values
are made and read, it does here.
"""

from __future__ import annotations

import os
import signal
import sys
from types import ModuleType
from typing import Any

import msgspec

from weftrun.guest import isolation, kernel
from weftrun.guest.code import load_code
from weftrun.model.errors import UsageError, WeftrunError
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import Bundle
from weftrun.model.telling import asked, bounded, short_name_of, text_of, writable
from weftrun.model.translation import (
    AppLoaded,
    Bind,
    Bound,
    Described,
    FromTranslator,
    LoadApp,
    Refused,
    Render,
    Rendered,
    ToTranslator,
)
from weftrun.model.values import Data, Inline, Tree
from weftrun.sdk.codec import decode_tree, preview
from weftrun.sdk.function import Function
from weftrun.sdk.json_values import bind_json, json_schema, value_as_json
from weftrun.sdk.tracebacks import authors_traceback
from weftrun.wire.channel import Channel, unix_socket
from weftrun.wire.frames import FrameTooLarge
from weftrun.wire.program import uncover

_TEXT_BYTES_MAX = DEFAULT_LIMITS.error_text_bytes_max


def main() -> None:
    """Answer what comes over the socket whose descriptor, with the parent's pid, is among the arguments."""
    descriptor, parent = (int(argument) for argument in sys.argv[1:3])
    uncover()
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    kernel.no_new_privileges()
    isolation.stay_alive_on_interrupt()
    channel: Channel[ToTranslator] = Channel(
        unix_socket(descriptor), ToTranslator, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max
    )
    translator = _Translator()
    while (received := channel.receive()) is not None:
        for message, _ in received:
            try:
                channel.queue(translator.answer(message))
            except FrameTooLarge as error:
                channel.queue(Refused(str(error)))
        channel.flush()


class _Translator:
    def __init__(self) -> None:
        self._functions: dict[str, Function[..., object]] = {}

    def answer(self, message: ToTranslator) -> FromTranslator:
        """Do what is asked for; what the author's code raises is told."""
        try:
            match message:
                case LoadApp(bundle):
                    return self._load(bundle)
                case Bind():
                    return self._bind(message)
                case Render(tree):
                    return _rendered(tree)
        except BaseException as error:  # noqa: BLE001  # the author's code, which may raise anything
            if isinstance(message, LoadApp):
                return AppLoaded(failure=_told(authors_traceback(error).rstrip()))
            text = str(error) if isinstance(error, WeftrunError) else f"{short_name_of(type(error))}: {text_of(error)}"
            return Refused(_told(text))

    def _load(self, bundle: Bundle) -> AppLoaded:
        load_code(bundle)
        module = sys.modules.get(bundle.module)
        self._functions = functions_of(module) if module is not None else {}
        return AppLoaded(tuple(_described(name, function) for name, function in self._functions.items()))

    def _bind(self, message: Bind) -> Bound:
        function = self._functions.get(message.function)
        if function is None:
            raise UsageError(f"There is no Function {message.function!r} in the app.")
        args, kwargs = bind_json(function, message.arguments)
        function.signature.check(args, kwargs)
        encoded = function.signature.encode(args, kwargs, refs=False).tobytes()
        if not message.has_id:
            return Bound(encoded)
        all_ways = len(encoded) <= DEFAULT_LIMITS.inline_bytes_max
        digests = function.signature.digests(args, kwargs, all_ways=all_ways)
        return Bound(encoded, digests, "" if digests else function.signature.why_not_compared(args, kwargs))


def functions_of(module: ModuleType) -> dict[str, Function[..., object]]:
    """Return the Functions that a module defines itself, by their names in it."""
    return {
        name: found
        for name, found in vars(module).items()
        if isinstance(found, Function) and getattr(found.callable, "__module__", None) == module.__name__
    }


def _described(name: str, function: Function[..., object]) -> Described:
    text = asked(lambda: str(function.callable.__doc__ or ""), "")
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    anything: dict[str, Any] = {}
    schema = msgspec.json.encode(asked(lambda: json_schema(function), anything))
    return Described(name, function.spec, _told(paragraph), schema, function.durable)


def _rendered(tree: Tree) -> Rendered:
    value = decode_tree(tree, _inline)
    if isinstance(value, bytes | bytearray | memoryview):
        return Rendered(b"", preview(value, DEFAULT_LIMITS.preview_bytes_max), bytes(value))
    text = value_as_json(value)
    if text is not None:
        return Rendered(text.encode())
    return Rendered(b"", preview(value, DEFAULT_LIMITS.preview_bytes_max))


def _inline(data: Data) -> bytes:
    if not isinstance(data, Inline):
        raise TypeError("a translator is given inline data only")
    return data.data


def _told(text: str) -> str:
    return writable(bounded(text, _TEXT_BYTES_MAX))
