"""The one visitor finds all data of a value, changes what it is told to, and leaves alone what does not change."""

from __future__ import annotations

from weftrun.model.events import AttemptsEnded
from weftrun.model.ids import ObjectId, StepId
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Reason, Success
from weftrun.model.records import Settled, StepOutcome
from weftrun.model.values import Blob, Data, Inline, Object, Part, Payload, Tree
from weftrun.model.visiting import blobs_in, change_data, distinct_objects, objects_in

ONE, TWO = Object(ObjectId(1), 10), Object(ObjectId(2), 20)
PLAIN = Inline(b"plain")


def settled(*data: Data) -> Settled:
    return Settled(
        tuple(StepOutcome(StepId(str(n)), 1, n, Success(Payload(one)), NOT_RUN) for n, one in enumerate(data, 1))
    )


def test_data_is_found_in_order_at_any_depth() -> None:
    tree = Tree(PLAIN, holes=(Tree(ONE), Tree(None, parts=(Part(0, 2, TWO), Part(2, 3, ONE)))))
    assert objects_in(tree) == [ONE, TWO, ONE]
    assert objects_in([tree, settled(TWO)]) == [ONE, TWO, ONE, TWO]
    assert distinct_objects((tree, settled(TWO))) == (1, 2)


def test_the_error_of_a_failure_counts() -> None:
    failure = Failure(Reason.RAISED, "ValueError", "no", error=ONE)
    assert objects_in(AttemptsEnded(0.0, (Outcome(1, 1, None, failure, NOT_RUN),))) == [ONE]


def test_what_holds_no_data_has_none() -> None:
    assert objects_in(NOT_RUN) == objects_in("text") == objects_in(None) == []


def test_only_what_changes_is_made_anew() -> None:
    row = (settled(PLAIN), settled(ONE, PLAIN))
    blob = Blob("ab", 10)
    changed = change_data(row, lambda data: blob if data is ONE else data)
    assert changed[0] is row[0]
    assert blobs_in(changed) == [blob]
    assert objects_in(row) == [ONE], "the value that was given stays as it is"
    assert change_data(row, lambda data: data) is row
