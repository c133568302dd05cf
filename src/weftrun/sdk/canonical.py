"""The canonical encoding of values, and its digest: whether two starts, or two replays, were given the same (N2).

Two values have the same digest exactly if they are of the same types and Python calls them equal, in every process and
on every version of Python (a set and a frozenset are of one type here). So 1, 1.0 and True differ, `0.0` and `-0.0` do
not, a NaN is the same as itself, the order of a dict or a set does not count (that of an OrderedDict does), and
datetimes with a zone are compared by their instant. All Refs are alike: which they are is told beside the digest of a
call. What has no encoding has no digest; it is never guessed. Digests
are in Journals: bytes that a value has once do not change.
"""

from __future__ import annotations

import enum
import hashlib
import marshal
import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from msgspec import Struct

from weftrun.model.errors import recorded_module
from weftrun.sdk.home import import_name
from weftrun.sdk.inspection import innermost, with_article

_DEPTH_MAX = 100
_PLAIN_PARTS_MIN = 20
"""Sequences longer than this, and of one plain type, are encoded at once."""


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical encoding, or nothing where none exists (rule N2)."""
    hasher = hashlib.sha256()
    try:
        _feed(hasher, value, 0)
    except (Exception, SystemExit):  # noqa: BLE001  # equality and time zones may be the author's code
        return ""
    return hasher.hexdigest()


def why_not(value: object, name: str) -> str:
    """Return which part of a value, called `name`, keeps it from having a digest, as `conn.pool is a Pool`."""
    path, part = innermost(value, lambda part: bool(digest(part)))
    if type(part) in (list, tuple, dict) or hasattr(type(part), "__dataclass_fields__"):
        return f"{name}{path} is {with_article(part)} that holds itself, or is more than {_DEPTH_MAX} deep"
    return f"{name}{path} is {with_article(part)}"


class _NotCanonicalError(Exception):
    pass


def _feed(hasher: Any, value: Any, depth: int) -> None:
    kind = type(value)
    if depth > _DEPTH_MAX:
        raise _NotCanonicalError
    if value is None or kind is bool or kind is int:
        hasher.update(f"i{value!r};".encode() if kind is not int else b"i%x;" % value)
    elif kind is float:
        hasher.update(b"f" + struct.pack("<d", value or 0.0))  # 0.0 and -0.0 are equal
    elif kind is str or kind is bytes:
        raw = value.encode("utf-8", "surrogatepass") if kind is str else value
        hasher.update((b"s" if kind is str else b"b") + len(raw).to_bytes(8, "little") + raw)
    elif kind is list or kind is tuple:
        _feed_sequence(hasher, value, kind, depth)
    elif kind is dict or kind is set or kind is frozenset:
        _feed_unordered(hasher, value, kind, depth)
    elif kind.__module__ == "weftrun.sdk.ref":
        hasher.update(b"R;")
    elif hasattr(kind, "__dataclass_fields__"):
        _feed_dataclass(hasher, value, kind, depth)
    elif kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not value.dtype.hasobject:
        hasher.update(f"N{value.dtype.str}{value.shape};".encode())
        hasher.update(value.tobytes())
    else:
        name, parts = _opened(value, kind)
        raw = name.encode("utf-8", "surrogatepass")
        hasher.update(b"x" + len(raw).to_bytes(8, "little") + raw)
        _feed(hasher, parts, depth + 1)


def _feed_sequence(hasher: Any, value: Any, kind: type, depth: int) -> None:
    hasher.update((b"l" if kind is list else b"t") + len(value).to_bytes(8, "little"))
    if len(value) > _PLAIN_PARTS_MIN and set(map(type, value)) <= {int, str, bytes}:
        # Version 0 has no marks of sharing or interning: equal sequences give equal bytes, much sooner than one by one.
        hasher.update(b"m" + marshal.dumps(value, 0))
        return
    if len(value) > _PLAIN_PARTS_MIN and set(map(type, value)) == {float}:
        hasher.update(b"a" + array("d", [part + 0.0 for part in value]).tobytes())
        return
    for part in value:
        _feed(hasher, part, depth + 1)


def _feed_unordered(hasher: Any, value: Any, kind: type, depth: int) -> None:
    """Order the parts of a dict or a set by their own digests."""
    parts = []
    for part in value.items() if kind is dict else value:
        inner = hashlib.sha256()
        _feed(inner, part, depth + 1)
        parts.append(inner.digest())
    hasher.update((b"d" if kind is dict else b"e") + len(parts).to_bytes(8, "little") + b"".join(sorted(parts)))


def _feed_dataclass(hasher: Any, value: Any, kind: Any, depth: int) -> None:
    hasher.update(f"D{kind.__qualname__};".encode())  # not its module: a script's is `__main__` here and there not
    for name, field in kind.__dataclass_fields__.items():
        part = getattr(value, name, None)
        counts = field.compare and field._field_type.name == "_FIELD"
        if not counts and not digest(part):
            continue  # a lock, or a class's logger: Python does not compare it either
        _feed(hasher, name, depth + 1)
        _feed(hasher, part, depth + 1)


# ---------------------------------------------------------------------- what is made of parts


def _opened(value: Any, kind: Any) -> tuple[str, object]:
    """Return the name of a value's type and what makes it equal to another one, as a value that has an encoding."""
    known = _KNOWN.get(_key(kind))
    if known is not None:
        return _key(kind), known(value)
    if isinstance(value, enum.Enum):
        return f"enum {_named(kind)}", value._value_ if isinstance(value, enum.Flag) else value._name_
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        if "<" in value.__qualname__ or not value.__module__:
            raise _NotCanonicalError  # nobody finds it by this name again
        return "named", _named(value)
    if (fields := _fields(value, kind)) is not None:
        return f"fields {_named(kind)}", fields
    if "numpy" in sys.modules and (parts := _of_numpy(value, kind)) is not None:
        return parts
    return _subclass(value, kind)


