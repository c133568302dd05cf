"""JSON of our own values."""

from __future__ import annotations

from typing import Any

import msgspec

from weftrun.model.telling import writable


def as_json(value: object) -> bytes:
    """Return a value of ours as JSON; half of a surrogate pair in an author's text is replaced."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_writable(msgspec.to_builtins(value)))


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, dict):
        return {_writable(key): _writable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_writable(part) for part in value]
    return value
