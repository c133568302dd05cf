"""A fork has what another Run had settled before a Step, and runs the rest anew."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.machines.run_desk import QUIET, SEEN, STRICT, UID, WATCHES, WIRES, RunDesk, call, chunk, failure, thing

from weftrun.machines.run import ForkWanted, RunMachine, fork_rows, left_standing
from weftrun.machines.run.fork import _Line
from weftrun.model.emits import Emit
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.records import ForkedFrom, ItemsSettled, Row, Settled, Started
from weftrun.testing.closure import closure_violations

FORK = RunUid("f" * 32)


def rows_of(desk: RunDesk, step: str, **options: bool) -> list[Row]:
    started = desk.rows[0].records[0]
    assert isinstance(started, Started)
    fork = ForkWanted(RunId("r"), UID, StepId(step), replace(started, id=RunId("f")), **options)
    return fork_rows(desk.rows, fork, FORK, desk.now)


def forked(desk: RunDesk, step: str, **options: bool) -> RunDesk:
    """Fork the Run on a desk, and let its machine begin."""
    desk.now += 1000.0
    rows = rows_of(desk, step, **options)
    assert closure_violations({UID: desk.rows, FORK: rows}) == []
    fork = RunDesk(desk.machine.state.started.function)
    fork.rows, fork.committed, fork.now = [replace(row, uid=UID) for row in rows], len(rows), desk.now
    fork.live(RunMachine.resume(2, UID, fork.rows, fork.limits))
    return fork


def copied(rows: list[Row]) -> list[str]:
    return [str(o.step) for row in rows[1:] for r in row.records if isinstance(r, Settled) for o in r.outcomes]


def causes(rows: list[Row]) -> list[str]:
    return [o.cause for row in rows for r in row.records if isinstance(r, Settled) for o in r.outcomes]


def wired() -> RunDesk:
    desk = RunDesk(WIRES)
    desk.commits()
    desk.makes("wires", call(QUIET), call(QUIET, 1, is_map=True), call(SEEN, 0, 0, 1), chunks=[chunk(1, 0, 3)])
    desk.returns("wires", 2)
    desk.commits()
    desk.ends("quiet[0]")
    desk.items_end("quiet[1]", (0, 3))
    desk.commits()
    desk.ends("seen[0]")
    desk.commits()
    assert desk.end is not None
    return desk


def watched() -> RunDesk:
    desk = RunDesk(WATCHES)
    desk.commits()
    for n, function in enumerate((QUIET, SEEN, STRICT)):
        desk.now += 10.0
        desk.makes("watches", call(function, digest=f"d{n}"), awaits=(n,))
        desk.commits()
        desk.ends(f"{function.label}[0]")
        desk.commits()
    desk.returns("watches")
    desk.commits()
    assert desk.end is not None
    return desk


def test_a_wired_body_is_wired_again_and_keeps_what_stands_before_the_step() -> None:
    fork = forked(wired(), "seen[0]")
    fork.makes("wires", call(QUIET), call(QUIET, 1, is_map=True), call(SEEN, 0, 0, 1), chunks=[chunk(1, 0, 3)])
    assert not fork.sent, "no Step of a `def` body is entered before its graph is recorded"
    fork.returns("wires", 2)
    fork.commits()
    assert list(fork.sent) == ["seen[0]"]
    assert not fork.items
    fork.ends("seen[0]")
    fork.commits()
    assert fork.end is not None
    assert fork.end.status == "succeeded"
    assert closure_violations({UID: fork.rows}) == []


def test_items_that_were_recorded_together_are_copied_once_each() -> None:
    """Two Batches of a map may commit in one row."""
    desk = RunDesk(WIRES)
    desk.commits()
    desk.makes("wires", call(QUIET, 0, is_map=True), call(SEEN, 0, 0), chunks=[chunk(0, 0, 3)])
    desk.returns("wires", 1)
    desk.commits()
    desk.items_end("quiet[0]", (0, 1))
    desk.items_end("quiet[0]", (1, 3))
    desk.commits()
    desk.ends("seen[0]")
    desk.commits()
    first = next(row for row in desk.rows if any(isinstance(record, ItemsSettled) for record in row.records))
    second = desk.rows[first.seq]
    together = replace(first, records=(*first.records, *second.records))
    later = [replace(row, seq=row.seq - 1) for row in desk.rows[second.seq :]]
    desk.rows = [*desk.rows[: first.seq - 1], together, *later]
    assert ordinals([together]) == ordinals(rows_of(desk, "seen[0]")) == [2, 3]


def ordinals(rows: list[Row]) -> list[int]:
    return [record.ordinal for row in rows for record in row.records if isinstance(record, ItemsSettled)]


def test_arguments_of_what_was_given_stay_until_the_graph_is_recorded() -> None:
    fork = forked(wired(), "seen[0]")
    large = thing(7)
    made = (call(QUIET, args=large), call(QUIET, 1, is_map=True), call(SEEN, 0, 0, 1))
    fork.makes("wires", *made, chunks=[chunk(1, 0, 3)])
    assert large.oid not in fork.released, "the record of the graph is still to name it"
    fork.returns("wires", 2)
    fork.commits()
    assert large.oid in fork.released


def test_a_fork_that_died_while_it_was_wired_keeps_the_same() -> None:
    fork = forked(wired(), "seen[0]")
    fork.makes("wires", call(QUIET), call(QUIET, 1, is_map=True), chunks=[chunk(1, 0, 3)])
    fork.commits()
    fork.dies()
    fork.makes("wires", call(QUIET), call(QUIET, 1, is_map=True), call(SEEN, 0, 0, 1), chunks=[chunk(1, 0, 3)])
    fork.returns("wires", 2)
    fork.commits()
    assert (list(fork.sent), fork.items) == (["seen[0]"], {})
    assert closure_violations({UID: fork.rows}) == []


def test_another_function_of_a_copied_name_parks_a_wired_fork() -> None:
    desk = wired()
    fork = forked(desk, "seen[0]")
    fork.makes("wires", call(WIRES))
    assert fork.parked is None
    again = forked(desk, "seen[0]")
    again.rows[0] = replace(again.rows[0], records=tuple(_renamed(record) for record in again.rows[0].records))
    again.dies()
    again.makes("wires", call(QUIET))
    again.commits()
    assert again.parked is not None
    assert "quiet[0] calls m:quiet now, but the result that this fork has of it is one of m:other" in str(again.parked)


def _renamed(record: object) -> object:
    if not isinstance(record, ForkedFrom):
        return record
    return replace(record, functions=tuple((step, "m:other") for step, _ in record.functions))


def test_other_items_park_a_wired_fork() -> None:
    fork = forked(wired(), "seen[0]")
    fork.makes("wires", call(QUIET), call(QUIET, 1, is_map=True), chunks=[chunk(1, 0, 2)])
    fork.commits()
    assert "quiet[1] has other items now" in str(fork.parked)


def test_an_async_body_is_replayed_up_to_the_step() -> None:
    desk = watched()
    fork = forked(desk, "seen[0]")
    assert fork.bodies["watches"].past.seed == UID
    assert fork.bodies["watches"].started_at == 1000.0, "the body is told the times that it was told before"
    fork.makes("watches", call(QUIET, digest="d0"), awaits=(0,))
    assert fork.delivered[-1].at < desk.now - 1000.0
    fork.makes("watches", call(SEEN, digest="other"), awaits=(1,))
    assert list(fork.sent) == ["seen[0]"], "from the Step on arguments are those of now"
    fork.ends("seen[0]")
    fork.commits()
    assert fork.delivered[-1].at == fork.now
    fork.returns("watches")
    fork.commits()
    assert fork.end is not None
    assert closure_violations({UID: fork.rows}) == []


@pytest.mark.parametrize("compares", [True, False])
def test_arguments_of_reused_calls_are_compared_where_those_of_the_run_are_the_same(compares: bool) -> None:
    fork = forked(watched(), "strict[0]", compares=compares)
    fork.makes("watches", call(QUIET, digest="other"), awaits=(0,))
    fork.commits()
    assert (fork.parked is not None) is compares


def test_a_fork_of_a_fork_draws_as_the_first_run_did() -> None:
    rows = rows_of(watched(), "strict[0]")
    started = rows[0].records[0]
    assert isinstance(started, Started)
    again = fork_rows(rows, ForkWanted(RunId("f"), FORK, StepId("seen[0]"), started), RunUid("e" * 32), 5000.0)
    record = again[0].records[1]
    assert isinstance(record, ForkedFrom)
    assert (record.uid, record.seed, record.began_at) == (FORK, UID, 1000.0)
    assert copied(again) == ["quiet[0]"]


def test_nothing_is_emitted_again() -> None:
    desk = watched()
    emit = Emit(0, "post", b"x", "text/plain")
    desk.rows = [
        replace(row, records=tuple(_emitting(record, emit) for record in row.records)) for row in desk.rows
    ]  # fmt: skip
    rows = rows_of(desk, "strict[0]")
    assert [o.emits for row in rows for r in row.records if isinstance(r, Settled) for o in r.outcomes] == [(), ()]


def _emitting(record: object, emit: Emit) -> object:
    if not isinstance(record, Settled):
        return record
    return Settled(tuple(replace(outcome, emits=(emit,)) for outcome in record.outcomes))


def nested() -> RunDesk:
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(WATCHES, 0, digest="w0"), call(WATCHES, 1, digest="w1"), awaits=(1,))
    for child in ("watches[0]", "watches[1]"):
        desk.makes(child, call(QUIET, digest="q"), awaits=(0,))
        desk.commits()
        desk.ends(f"{child}/quiet[0]")
        desk.makes(child, call(SEEN, digest="s"), awaits=(1,))
        desk.commits()
        desk.ends(f"{child}/seen[0]")
        desk.returns(child)
        desk.commits()
    desk.returns("watches")
    desk.commits()
    assert desk.end is not None
    return desk


def test_from_inside_a_child_the_bodies_around_it_are_entered_again() -> None:
    rows = rows_of(nested(), "watches[1]/seen[0]")
    assert copied(rows) == ["watches[0]/quiet[0]", "watches[0]/seen[0]", "watches[0]", "watches[1]/quiet[0]"]


def retried_another_way() -> RunDesk:
    """A body that went another way in its second life: `seen` is called with other arguments there."""
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.ends("quiet[0]")
    desk.makes("watches", call(SEEN, digest="s"), awaits=(1,))
    desk.commits()
    desk.ends("seen[0]")
    desk.commits()
    desk.returns("watches", fails=Failure(Reason.RAISED, "E", "no"))
    desk.commits()
    desk.retries()
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.makes("watches", call(SEEN, digest="another"), awaits=(1,))
    desk.commits()
    desk.ends("seen~2[0]")
    desk.makes("watches", call(STRICT, digest="t"), awaits=(2,))
    desk.commits()
    desk.ends("strict[0]")
    desk.returns("watches")
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    return desk


def test_a_fork_has_the_last_life_under_plain_names() -> None:
    desk = retried_another_way()
    rows = rows_of(desk, "strict[0]")
    assert copied(rows) == ["quiet[0]", "seen[0]"]
    fork = forked(desk, "strict[0]")
    fork.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    fork.makes("watches", call(SEEN, digest="another"), awaits=(1,))
    fork.makes("watches", call(STRICT, digest="t"), awaits=(2,))
    assert (list(fork.sent), fork.parked) == (["strict[0]"], None)


def test_what_an_earlier_life_had_given_is_the_forks_own() -> None:
    """A fork has no earlier life, so nothing in it is kept from one."""
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(QUIET, digest="q"), call(SEEN, digest="s"), awaits=(0, 1))
    desk.ends("quiet[0]")
    desk.commits()
    desk.ends("seen[0]")
    desk.commits()
    desk.returns("watches", fails=failure())
    desk.commits()
    desk.retries()
    desk.makes("watches", call(QUIET, digest="another"), call(SEEN, digest="s"), awaits=(0, 1))
    desk.commits()
    desk.ends("quiet~2[0]")
    desk.makes("watches", call(STRICT, digest="t"), awaits=(2,))
    desk.commits()
    desk.ends("strict[0]")
    desk.returns("watches")
    desk.commits()
    assert "kept" in causes(desk.rows)
    assert causes(rows_of(desk, "strict[0]")) == ["", ""]
    forked(desk, "strict[0]")


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("nothing[0]", r"No record of Run r tells of a Step 'nothing\[0\]'"),
        ("quite[0]", r"Did you mean quiet\[0\]"),
        ("quiet[1].2", r"is an item of a map: fork Run r from the map, quiet\[1\]"),
        ("quiet[0]/x[0]", "No record of Run r tells of a Step"),
        ("", "No record of Run r tells of a Step ''"),
        ("nothing[0]", r"Its Steps are .*quiet\[0\]"),
        ("wires", r"wires is the workflow of Run r itself, .* fork from one of its Steps: .*quiet\[0\]"),
    ],
)
def test_a_step_that_is_not_there(step: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rows_of(wired(), step)


def test_a_single_function_has_no_steps() -> None:
    desk = RunDesk(SEEN)
    desk.commits()
    desk.ends("seen")
    desk.commits()
    with pytest.raises(UsageError, match="has no Steps to fork from"):
        rows_of(desk, "seen")


def test_the_failure_that_ended_a_run_is_not_reused() -> None:
    desk = RunDesk(WIRES)
    desk.commits()
    desk.makes("wires", call(QUIET), call(SEEN, 0, 0), call(QUIET, 1, 1))
    desk.returns("wires", 2)
    desk.commits()
    desk.ends("quiet[0]")
    desk.commits()
    desk.ends(bad=["seen[0]"])
    desk.commits()
    with pytest.raises(UsageError, match=r"ended because seen\[0\] had failed.*fork from seen\[0\], or from a Step"):
        rows_of(desk, "quiet[1]")
    assert copied(rows_of(desk, "seen[0]")) == ["quiet[0]"]


def test_what_was_done_after_a_failure_is_told() -> None:
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.ends("quiet[0]")
    desk.makes("watches", call(SEEN, digest="s"), awaits=(1,))
    desk.commits()
    desk.ends(bad=["seen[0]"])
    desk.makes("watches", call(SEEN, 1, digest="undo"), awaits=(2,))
    desk.commits()
    desk.ends("seen[1]")
    desk.returns("watches", fails=failure())
    desk.commits()
    assert left_standing(desk.rows, StepId("seen[0]")) == ["seen[1]"]
    assert left_standing(desk.rows, StepId("seen[1]")) == ["seen[1]"]


@pytest.mark.parametrize("desk", [wired, watched, nested])
def test_a_planted_bug_is_found(desk: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork that begins one call too late copies the Step itself."""
    assert callable(desk)
    run = desk()
    is_before = _Line.is_before
    monkeypatch.setattr(_Line, "is_before", lambda line, step: is_before(line, step) or step == line.step)
    step = "watches[1]" if desk is nested else "seen[0]"
    found = closure_violations({UID: run.rows, FORK: rows_of(run, step)})
    assert [violation.rule for violation in found] == ["L3"]
