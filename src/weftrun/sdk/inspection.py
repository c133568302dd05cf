"""Looking at values for people: what in one can't be pickled, its digest where it has one, a short preview."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import reprlib
import struct
import sys
from collections.abc import Iterator
from typing import Any

_DEPTH = 12
_PARTS = 2_000
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 400
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = 20
_PLAIN = (int, float, bool, type(None))


def first_unpicklable(value: object, what: str, error: BaseException) -> str:
    """Return the sentence that names the innermost part of `value` that can't be pickled."""
    path, part = _innermost(value, "", 0)
    root = what.removeprefix("the ").split(" ")[0]
    where = f" at {root}{path}" if path else ""
    kind = type(part).__qualname__
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    subject = what[:1].upper() + what[1:]
    if path:
        return f"{subject} holds {article} {kind}{where} and can't be pickled."
    return f"{subject} is {article} {kind} and can't be pickled: {error}"


def _innermost(value: object, path: str, depth: int) -> tuple[str, object]:
    if depth < _DEPTH:
        for step, part in _parts(value):
            if not _pickles(part):
                return _innermost(part, path + step, depth + 1)
    return path, value


def _pickles(value: object) -> bool:
    try:
        cloudpickle = sys.modules.get("cloudpickle")
        (cloudpickle or pickle).dumps(value, 5)
    except Exception:  # pickling runs the author's code, which may raise anything
        return False
    return True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """Yield the parts of a value with how to get at them."""
    if isinstance(value, dict):
        for count, (key, part) in enumerate(value.items()):
            if count == _PARTS:
                return
            yield f"[{key!r}]", part
    elif isinstance(value, list | tuple | set | frozenset):
        for index, part in enumerate(value):
            if index == _PARTS:
                return
            yield f"[{index}]", part
    elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, type):
        for name, part in vars(value).items():
            yield f".{name}", part


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical encoding, or nothing where none exists (rule N2).

    Canonical are None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset, dataclasses and ndarrays of
    these: equal values have equal digests, in every process.
    """
    hasher = hashlib.sha256()
    try:
        _feed(hasher, value, 0)
    except _NotCanonicalError:
        return ""
    return hasher.hexdigest()


class _NotCanonicalError(Exception):
    pass


def _feed(hasher: Any, value: Any, depth: int) -> None:
    kind = type(value)
    if depth > 100:
        raise _NotCanonicalError
    if value is None or kind is bool or kind is int:
        hasher.update(b"i" + repr(value).encode() + b";")
    elif kind is float:
        hasher.update(b"f" + struct.pack("<d", value))
    elif kind is str or kind is bytes:
        raw = value.encode("utf-8", "surrogatepass") if kind is str else value
        hasher.update((b"s" if kind is str else b"b") + len(raw).to_bytes(8, "little") + raw)
    elif kind is list or kind is tuple:
        hasher.update((b"l" if kind is list else b"t") + len(value).to_bytes(8, "little"))
        for part in value:
            _feed(hasher, part, depth + 1)
    elif kind is dict or kind is set or kind is frozenset:
        _feed_unordered(hasher, value, kind, depth)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        hasher.update(b"D" + f"{kind.__module__}:{kind.__qualname__}".encode() + b";")
        for field in dataclasses.fields(value):
            _feed(hasher, field.name, depth + 1)
            _feed(hasher, getattr(value, field.name), depth + 1)
    elif kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not value.dtype.hasobject:
        hasher.update(f"N{value.dtype.str}{value.shape};".encode())
        hasher.update(value.tobytes())
    else:
        raise _NotCanonicalError


def _feed_unordered(hasher: Any, value: Any, kind: type, depth: int) -> None:
    """Order the parts of a dict or a set by their own digests."""
    parts = []
    for part in value.items() if kind is dict else value:
        inner = hashlib.sha256()
        _feed(inner, part, depth + 1)
        parts.append(inner.digest())
    hasher.update((b"d" if kind is dict else b"e") + len(parts).to_bytes(8, "little") + b"".join(sorted(parts)))


def preview(value: object, bytes_max: int) -> str:
    """Return a short text of a value: JSON where it is small and JSON, else a bounded `repr`."""
    if isinstance(value, _PLAIN):
        return json.dumps(value) if value is None or value is True or value is False else repr(value)
    try:
        if isinstance(value, str):
            text = json.dumps(value[:bytes_max], ensure_ascii=False)
        elif isinstance(value, list | tuple | dict) and len(value) <= 50 and _is_small_json(value, 0):
            text = json.dumps(value, ensure_ascii=False)
        elif type(value).__module__ == "numpy" and hasattr(value, "shape") and hasattr(value, "dtype"):
            text = f"<array {value.dtype} {'×'.join(map(str, value.shape)) or 'scalar'}>"
        else:
            text = _REPR.repr(value)
    except Exception:  # `repr` is the author's code, which may raise anything
        text = f"<{type(value).__qualname__}>"
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= bytes_max else raw[: bytes_max - 3].decode("utf-8", "ignore") + "…"


def _is_small_json(value: Any, depth: int) -> bool:
    if value is None or isinstance(value, bool | int | float):
        return True
    if isinstance(value, str):
        return len(value) <= 1_000
    if depth > 4:
        return False
    if isinstance(value, list | tuple):
        return len(value) <= 50 and all(_is_small_json(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return len(value) <= 50 and all(isinstance(k, str) and _is_small_json(v, depth + 1) for k, v in value.items())
    return False
