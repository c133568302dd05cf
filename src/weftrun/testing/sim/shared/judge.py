"""Whether the history of a shared Run kept what SEMANTICS promises: judged by entries, rows and answers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from weftrun.machines.run import RunMachine
from weftrun.model.outcomes import Failure
from weftrun.model.records import Graphed, Settled, StepOutcome
from weftrun.model.values import Data
from weftrun.testing.closure import closure_violations
from weftrun.testing.oracles import Fixed, early_entries, late_entries, torn_values
from weftrun.testing.sim.shared.reference import Fails, Reference
from weftrun.testing.sim.shared.scripts import read, read_tree
from weftrun.testing.sim.shared.world import LIMITS, SharedWorld
from weftrun.testing.sim.values import Lineage


def findings(world: SharedWorld) -> list[str]:
    """Return every broken promise."""
    journal = world.journal
    fixed = {world.uid: _fixed(world)}
    found = [str(one) for one in closure_violations({world.uid: journal.rows}, {world.uid: journal.blobs_at})]
    found += [f"G-a: {text}" for text in early_entries(world.entries, fixed)]
    found += [f"once: {text}" for text in late_entries(world.entries, fixed)]
    found += [f"single value: {text}" for text in torn_values(world.entries, fixed, ())]
    found += [f"single value: {text}" for text in _torn_answers(world, fixed[world.uid])]
    found += [f"M2: {text}" for text in world.clashes]
    if not journal.ended:
        found.append("liveness: the Run has not ended")
    elif not world.answers:
        found.append("liveness: nobody has the answer")
    else:
        found += _differences(world, fixed[world.uid])
    return found


def _fixed(world: SharedWorld) -> Fixed:
    """Return what the rows have fixed."""
    fixed = Fixed()
    for row in world.journal.rows:
        for record in row.records:
            match record:
                case Settled():
                    for outcome in record.outcomes:
                        _fix(world, fixed, outcome, row.seq)
                case Graphed():
                    fixed.graphs[record.step] = row.seq
                case _:
                    pass
    return fixed


def _fix(world: SharedWorld, fixed: Fixed, outcome: StepOutcome, row: int) -> None:
    data: Data | None
    if isinstance(outcome.outcome, Failure):
        fixed.failed.add(outcome.step)
        data = outcome.outcome.error
    else:
        data = outcome.outcome.value.data
    fixed.settled.setdefault(outcome.step, row)
    seen = read(data, world.blobs) if data is not None else frozenset()
    fixed.seen[outcome.step] = seen
    for step, nonce in seen:
        if step == outcome.step:
            fixed.nonces.setdefault(step, (nonce, row))


def _torn_answers(world: SharedWorld, fixed: Fixed) -> Iterator[str]:
    """Yield answers that differ, or rest on other values than the records have."""
    known: dict[str, int] = {}
    for recorded in fixed.seen.values():
        known.update(recorded)
    for status, seen, failure in world.answers:
        if (status, seen) != world.answers[0][:2]:
            yield f"one Worker answered {world.answers[0][:2]}, another {status, seen}"
        error = failure.error if failure is not None else None
        shown = read(error, world.blobs) if error is not None else seen
        for step, nonce in sorted(shown or ()):
            if known.setdefault(step, nonce) != nonce:
                yield f"the answer rests on another value of {step} than the records"


def _told(fixed: Fixed, answer: Lineage) -> Mapping[str, int]:
    """Return the nonce of each Step: of its record, or as the answer tells."""
    told: dict[str, int] = {}
    for seen in (answer, *fixed.seen.values()):
        told.update(seen)
    return told


def _differences(world: SharedWorld, fixed: Fixed) -> Iterator[str]:
    """Yield an answer that is not that of one process, or not what a single engine reads from the rows."""
    status, seen, _ = world.answers[0]
    end = RunMachine.answer_of(world.uid, world.journal.rows, LIMITS)
    if end.status != status or (end.answer is not None and read_tree(end.answer, world.blobs) != seen):
        yield f"reader: a single engine reads {end.status} from the rows, where a Worker answered {status}"
    if status != "succeeded" or seen is None:
        return
    try:
        expected = Reference(world.scripts, _told(fixed, seen)).answer()
    except Fails as failed:
        yield f"reference: the Run succeeded, though one process fails with {sorted(failed.args[0])}"
        return
    if expected != seen:
        yield f"reference: the answer rests on {sorted(seen)}, that of one process on {sorted(expected)}"
