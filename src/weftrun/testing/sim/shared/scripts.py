"""Random graphs for several Workers: what a root calls, what an async body awaits and skips, what each Function gives.

A value is its lineage: which nonce of which Step it rests on. What an async body saw first of two is in there too,
under a name with `@`, so that an order that is not kept shows like a value that is torn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import msgspec

from weftrun.model.graph import Call
from weftrun.model.ids import RunId, StepId
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Bundle, FunctionSpec, Kind, Retry
from weftrun.model.records import Graphed, Record, Started
from weftrun.model.values import Blob, Data, Inline, Payload, RefTo, Tree
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.values import NOTHING, Lineage

_LARGE_BYTES = 100_000
_RETRY = Retry(4, delay_s=0.2)


def _function(label: str, **policy: object) -> FunctionSpec:
    return msgspec.structs.replace(FunctionSpec(f"shared:{label}", label), **policy)


FUNCTIONS: Mapping[str, FunctionSpec] = {
    function.label: function
    for function in (
        _function("draw"),
        _function("quiet", effects="none"),
        _function("fixed", effects="none", deterministic=True),
        _function("shown", deterministic=True),
        _function("strict", effects="none", checkpoint="sync"),
        _function("strict_seen", checkpoint="sync"),
        _function("behind", effects="none", checkpoint="async"),
        _function("loose", effects="none", checkpoint="none"),
        _function("loose_large", effects="none", checkpoint="none"),
        _function("sure", effects="none", deterministic=True, checkpoint="none"),
        _function("sure_large", effects="none", deterministic=True),
        _function("large", effects="none"),
        _function("stumbles", effects="none", retry=_RETRY),
        _function("stumbles_seen", retry=_RETRY),
        _function("gamble", effects="none"),
    )
}
_SAFE = tuple(label for label in FUNCTIONS if label != "gamble")
_LIGHT = ("draw", "draw", "quiet", "loose", "loose", "loose_large", "sure", "sure_large", "shown")


@dataclass(frozen=True)
class Op:
    """One thing that a body does.

    Attributes:
        kind: `call`; in an async body also `await` (of one call, or of the first of several), and `skip`.
        name: label of the Function that is called; of a child's script where there is one of that name.
        takes: numbers of earlier calls: whose values are read, or awaited.
        count: how many ops `skip` passes over if the coin falls so.
    """

    kind: str
    name: str = ""
    takes: tuple[int, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Script:
    """What a body does, and of which calls a `def` root's answer is made."""

    function: FunctionSpec
    ops: tuple[Op, ...]
    answer: tuple[int, ...] = ()


@dataclass(frozen=True)
class Awaits:
    """A body waits for one of these calls; `place` is where in its script."""

    place: int
    numbers: tuple[int, ...]


Scripts = dict[str, Script]
Doing = Generator[tuple[FunctionSpec, Call] | Awaits, tuple[int, Lineage] | None, Lineage]
"""A body at work: it yields calls and what it awaits, and is then sent which call came, and what that gave."""


# ---------------------------------------------------------------------- values


def pack(seen: Lineage, *, large: bool = False) -> tuple[bytes, Data]:
    """Return the bytes of a value, and how a record names them."""
    data = msgspec.msgpack.encode(sorted(seen))
    if not large:
        return data, Inline(data)
    return data, Blob(hashlib.sha256(data).hexdigest(), _LARGE_BYTES)


def unpack(data: bytes) -> Lineage:
    """Return the lineage that bytes stand for."""
    return frozenset(msgspec.msgpack.decode(data, type=list[tuple[str, int]]))


def read(data: Data, blobs: Mapping[str, bytes]) -> Lineage:
    """Return the lineage of a value."""
    if isinstance(data, Inline):
        return unpack(data.data)
    assert isinstance(data, Blob)
    return unpack(blobs[data.sha256])


def read_tree(tree: Tree, blobs: Mapping[str, bytes]) -> Lineage:
    """Return all that a value with filled holes rests on."""
    own = read(tree.data, blobs) if tree.data is not None else NOTHING
    return own.union(*(read_tree(hole, blobs) for hole in tree.holes))


def coin(seen: Lineage) -> int:
    """Return something to branch on, which changes with every nonce that was read."""
    return sum(nonce for _, nonce in seen) % 1_000_003


def gives(function: FunctionSpec, step: str, attempt: int, reads: Lineage, nonce: int) -> tuple[Lineage, bool]:
    """Return what an Attempt gives, and whether that is a failure."""
    seen = reads if function.deterministic else reads | {(step, nonce)}
    stumbles = function.label.startswith("stumbles") and attempt == 1
    return seen, stumbles or fails(function.label, nonce)


