"""Looking at values for people: which part of one is at fault, and a short preview.

All are bounded: a look at a value must cost less than the value did.
"""

from __future__ import annotations

import pickle
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from msgspec import json

from weftrun.model.telling import asked, short_name_of, text_of, writable

_DEPTH = 12
_PARTS = 2_000
_SHOWN = 20
_PLAIN = frozenset({int, float, bool, str, bytes, type(None)})
_JSON_PARTS = 50
_JSON_DEPTH = 4
_PLAIN_INT = 1 << 60
_INT_BITS_MAX = 1_000
_JSON_WORDS: Final = {None: "null", True: "true", False: "false"}

# ---------------------------------------------------------------------- what can't be pickled


def with_article(value: object) -> str:
    """Return the name of a value's type as a sentence has it: `a socket`, `an int`."""
    kind = short_name_of(type(value))
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def first_unpicklable(value: object, what: str, error: BaseException) -> str:
    """Return the sentence that names the innermost part of `value` that can't be pickled."""
    path, part = asked(lambda: innermost(value, _pickles), ("", value))
    subject = what[:1].upper() + what[1:]
    if path:
        return f"{subject} holds {with_article(part)} at {_root(what)}{writable(path)} and can't be pickled."
    why = text_of(error) if isinstance(error, Exception) else f"that raises {short_name_of(type(error))}"
    return f"{subject} is {with_article(part)} and can't be pickled: {writable(why)}."


def _root(what: str) -> str:
    """Return the word that a path starts with: `result` for `the result of load`, `paths` for `argument paths of f`."""
    words = what.removeprefix("the ").split(" ")
    return words[1] if words[0] == "argument" and len(words) > 1 else words[0]


def innermost(value: object, is_fine: Callable[[object], bool]) -> tuple[str, object]:
    """Return the innermost part of a value that is not fine, and how to get at it."""
    path = ""
    seen: set[int] = set()
    while len(seen) < _DEPTH:
        seen.add(id(value))
        found = next(((step, part) for step, part in islice(_parts(value), _PARTS) if not is_fine(part)), None)
        if found is None or id(found[1]) in seen:
            break
        path, value = path + found[0], found[1]
    return path, value


def _pickles(value: object) -> bool:
    if type(value) in _PLAIN:
        return True
    try:
        cloudpickle = sys.modules.get("cloudpickle")  # the fallback has loaded it by now
        (cloudpickle or pickle).dumps(value, 5, buffer_callback=lambda _: None)
    except BaseException:  # noqa: BLE001  # pickling runs the author's code, which may raise anything
        return False
    return True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """Yield the parts of a value with how to get at them."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"[{key!r}]", part
        for key in value:
            yield "[a key]", key
    elif isinstance(value, list | tuple | set | frozenset):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, type):
        for name, part in vars(value).items():
            yield f".{name}", part


# ---------------------------------------------------------------------- preview


class _Bounded(reprlib.Repr):
    """A `repr` that looks at a few parts only, and never sorts or prints a large value to cut it afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 400
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = _SHOWN

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        bits = x.bit_length()
        return repr(x) if bits < _INT_BITS_MAX else f"<int of {bits:,} bits>"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        parts = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in islice(x.items(), _SHOWN)]
        return self._joined("{", parts, "}", len(x)) if level > 0 else "{...}"

    def repr_set(self, x: set[Any], level: int) -> str:
        return self._joined("{", self._few(x, level), "}", len(x)) if x else "set()"

    def repr_frozenset(self, x: frozenset[Any], level: int) -> str:
        return self._joined("frozenset({", self._few(x, level), "})", len(x)) if x else "frozenset()"

    def repr_instance(self, x: Any, level: int) -> str:
        kind = type(x)
        name = short_name_of(kind)
        if isinstance(x, bytes | bytearray | memoryview):
            return f"<{name} of {memoryview(x).nbytes:,} bytes>" if len(x) > self.maxother else repr(x)
        if kind.__module__.partition(".")[0] == "numpy" and hasattr(x, "shape") and hasattr(x, "dtype"):
            return f"<array {x.dtype} {'×'.join(map(str, x.shape))}>" if x.shape else repr(x)
        if isinstance(x, dict):
            return f"{name}({self.repr_dict(x, level)})"
        if isinstance(x, list | tuple | set | frozenset):
            return self._joined(f"{name}(", self._few(x, level), ")", len(x))
        if hasattr(kind, "__dataclass_fields__"):
            fields = [f"{f}={self.repr1(getattr(x, f, None), level - 1)}" for f in kind.__dataclass_fields__]
            return self._joined(f"{name}(", fields, ")", len(fields)) if level > 0 else f"{name}(...)"
        return self._authors(x, name)

    def _authors(self, x: object, name: str) -> str:
        text = asked(lambda: repr(x), None)
        if text is None:
            return f"<{name}>"
        return text if len(text) <= self.maxother else text[: self.maxother] + "..."

    def _few(self, x: Iterable[Any], level: int) -> list[str]:
        return [self.repr1(part, level - 1) for part in islice(x, _SHOWN)] if level > 0 else []

    def _joined(self, begin: str, parts: list[str], end: str, count: int) -> str:
        return begin + ", ".join(parts + (["..."] if count > len(parts) else [])) + end


_BOUNDED = _Bounded()


def preview(value: object, bytes_max: int) -> str:
    """Return a short text of a value: JSON where it is small and JSON, else a bounded `repr`."""
    try:
        if type(value) is float or (type(value) is int and -_PLAIN_INT < value < _PLAIN_INT):
            return repr(value)
        if value is None or value is True or value is False:
            return _JSON_WORDS[value]
        if isinstance(value, str):
            text = _json(value[:bytes_max])
        elif isinstance(value, list | tuple | dict) and _is_small_json(value, 0):
            text = json.format(_json(value), indent=0)
        else:
            text = _BOUNDED.repr(value)
    except BaseException:  # noqa: BLE001  # `repr` is the author's code, which may raise anything
        text = asked(lambda: _BOUNDED.repr(value), "") or f"<{short_name_of(type(value))}>"
    return _cut(text, bytes_max)


def _json(value: Any) -> str:
    return json.encode(value).decode()


def _cut(text: str, bytes_max: int) -> str:
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) > bytes_max:
        return raw[: bytes_max - 3].decode("utf-8", "ignore") + "…"
    return raw.decode("utf-8")


def _is_small_json(value: Any, depth: int) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, float):
        return value - value == 0  # JSON has no infinities and no NaN
    if isinstance(value, int):
        return value.bit_length() < 64
    if isinstance(value, str):
        return len(value) <= 1_000
    if depth > _JSON_DEPTH or not isinstance(value, list | tuple | dict) or len(value) > _JSON_PARTS:
        return False
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_small_json(v, depth + 1) for k, v in value.items())
    return all(_is_small_json(part, depth + 1) for part in value)