def _key(kind: type) -> str:
    return f"{str(kind.__module__).partition('.')[0]}.{kind.__qualname__}"


def _named(kind: Any) -> str:
    is_error = isinstance(kind, type) and issubclass(kind, BaseException)
    return f"{import_name(recorded_module(kind) if is_error else kind.__module__)}.{kind.__qualname__}"


def _fields(value: Any, kind: Any) -> dict[str, object] | None:
    """Return the fields of an object whose class declares them: of attrs, Pydantic and msgspec."""
    if isinstance(value, Struct):
        return {name: getattr(value, name, None) for name in value.__struct_fields__}
    if hasattr(kind, "__attrs_attrs__"):
        compared = [attribute for attribute in kind.__attrs_attrs__ if attribute.eq]
        parts = {attribute.name: getattr(value, attribute.name, None) for attribute in compared}
        keys = {attribute.name: attribute.eq_key for attribute in compared if attribute.eq_key is not None}
        return parts | {name: key(parts[name]) for name, key in keys.items()}
    if hasattr(kind, "__pydantic_validator__"):
        fields = getattr(kind, "__pydantic_fields__", None)  # before Pydantic 2.10 it has another name
        parts = {name: getattr(value, name, None) for name in (fields if fields is not None else kind.model_fields)}
        return parts | {
            name: rest
            for name in ("__pydantic_private__", "__pydantic_extra__")
            if (rest := getattr(value, name, None))
        }
    if any(_key(base) == "pydantic.BaseModel" for base in kind.__mro__):
        return {name: getattr(value, name, None) for name in kind.__fields__}  # Pydantic 1
    return None


def _of_numpy(value: Any, kind: type) -> tuple[str, object] | None:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.generic):
        dtype = value.dtype
        if dtype.hasobject:
            raise _NotCanonicalError
        if dtype.kind == "V":
            return "numpy.void", (str(dtype), value.item())
        if dtype.char in "gG":  # its bytes have padding
            return "numpy.generic", (dtype.str, repr(value))
        return "numpy.generic", (dtype.str, (value + 0 if dtype.kind in "fc" else value).tobytes())
    if isinstance(value, numpy.dtype):
        return "numpy.dtype", repr(value)
    if kind is numpy.ndarray:  # of objects
        return "numpy.ndarray", (str(value.dtype), value.shape, value.tolist())
    if kind is numpy.memmap:
        return "numpy.memmap", numpy.asarray(value)
    return None


