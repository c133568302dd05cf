"""All that the OpenAPI allows, and much that it does not, is answered and never by a 5xx."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from tests.http.serving import Server

ENDLESS = "/api/v1/events"


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def called(operation: Any, mode: GenerationMode, examples: int) -> int:
    """Call an operation so often, as it may be called or as it may not; return how often that could be done."""
    count = 0

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=QUIET)
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        nonlocal count
        case.call_and_validate(checks=(not_a_server_error,), timeout=30)
        count += 1

    with suppress(Unsatisfiable):  # of what takes any text there is nothing that is wrong
        call()
    return count


def takes_something(operation: Any) -> bool:
    return bool(list(operation.iter_parameters())) or bool(list(operation.body))


@pytest.mark.parametrize("examples", [1, pytest.param(100, marks=[pytest.mark.sweep, pytest.mark.timeout(1_200)])])
def test_nothing_is_a_server_error(server: Server, examples: int) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path=ENDLESS)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert "POST /api/v1/runs" in {f"{operation.method.upper()} {operation.path}" for operation in operations}
    assert len(operations) >= 18
    if examples == 1:
        operations = operations[::3]
    for operation in operations:  # one that takes nothing can be called in one way
        times = called(operation, GenerationMode.POSITIVE, examples)
        assert times >= (examples if takes_something(operation) else 1), f"{operation.method} {operation.path}"
    wrong = sum(called(operation, GenerationMode.NEGATIVE, examples) for operation in operations)
    assert wrong >= examples
