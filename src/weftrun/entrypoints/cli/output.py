"""How results, times and JSON reach stdout."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec

from weftrun.entrypoints.cli.terminal import as_ascii_json, prints_unicode


def print_json(value: object) -> None:
    """Print one value of ours as JSON."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape and UTF-8 can't hold
        text = json.dumps(msgspec.to_builtins(value), indent=2)
    print_json_text(text)


def print_json_text(text: str) -> None:
    """Print JSON; where the encoding of stdout has not all characters, those beyond ASCII are escaped in it."""
    print(text if prints_unicode() else as_ascii_json(text))


def clock(at: float | None) -> str:
    """Return a time (seconds since the epoch) as local date and time with its offset; empty for None."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).astimezone().isoformat(" ", "seconds")