def fails(label: str, nonce: int) -> bool:
    """Say whether a Step fails for good."""
    return label == "gamble" and nonce % 2 == 1


def failure(seen: Lineage) -> Failure:
    """Return a failure that carries a lineage."""
    return Failure(Reason.RAISED, "Planned", "it was to fail", error=pack(seen)[1])


# ---------------------------------------------------------------------- bodies


def doing(script: Script, body: StepId, inputs: Lineage) -> Doing:
    """Carry out an async body's script: everything later rests on what was seen."""
    seen, skip = inputs, 0
    numbers: list[int | None] = []
    counts: dict[str, int] = {}
    made = 0
    for place, op in enumerate(script.ops):
        if skip:
            skip -= 1
            if op.kind == "call":
                numbers.append(None)
        elif op.kind == "skip":
            skip = op.count if coin(seen) % 2 else 0
        elif op.kind == "await":
            awaited = tuple(sorted({n for take in op.takes if (n := numbers[take]) is not None}))
            if awaited:
                came = yield Awaits(place, awaited)
                assert came is not None
                seen |= came[1]
                if len(awaited) > 1:
                    seen |= {(f"{body}@{place}", came[0])}
        else:
            refs = tuple(RefTo(n) for take in op.takes if (n := numbers[take]) is not None)
            n = counts[op.name] = counts.get(op.name, -1) + 1
            yield callee(op.name), Call(0, n, Payload(pack(seen)[1], refs))
            numbers.append(made)
            made += 1
    return seen


def callee(name: str) -> FunctionSpec:
    """Return the Function of this label, or that of a child's script."""
    return FUNCTIONS[name] if name in FUNCTIONS else FunctionSpec(f"shared:{name}", name, Kind.WATCHING)


def first_records(scripts: Scripts) -> list[tuple[Record, ...]]:
    """Return the records with which the Run begins: its start and, for a `def` root, its graph."""
    root = scripts["root"]
    started = Started(RunId("shared"), root.function, Bundle("shared"), Payload(pack(NOTHING)[1]))
    if root.function.kind is Kind.WATCHING:
        return [(started,)]
    functions: list[FunctionSpec] = []
    calls: list[Call] = []
    counts: dict[str, int] = {}
    for op in root.ops:
        n = counts[op.name] = counts.get(op.name, -1) + 1
        calls.append(Call(len(functions), n, Payload(pack(NOTHING)[1], tuple(RefTo(take) for take in op.takes))))
        functions.append(callee(op.name))
    answer = Payload(pack(NOTHING)[1], tuple(RefTo(number) for number in root.answer))
    graph = Graphed(StepId("root"), 1, tuple(functions), tuple(calls), (), answer)
    return [(started,), (graph,)]


def draw_scripts(chance: Chance) -> Scripts:
    """Draw a root and its children."""
    labels = chance.one_of((tuple(FUNCTIONS), _SAFE, _LIGHT, _LIGHT))
    watching = chance.happens(0.55)
    children = [f"child{n}" for n in range(chance.below(3))]
    scripts: Scripts = {}
    for name in children:
        ops = _draw_ops(chance, labels, 2 + chance.below(5), watching=True)
        scripts[name] = Script(callee(name), ops)
    ops = _draw_ops(chance, (*labels, *children, *children), 4 + chance.below(10), watching=watching)
    kind = Kind.WATCHING if watching else Kind.WIRING
    calls = sum(op.kind == "call" for op in ops)
    answer = tuple(sorted({calls - 1, *(chance.below(calls) for _ in range(chance.below(3)))}))
    scripts["root"] = Script(FunctionSpec("shared:root", "root", kind), ops, answer)
    return scripts


def _draw_ops(chance: Chance, labels: tuple[str, ...], count: int, *, watching: bool) -> tuple[Op, ...]:
    ops: list[Op] = [Op("call", chance.one_of(labels))]
    made = 1
    for _ in range(count):
        roll = chance.share()
        if watching and roll < 0.35:
            ops.append(Op("await", takes=tuple(chance.below(made) for _ in range(1 + chance.below(3)))))
        elif watching and roll < 0.45:
            ops.append(Op("skip", count=1 + chance.below(2)))
        else:
            ops.append(Op("call", chance.one_of(labels), tuple(chance.below(made) for _ in range(chance.below(3)))))
            made += 1
    return tuple(ops)
