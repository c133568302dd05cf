"""Functions and Workflows as an author writes them; the tests here drive their bodies."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import weftrun
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data, Inline
from weftrun.sdk.body import BodyEntry, BodyLimits, Raised
from weftrun.sdk.codec import Encoded, decode


@dataclass
class Host:
    """Keeps what a body makes."""

    functions: list[FunctionSpec] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)

    def data(self, encoded: Encoded) -> Data:
        return Inline(encoded.tobytes())

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        self.functions.extend(functions)
        self.calls.extend(calls)
        self.chunks.extend(chunks)
        self.turns.append(len(calls))

    def args(self, number: int, holes: Any = ()) -> Any:
        data = self.calls[number].args.data
        assert isinstance(data, Inline)
        return decode(data.data, holes)

    def items(self) -> list[Any]:
        """Return the items of all chunks; a Ref among them as text."""
        found = []
        for chunk in self.chunks:
            assert isinstance(chunk.items.data, Inline)
            found += decode(chunk.items.data.data, [f"<{ref.call}{list(ref.path)}>" for ref in chunk.items.refs])
        return found

    def labels(self) -> list[str]:
        return [f"{self.functions[call.function].label}[{call.n}]" for call in self.calls]


def body_of(
    function: weftrun.Function[..., Any],
    *args: Any,
    run: str = "r",
    uid: str = "u" * 32,
    step: str = "root",
    limits: BodyLimits | None = None,
    **kwargs: Any,
) -> tuple[BodyEntry, Host]:
    host = Host()
    body = BodyEntry(
        function,
        run_id=RunId(run),
        run_uid=RunUid(uid),
        step_id=StepId(step),
        attempt=1,
        started_at=100.0,
        args=args,
        kwargs=kwargs,
        host=host,
        limits=limits or BodyLimits(),
    )
    return body, host


def raised(function: weftrun.Function[..., Any], limits: BodyLimits | None = None) -> BaseException:
    turn = body_of(function, limits=limits)[0].enter()
    assert isinstance(turn, Raised)
    return turn.error


@weftrun.function
def add(x: int, y: int = 1) -> int:
    return x + y


@weftrun.function
def total(values: list[int]) -> int:
    return sum(values)


@weftrun.function
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@weftrun.function
def fail(text: str) -> int:
    raise ValueError(text)


@weftrun.function
async def later(x: int) -> int:
    return x * 10


@weftrun.function
def where(_: int = 0) -> str:
    return weftrun.current().step_id


@weftrun.function
def locked() -> dict[str, object]:
    return {"conn": threading.Lock()}


@weftrun.workflow
def diamond(x: int) -> int:
    left, right = add(x, 10), add(x, y=20)
    return add(left, right)


@weftrun.workflow
def child(x: int) -> int:
    return add(x, 100)


@weftrun.workflow
async def countdown(n: int) -> list[int]:
    seen = []
    while n > 0:
        n = await add.step(n, -1)
        seen.append(n)
    return seen
