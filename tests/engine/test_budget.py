"""The record budget of SEMANTICS: how many records a Run may cost, kind by kind, counted in the Journal."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.engine import programs as p
from tests.engine.conftest import until
from tests.engine.emitting import Watched, order

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.records import ItemsSettled, Settled
from weftrun.sdk.function import Function

pytestmark = pytest.mark.usefixtures("shared_engine")


def counted(url: str, id: str) -> Counter[str]:
    """Return the Run's records by kind; of outcomes each one counts, for a record may carry several."""
    reader = open_reader(url)
    info = reader.find(id)
    assert info is not None
    rows = reader.load(info.uid)
    reader.close()
    kinds: Counter[str] = Counter()
    for row in rows:
        for record in row.records:
            kinds[type(record).__name__] += len(record.outcomes) if isinstance(record, Settled) else 1
            if isinstance(record, ItemsSettled):
                kinds["items"] += sum(hi - lo for lo, hi, _ in record.values) + len(record.failures)
    return kinds


ENDS = {"Started": 1, "Ended": 1}
BUDGET: list[tuple[Function[..., Any], tuple[object, ...], dict[str, int]]] = [
    # a Run: its start and its end; of a Function that is all, the end being its outcome
    (p.inc, (1,), ENDS),
    (p.fail, ("no",), ENDS),
    # a `def` body: its graph; each Step: its outcome
    (p.chain, (5,), ENDS | {"Graphed": 1, "Settled": 5}),
    (p.diamond, (1,), ENDS | {"Graphed": 1, "Settled": 3}),
    # a map: each chunk of its input; without items nothing else
    (p.empty_map, (), ENDS | {"Graphed": 1, "Chunked": 1}),
    # an async body: nothing of its own; what it observed rides in the outcomes of its calls
    (p.countdown, (4,), ENDS | {"Settled": 4}),
    (p.catches, ("x",), ENDS | {"Settled": 1}),
    (p.deep, (3,), ENDS | {"Settled": 3}),
    # ... but a graph where it ends with calls that have not settled, a tail call being one (B3)
    (p.tail, (2,), ENDS | {"Settled": 5, "Graphed": 3}),
    # a child: an outcome, and its own body's records
    (p.children, (2,), ENDS | {"Settled": 2 * (1 + 3) + (1 + 2), "Graphed": 2}),
]


@pytest.mark.parametrize(("function", "args", "budget"), BUDGET, ids=[str(f.spec.label) for f, _, _ in BUDGET])
def test_what_a_run_costs(
    engine: weftrun.Engine, url: str, function: Function[..., Any], args: tuple[object, ...], budget: dict[str, int]
) -> None:
    id = str(function.spec.label)
    run = engine.start(function.options(id=id), *args)
    with contextlib.suppress(ValueError):
        run.result(60)
    found = counted(url, id)
    if function is p.tail:  # under load a call may settle while the end of its body is still on its way: then no graph
        assert found["Graphed"] <= budget["Graphed"]
        found["Graphed"] = budget["Graphed"]
    assert found == budget


def test_what_a_failed_attempt_costs(engine: weftrun.Engine, url: str, tmp_path: Path) -> None:
    """One record for each that is tried again; the last one is the outcome."""
    assert engine.run(p.flaky.options(id="flaky"), str(tmp_path / "ledger"), 3) == 3
    assert counted(url, "flaky") == ENDS | {"AttemptFailed": 2}


def test_what_emits_cost(own_url: str) -> None:
    """No record of their own: they ride in the one that causes them."""
    sink = Watched(math.inf)
    with weftrun.open(own_url, sandboxes=1, sinks={"orders": sink}) as engine:
        engine.run(order.options(id="one"), 1)
        until(lambda: len(sink.handed) == 1)
    assert counted(own_url, "one") == ENDS


def test_what_a_map_costs(engine: weftrun.Engine, url: str) -> None:
    """A record for each ended Batch, not for each item."""
    assert engine.run(p.mapped.options(id="mapped"), 5_000) == sum(range(1, 5_001))
    records = counted(url, "mapped")
    assert records.pop("items") == 5_000
    assert records.pop("ItemsSettled") <= 500
    assert records.pop("Chunked") <= 5
    assert records == ENDS | {"Graphed": 1, "Settled": 1}
