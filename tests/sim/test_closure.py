"""`closure_violations` finds each kind of broken closure in rows made by hand, and nothing in sound ones."""

from __future__ import annotations

import pytest

from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import ObjectId, RunId, RunUid, StepId
from weftrun.model.outcomes import NOT_RUN, Failure, Reason, Success
from weftrun.model.policy import Bundle, FunctionSpec, Kind
from weftrun.model.records import (
    AttemptFailed,
    Chunked,
    Ended,
    Graphed,
    ItemsSettled,
    Observed,
    Row,
    Settled,
    Started,
    StepOutcome,
)
from weftrun.model.values import Blob, Inline, Object, Payload, RefTo
from weftrun.testing.closure import closure_violations

UID = RunUid("u")
FLOW = FunctionSpec("m:flow", "flow", Kind.WIRING)
WATCH = FunctionSpec("m:flow", "flow", Kind.WATCHING)
STEP = FunctionSpec("m:f", "f")
SURE = FunctionSpec("m:s", "s", deterministic=True)
DATA = Payload(Inline(b"x"))


def started(function=FLOW):
    return Started(RunId("r"), function, Bundle("m"), DATA)


def taking(*numbers):
    return Payload(Inline(b"x"), tuple(RefTo(n) for n in numbers))


def graphed(*calls, step="flow", functions=(STEP, SURE), attempt=1):
    return Graphed(StepId(step), attempt, functions, calls, (), DATA)


def outcome(step, ordinal, *, call=None, result=None, attempt=1, cause=""):
    return StepOutcome(StepId(step), attempt, ordinal, result or Success(DATA), NOT_RUN, call, cause)


def settled(*outcomes):
    return Settled(outcomes)


def failure(origin):
    return Failure(Reason.RAISED, "E", "m", origin=StepId(origin))


def observed(number, *refs, seen=0, body="flow"):
    return Observed(StepId(body), number, "m:f", Kind.FUNCTION, "", tuple(RefTo(n) for n in refs), "", seen)


def rows(*records):
    return [Row(UID, seq, float(seq), 1, tuple(row)) for seq, row in enumerate(records, 1)]


def found(*records, blobs=None):
    made = rows(*records)
    return [(v.rule, v.seq, v.step) for v in closure_violations({UID: made}, {UID: blobs} if blobs else None)]


END = Ended("succeeded", DATA, None)
CHAIN = graphed(Call(0, 0, DATA), Call(0, 1, taking(0)))
MAP = graphed(Call(0, 0, DATA, is_map=True))


def chunked(lo, count, *, last=False, ordinal=0, attempt=1, items=DATA):
    return Chunked(StepId("flow"), StepId("f[0]"), attempt, Chunk(0, lo, count, items, last), ordinal)


def items(lo, hi, ordinal, failures=()):
    return ItemsSettled(StepId("f[0]"), ordinal, ((lo, hi, DATA),) if hi > lo else (), failures, NOT_RUN)


