"""What a `def` workflow's body wires: its calls, without running any of them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from weftrun.model.errors import UsageError
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import StepId, child_step
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Data, Inline
from weftrun.sdk.body import BodyEntry, BodyLimits, Raised
from weftrun.sdk.codec import Encoded
from weftrun.sdk.function import Function
from weftrun.sdk.place import LOCAL_RUN, LOCAL_UID


class Wired(Struct, frozen=True):
    """One call of a body.

    Attributes:
        takes: numbers of the calls that it waits for.
        is_single: whether it is no map and no workflow.
    """

    id: StepId
    label: str
    takes: tuple[int, ...]
    is_single: bool


class _Kept:
    """Keeps what a body makes (`sdk.recorder.BodyHost`)."""

    def __init__(self) -> None:
        self.functions: list[FunctionSpec] = []
        self.calls: list[Call] = []
        self.chunks: list[Chunk] = []

    def data(self, encoded: Encoded) -> Data:  # noqa: ARG002  # of the protocol
        """Keep no value: nobody will read it."""
        return Inline(b"")

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        """Keep what the body made."""
        self.functions += functions
        self.calls += calls
        self.chunks += chunks


def wired(function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Wired]:
    """Enter the body of a `def` workflow here, and return what it calls; none of that is run.

    Raises:
        UsageError: it is no `def` workflow.
        Exception: what the body raises.
    """
    label = function.spec.label
    if function.spec.kind is not Kind.WIRING:
        what = "an `async def` workflow, which looks at values" if function.spec.kind.is_workflow else "a Function"
        raise UsageError(
            f"{label} is {what}: it has no graph before it runs, so there is nothing to plan. A `def` workflow has one."
        )
    root, kept = StepId(label), _Kept()
    body = BodyEntry(
        function, run_id=LOCAL_RUN, run_uid=LOCAL_UID, step_id=root, attempt=1, started_at=0.0, args=args,
        kwargs=kwargs, host=kept, limits=BodyLimits(),
    )  # fmt: skip
    turn = body.enter()
    if isinstance(turn, Raised):
        raise turn.error
    chunks: dict[int, list[int]] = {}
    for chunk in kept.chunks:
        chunks.setdefault(chunk.call, []).extend(ref.call for ref in chunk.items.refs)
    return [_wired(root, n, call, kept.functions[call.function], chunks) for n, call in enumerate(kept.calls)]


def _wired(root: StepId, number: int, call: Call, spec: FunctionSpec, chunks: dict[int, list[int]]) -> Wired:
    takes = dict.fromkeys([*(ref.call for ref in call.args.refs), *call.after, *chunks.get(number, ())])
    is_single = not call.is_map and spec.kind is Kind.FUNCTION
    return Wired(child_step(root, root, spec.label, call.n), spec.label, tuple(takes), is_single)
