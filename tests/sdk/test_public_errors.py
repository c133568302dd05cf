"""Errors show as `weftrun.X`, as programs name them; what records and pickles of earlier releases say still holds."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest

import weftrun
from weftrun.model import errors
from weftrun.model.policy import Choice, RetryPolicy
from weftrun.sdk.canonical import digest
from weftrun.sdk.retrying import is_worth_another

ERRORS: list[Any] = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, (Exception, Warning))
]


def by_old_name(kind: type[Exception]) -> bytes:
    """What a release that named it by its module has pickled."""
    return f"cweftrun.model.errors\n{kind.__name__}\n(S'no'\ntR.".encode()


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_shows_as_programs_name_it(kind: type[Exception]) -> None:
    assert getattr(weftrun, kind.__name__) is kind
    assert traceback.format_exception_only(kind("no")) == [f"weftrun.{kind.__name__}: no\n"]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_it_is_unpickled_by_both_names(kind: type[Exception]) -> None:
    for pickled in (pickle.dumps(kind("no")), by_old_name(kind)):
        error = pickle.loads(pickled)
        assert (type(error), error.args) == (kind, ("no",))


def test_a_policy_is_recorded_as_ever() -> None:
    """An engine of an earlier release reads it, and this one reads what that has written."""
    recorded = weftrun.Retry(3, on=weftrun.StepFailed, but_not=(weftrun.StepTimedOut, OSError)).recorded
    assert recorded.on == ("weftrun.model.errors:StepFailed",)
    assert recorded.but_not == ("weftrun.model.errors:StepTimedOut", "builtins:OSError")
    old = RetryPolicy(3, jitter=Choice(0.0, on=("weftrun.model.errors:UsageError",)))
    assert is_worth_another(old, weftrun.PolicyError("no"))
    assert not is_worth_another(old, weftrun.StepFailed("no"))
    by_name = weftrun.Retry(3, on="weftrun:UsageError").recorded
    assert is_worth_another(by_name, weftrun.PolicyError("no"))


def test_a_contradiction_names_it_so() -> None:
    with pytest.raises(weftrun.PolicyError, match=r"^Retry: weftrun:StepFailed stands in `on` and in `but_not`"):
        weftrun.Retry(3, on=weftrun.StepFailed, but_not=weftrun.StepFailed)


def test_an_argument_that_is_a_class_is_the_same_one() -> None:
    """A Run that was started with it before is joined, not refused."""
    assert digest(weftrun.StepFailed) == "041441ac3e0709d874042a62948d9eafedb608b50247f5993e7f95f9b98880cf"