def _subclass(value: Any, kind: Any) -> tuple[str, object]:
    """Open an object by the class that its own derives from, if it adds neither state nor an equality of its own."""
    for place, base in enumerate(kind.__mro__):
        known = _KNOWN.get(_key(base))
        if known is None:
            continue
        added = getattr(value, "__dict__", None) or any(vars(own).get("__slots__") for own in kind.__mro__[:place])
        if added or kind.__eq__ is not base.__eq__:
            break
        return f"{_key(base)} {_named(kind)}", known(value)
    raise _NotCanonicalError


def _decimal(value: Any) -> object:
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if isinstance(exponent, str):  # infinite, or no number
        return sign, text, exponent
    bare = text.rstrip("0")
    return (sign, bare, exponent + len(text) - len(bare)) if bare else 0


def _instant(value: Any, days: int) -> object:
    """Return the microseconds of a datetime or a time; in UTC where it has a zone."""
    seconds = ((days * 24 + value.hour) * 60 + value.minute) * 60 + value.second
    offset = value.utcoffset()
    if offset is None:
        return False, seconds * 1_000_000 + value.microsecond
    seconds -= offset.days * 86_400 + offset.seconds
    return True, seconds * 1_000_000 + value.microsecond - offset.microseconds


def _zone(value: Any) -> object:
    if value.key is None:
        raise _NotCanonicalError  # it was read from a file, and has no name
    return value.key


def _range(value: range) -> object:
    return len(value), *value[:1], *((value.step,) if len(value) > 1 else ())


def _whole(value: Any) -> object:
    return str(value)


def _nothing(_value: Any) -> object:
    return None


def _windows_path(value: Any) -> object:
    return str(value).lower()


def _attributes(*names: str) -> Callable[[Any], object]:
    return lambda value: tuple(getattr(value, name) for name in names)


def _ipaddress() -> Iterator[str]:
    for version in ("4", "6"):
        for what in ("Address", "Network", "Interface"):
            yield f"ipaddress.IPv{version}{what}"


_KNOWN: Final[dict[str, Callable[[Any], object]]] = {
    # Those of the language are met here only as what another class derives from.
    "builtins.str": str.__str__,
    "builtins.bytes": lambda value: bytes.__getitem__(value, slice(None)),
    "builtins.int": int.__int__,
    "builtins.float": float.__float__,
    "builtins.tuple": lambda value: tuple.__getitem__(value, slice(None)),
    "builtins.list": lambda value: list.__getitem__(value, slice(None)),
    "builtins.dict": lambda value: dict(dict.items(value)),
    "builtins.set": lambda value: set(set.__iter__(value)),
    "builtins.frozenset": lambda value: frozenset(frozenset.__iter__(value)),
    "builtins.complex": _attributes("real", "imag"),
    "builtins.bytearray": bytes,
    "builtins.memoryview": lambda value: (value.format, value.shape, value.tobytes()),
    "builtins.range": _range,
    "builtins.slice": _attributes("start", "stop", "step"),
    "builtins.ellipsis": _nothing,
    "builtins.NotImplementedType": _nothing,
    "array.array": lambda value: (value.typecode, value.tolist()),
    "collections.Counter": lambda value: {key: count for key, count in dict.items(value) if count != 0},
    "collections.OrderedDict": lambda value: list(value.items()),
    "collections.UserDict": lambda value: value.data,
    "collections.UserList": lambda value: value.data,
    "collections.UserString": lambda value: value.data,
    "collections.defaultdict": lambda value: dict(dict.items(value)),
    "collections.deque": list,
    "datetime.date": lambda value: value.toordinal(),
    "datetime.datetime": lambda value: _instant(value, value.toordinal()),
    "datetime.time": lambda value: _instant(value, 0),
    "datetime.timedelta": _attributes("days", "seconds", "microseconds"),
    "datetime.timezone": lambda value: value.utcoffset(None),
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _attributes("numerator", "denominator"),
    **dict.fromkeys(_ipaddress(), _whole),
    "pathlib.Path": _whole,
    "pathlib.PosixPath": _whole,
    "pathlib.PurePosixPath": _whole,
    "pathlib.PurePath": _whole,
    "pathlib.PureWindowsPath": _windows_path,
    "re.Pattern": _attributes("pattern", "flags"),
    "types.SimpleNamespace": vars,
    "uuid.UUID": lambda value: value.int,
    "weftrun.Function": lambda value: value.spec.name,
    "zoneinfo.ZoneInfo": _zone,
}
"""What makes an object equal to another one, by its class: its package and its name, so that none is imported here."""