SOUND = {
    "a chain": ([started()], [CHAIN], [settled(outcome("f[0]", 1))], [settled(outcome("f[1]", 2)), END]),
    "one row": ([started(), CHAIN, settled(outcome("f[0]", 1), outcome("f[1]", 2)), END],),
    "the end leaves ancestors out": ([started()], [CHAIN], [settled(outcome("f[0]", 1)), END]),
    "a deterministic producer": (
        [started()],
        [graphed(Call(1, 0, DATA), Call(0, 0, taking(0)))],
        [settled(outcome("f[0]", 1))],
    ),
    "a map": (
        [started()],
        [chunked(0, 2)],
        [chunked(2, 1, last=True, ordinal=1), MAP],
        [items(0, 2, 2)],
        [items(2, 3, 3)],
    ),
    "a map of a lost Attempt": (
        [started()],
        [chunked(0, 2)],
        [AttemptFailed(StepId("flow"), -1, 1, failure("flow"), 3.0, NOT_RUN)],
        [chunked(0, 2, attempt=2)],
        [chunked(2, 0, last=True, ordinal=1, attempt=2), graphed(Call(0, 0, DATA, is_map=True), attempt=2)],
    ),
    "an async body": (
        [started(WATCH)],
        [settled(outcome("f[0]", 1, call=observed(0)))],
        [settled(outcome("f[1]", 2, call=observed(1, 0, seen=1)))],
        [END],
    ),
}
BROKEN = {
    "a value that is not recorded": (
        ([started()], [CHAIN], [settled(outcome("f[1]", 1))]),
        ("C1", 3, "f[1]"),
    ),
    "a value recorded later": (
        ([started()], [CHAIN], [settled(outcome("f[1]", 1))], [settled(outcome("f[0]", 2))]),
        ("C1", 3, "f[1]"),
    ),
    "an order without a value": (
        ([started()], [graphed(Call(0, 0, DATA), Call(0, 1, DATA, after=(0,)))], [settled(outcome("f[1]", 1))]),
        ("C1", 3, "f[1]"),
    ),
    "a graph recorded later": (
        ([started()], [settled(outcome("f[0]", 1))], [CHAIN]),
        ("C1", 2, "f[0]"),
    ),
    "an ancestor behind a deterministic value": (
        (
            [started()],
            [graphed(Call(0, 0, DATA), Call(1, 0, taking(0)), Call(0, 1, taking(1)))],
            [settled(outcome("f[1]", 1))],
        ),
        ("C1", 3, "f[1]"),
    ),
    "a call made after an unrecorded observation": (
        ([started(WATCH)], [settled(outcome("f[1]", 2, call=observed(1, seen=1)))]),
        ("C1", 2, "f[1]"),
    ),
    "an Attempt that failed on an unrecorded value": (
        ([started()], [CHAIN], [AttemptFailed(StepId("f[1]"), -1, 1, failure("f[1]"), 3.0, NOT_RUN)]),
        ("C1", 3, "f[1]"),
    ),
    "a failure whose origin is not recorded": (
        ([started()], [CHAIN], [settled(outcome("f[1]", 1, result=failure("f[0]"), cause="argument"))]),
        ("C1", 3, "f[1]"),
    ),
    "an answer whose calls are open": (
        (
            [started()],
            [graphed(Call(0, 0, DATA), functions=(FLOW,))],
            [graphed(Call(0, 0, DATA), step="flow[0]")],
            [settled(outcome("flow[0]", 1))],
        ),
        ("C1", 4, "flow[0]"),
    ),
    "items before the map is fixed": (
        ([started()], [chunked(0, 2), MAP], [items(0, 2, 1)]),
        ("C1", 3, "f[0]"),
    ),
    "items of an unrecorded value": (
        (
            [started()],
            [
                Chunked(StepId("flow"), StepId("f[1]"), 1, Chunk(1, 0, 1, taking(0), True), 1),
                graphed(Call(0, 0, DATA), Call(0, 1, DATA, is_map=True)),
            ],
            [ItemsSettled(StepId("f[1]"), 2, ((0, 1, DATA),), (), NOT_RUN)],
        ),
        ("C1", 3, "f[1]"),
    ),
    "a gap": (([started()], [CHAIN], [], [settled(outcome("f[0]", 1))]), ("order", 9, "")),
    "a record after the end": (([started()], [END], [CHAIN]), ("order", 2, "")),
    "two starts": (([started()], [started()]), ("order", 2, "")),
    "ordinals that fall": (
        ([started()], [CHAIN], [settled(outcome("f[0]", 2))], [settled(outcome("f[1]", 1))]),
        ("order", 4, "f[1]"),
    ),
    "two outcomes": (
        ([started()], [CHAIN], [settled(outcome("f[0]", 1))], [settled(outcome("f[0]", 2))]),
        ("single", 4, "f[0]"),
    ),
    "two outcomes of an item": (
        ([started()], [chunked(0, 2, last=True, ordinal=1), MAP], [items(0, 2, 2)], [items(1, 2, 3)]),
        ("single", 4, "f[0]"),
    ),
    "an Attempt that failed after the outcome": (
        (
            [started()],
            [CHAIN],
            [settled(outcome("f[0]", 1))],
            [AttemptFailed(StepId("f[0]"), -1, 1, failure("f[0]"), 3.0, NOT_RUN)],
        ),
        ("single", 4, "f[0]"),
    ),
    "an outcome of an Attempt that had failed": (
        (
            [started()],
            [CHAIN],
            [AttemptFailed(StepId("f[0]"), -1, 1, failure("f[0]"), 3.0, NOT_RUN)],
            [settled(outcome("f[0]", 1))],
        ),
        ("single", 4, "f[0]"),
    ),
    "chunks with a hole": (([started()], [chunked(0, 2), chunked(3, 1)]), ("order", 2, "f[0]")),
    "an Object in a record": (
        ([started()], [graphed(Call(0, 0, Payload(Object(ObjectId(1), 9))))]),
        ("C2", 2, ""),
    ),
}  # fmt: skip


