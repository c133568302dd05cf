"""Everything of the model is a frozen value; what travels or is kept can be told apart and comes back as it was."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import get_args

import msgspec
import pytest
from msgspec import Struct

from weftrun.model import commands, events, graph, limits, messages, outcomes, policy, records, values, work
from weftrun.model.limits import Limits
from weftrun.model.outcomes import NOT_RUN, Failure, Reason, Success
from weftrun.model.policy import FunctionSpec, Kind, RetryPolicy
from weftrun.model.records import Ended, Observed, Record, Row, Settled, StepOutcome
from weftrun.model.values import Blob, Data, Inline, Object, Payload, RefTo

MODULES = (commands, events, graph, limits, messages, outcomes, policy, records, values, work)
UNIONS = {
    "to a Sandbox": messages.ToSandbox,
    "from a Sandbox": messages.FromSandbox,
    "to a zygote": messages.ToZygote,
    "from a zygote": messages.FromZygote,
    "records": Record,
    "data": Data,
}


def structs(module: ModuleType) -> list[type[Struct]]:
    found = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if issubclass(cls, Struct)]
    return [cls for cls in found if cls.__module__ == module.__name__]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_everything_is_frozen(module: ModuleType) -> None:
    assert structs(module)
    assert all(cls.__struct_config__.frozen for cls in structs(module))


@pytest.mark.parametrize("name", UNIONS)
def test_members_of_a_union_have_tags_of_their_own(name: str) -> None:
    members = get_args(UNIONS[name])
    tags = [cls.__struct_config__.tag for cls in members]
    assert len(set(tags)) == len(members)
    assert None not in tags


@pytest.mark.parametrize("data", [Inline(b"\x00bytes"), Object(values.ObjectId(7), 100), Blob("ab" * 32, 100)])
def test_a_row_comes_back_as_it_was(data: Data) -> None:
    failure = Failure(Reason.RAISED, "ValueError", "no", "File …", error=data)
    call = Observed(records.StepId("flow"), 3, "m:f", Kind.WATCHING, "v1", (RefTo(0, (1, "key")),), "", 2)
    good = StepOutcome(records.StepId("f[0]"), 1, 1, Success(Payload(data, (RefTo(0),))), NOT_RUN, call)
    bad = StepOutcome(records.StepId("f[1]"), 2, 2, failure, NOT_RUN, cause="argument")
    row = Row(records.RunUid("0" * 32), 4, 1000.5, 1, (Settled((good, bad)), Ended("failed", None, failure)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=Row) == row


def test_functions_with_the_same_policy_are_one() -> None:
    """Queues and Batches are by Function: equal ones must meet, different ones must not."""
    one = FunctionSpec("m:f", "f", retry=RetryPolicy(2))
    assert {one: 1}[FunctionSpec("m:f", "f", retry=RetryPolicy(2))] == 1
    assert one != FunctionSpec("m:f", "f", retry=RetryPolicy(3))


def test_every_limit_limits() -> None:
    table = msgspec.structs.asdict(Limits())
    assert all(value > 0 for value in table.values())
    assert all(name.endswith(("_max", "_s")) for name in table)
    assert Limits().inline_bytes_max <= Limits().frame_bytes_max
