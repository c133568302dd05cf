"""Sinks to open an engine with: `weftrun.open(sinks={"orders": sinks.File("orders.jsonl")})`.

| class | where a message goes | extra |
|---|---|---|
| `File` | a line of a file | |
| `Http` | a request with an `Idempotency-Key` | `http` |
| `Postgres` | a row of a table | `postgres` |
| `Redis` | an entry of a stream | `redis` |
| `Nats` | a message of a JetStream | `nats` |
| `S3` | an object | `s3` |

What each of them really gives stands in "Writing effects". A sink of your own is a class with the members of `Sink`; it
is held to them by `weftrun.testing.contracts.sinks`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from weftrun.model.errors import UsageError
from weftrun.model.outbox import Answer, Result
from weftrun.ports.sinks import Sink, SinkMessage

if TYPE_CHECKING:
    from weftrun.adapters.sinks.file import FileSink as File
    from weftrun.adapters.sinks.http import HttpSink as Http
    from weftrun.adapters.sinks.nats import NatsSink as Nats
    from weftrun.adapters.sinks.postgres import PostgresSink as Postgres
    from weftrun.adapters.sinks.redis import RedisSink as Redis
    from weftrun.adapters.sinks.s3 import S3Sink as S3  # noqa: N814 - it is the name of the thing

__all__ = ["Answer", "File", "Http", "Nats", "Postgres", "Redis", "Result", "S3", "Sink", "SinkMessage"]

_LATE = {
    "File": ("file", ""),
    "Http": ("http", "http"),
    "Nats": ("nats", "nats"),
    "Postgres": ("postgres", "postgres"),
    "Redis": ("redis", "redis"),
    "S3": ("s3", "s3"),
}
"""Classes that are imported when they are first asked for: the module, and the extra that brings its library."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _LATE[name]
    try:
        found = importlib.import_module(f"weftrun.adapters.sinks.{module}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("weftrun"):
            raise
        raise UsageError(
            f"weftrun.sinks.{name} needs a library that is not installed ({error.name}): pip install weftrun[{extra}]"
        ) from error
    return getattr(found, f"{name}Sink")