def left_out(*, answer=DATA):
    """Rows of an async body that ended beside a map: one of its two items has a record, and no graph tells of it."""
    body, step = StepId("flow[0]"), StepId("flow[0]/f[0]")
    call = Observed(StepId("flow"), 0, "m:flow", Kind.WATCHING, "", (), "", 0)
    graph = [Graphed(body, 1, (), (), (), answer)] if answer.refs else []
    return rows(
        [started(WATCH)],
        [Chunked(body, step, 1, Chunk(0, 0, 2, DATA, True), 1)],
        [ItemsSettled(step, 2, ((0, 1, DATA),), (), NOT_RUN, observed(0, body="flow[0]"))],
        [*graph, settled(outcome("flow[0]", 3, call=call))],
        [END],
    )


def test_of_a_map_that_no_graph_holds_items_may_be_left_out_where_its_function_is_not_known():
    assert closure_violations({UID: left_out()}) == []


@pytest.mark.parametrize("policy", [{"checkpoint": "none"}, {"deterministic": True}], ids=str)
def test_items_may_be_left_out_that_need_no_record(policy):
    function = FunctionSpec("m:f", "f", effects="none", **policy)
    assert closure_violations({UID: left_out()}, functions={"m:f": function}) == []


@pytest.mark.parametrize("policy", [{}, {"effects": "none"}, {"deterministic": True}], ids=str)
def test_items_may_not_be_left_out_that_must_have_a_record(policy):
    violations = closure_violations({UID: left_out()}, functions={"m:f": FunctionSpec("m:f", "f", **policy)})
    assert [(v.rule, v.seq, v.step) for v in violations] == [("C1", 4, "flow[0]")]


def test_an_answer_that_names_a_map_needs_all_its_items():
    violations = closure_violations({UID: left_out(answer=taking(0))})
    assert [(v.rule, v.seq, v.step) for v in violations] == [("C1", 4, "flow[0]")]


@pytest.mark.parametrize("name", SOUND)
def test_sound_rows(name):
    assert found(*SOUND[name]) == []


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rows(name):
    records, violation = BROKEN[name]
    made = rows(*records)
    if name == "a gap":
        made[3] = Row(UID, 9, 9.0, 1, made[3].records)
    violations = closure_violations({UID: made})
    assert violation in [(v.rule, v.seq, v.step) for v in violations], violations
    assert all(str(v).startswith(v.rule) for v in violations)


def test_bytes_that_came_too_late():
    late = Blob("a" * 64, 10)
    records = ([started()], [graphed(Call(0, 0, Payload(late)))])
    assert found(*records, blobs=[set(), {late.sha256}]) == []
    assert found(*records, blobs=[set(), set()]) == [("C2", 2, "")]


def test_an_epoch_that_falls():
    made = rows([started()], [CHAIN])
    made[0] = Row(UID, 1, 1.0, 2, made[0].records)
    assert [v.rule for v in closure_violations({UID: made})] == ["order"]


def test_a_row_of_another_run():
    assert [v.rule for v in closure_violations({RunUid("v"): rows([started()])})] == ["order"]
