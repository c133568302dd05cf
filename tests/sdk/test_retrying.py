"""What a `Retry` may say, what it comes to, and which errors it means; with an engine: tests/engine/test_retries.py."""

from __future__ import annotations

import errno
import inspect
import math
from datetime import timedelta
from typing import Any

import pytest

import weftrun
from weftrun import PolicyError, Retry, function, workflow
from weftrun.model import policy
from weftrun.sdk.retrying import is_worth_another


class Declined(ValueError):
    pass


class CardDeclined(Declined):
    pass


def is_busy(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EBUSY


def breaks(_error: BaseException) -> bool:
    raise LookupError("no table")


async def later(_error: BaseException) -> bool:
    return False


@pytest.mark.parametrize(
    ("retry", "waits_s"),
    [
        (Retry(3), [0.1, 0.2, 0.4]),
        (Retry(1, delay_s=3600), [3600.0]),
        (Retry(3, delay_s=timedelta(hours=1)), [3600.0, 3600.0, 3600.0]),
        (Retry(3, delay_s=3600, factor=2), [3600.0, 7200.0, 14400.0]),
        (Retry(4, delay_s=10, factor=10), [10.0, 100.0, 1_000.0, 10_000.0]),
        (Retry(4, delay_s=10, factor=10, delay_max_s=500), [10.0, 100.0, 500.0, 500.0]),
        (Retry(3, delay_s=50), [50.0, 60.0, 60.0]),
        (Retry(2, delay_s=1, delay_max_s=timedelta(days=1)), [1.0, 2.0]),
        (Retry(2, delay_s=0, delay_max_s=0), [0.0, 0.0]),
        (Retry(2, delay_s=90, factor=1), [90.0, 90.0]),
    ],
)
def test_no_default_makes_a_wait_shorter_than_was_asked_for(retry: Retry, waits_s: list[float]) -> None:
    recorded = retry.recorded
    found = [min(recorded.delay_s * recorded.factor**n, recorded.delay_max_s) for n in range(retry.times)]
    assert found == waits_s
    assert (retry.delay_s, retry.delay_max_s) == (recorded.delay_s, recorded.delay_max_s)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"times": -1}, "times=-1"),
        ({"times": True}, "times=True"),
        ({"times": 1.0}, "times=1.0"),
        ({"times": 1_000}, "from 0 to 999"),
        ({"delay_s": -1}, "delay_s=-1"),
        ({"delay_s": timedelta(-1)}, "delay_s="),
        ({"delay_s": math.nan}, "delay_s=nan"),
        ({"delay_s": math.inf}, "delay_s=inf"),
        ({"delay_s": True}, "delay_s=True"),
        ({"delay_s": "1"}, "delay_s='1'"),
        ({"delay_s": None}, "delay_s=None"),
        ({"delay_s": 10**400}, "delay_s=1000"),
        ({"delay_s": 100, "delay_max_s": 60}, "the first wait is longer than the longest one"),
        ({"delay_max_s": math.inf}, "delay_max_s=inf"),
        ({"delay_max_s": 0}, "the first wait is longer"),
        ({"factor": 0.5}, "factor=0.5"),
        ({"factor": math.nan}, "factor=nan"),
        ({"factor": True}, "factor=True"),
        ({"times": 900, "factor": 3}, "the last wait would be longer than 30 years; say by delay_max_s"),
        ({"jitter": 2}, "jitter=2"),
        ({"jitter": -0.1}, "jitter=-0.1"),
        ({"jitter": False}, "jitter=False"),
        ({"on": int}, "on=<class 'int'>"),
        ({"on": "nothing"}, "on='nothing'"),
        ({"on": 5}, "on=5"),
        ({"on": (ValueError, None)}, "on=None"),
        ({"on": lambda error: True}, "can't find .*<lambda> by its name"),
        ({"but_not": later}, "later is async"),
        ({"on": ValueError, "but_not": (OSError, ValueError)}, "builtins:ValueError stands in `on` and in `but_not`"),
    ],
)
def test_what_is_wrong_is_refused_where_it_is_written(given: dict[str, Any], text: str) -> None:
    with pytest.raises(PolicyError, match=r"^Retry.*" + text):
        Retry(**({"times": 1} | given))


def test_a_policy_that_tells_no_errors_apart_is_recorded_as_before() -> None:
    assert Retry(2) == policy.RetryPolicy(2) == Retry(2).recorded
    assert Retry(2) != Retry(3)
    assert len({Retry(2), Retry(2, delay_s=0.1), Retry(2, on=OSError)}) == 2
    assert function(name="kept", retries=Retry(2).recorded)(breaks).spec.retry == Retry(2)


def test_classes_and_predicates_travel_by_name() -> None:
    recorded = Retry(1, on=(OSError, is_busy), but_not="shop.rules:is_final").recorded
    assert recorded.on == ("builtins:OSError", f"{__name__}:is_busy()")
    assert recorded.but_not == ("shop.rules:is_final()",)
    assert recorded.share == 0.1


ANY = "any"
CASES = [
    ({}, ValueError(), True),
    ({"on": OSError}, ConnectionResetError(), True),
    ({"on": OSError}, ValueError(), False),
    ({"on": (OSError, ValueError)}, Declined(), True),
    ({"on": ValueError, "but_not": Declined}, CardDeclined(), False),
    ({"on": ValueError, "but_not": Declined}, ValueError(), True),
    ({"but_not": (Declined, KeyError)}, KeyError(), False),
    ({"but_not": Declined}, SystemExit(1), True),
    ({"on": is_busy}, OSError(errno.EBUSY, ""), True),
    ({"on": is_busy}, OSError(errno.ENOENT, ""), False),
    ({"on": f"{__name__}:is_busy"}, OSError(errno.EBUSY, ""), True),
    ({"on": f"{__name__}:Declined"}, CardDeclined(), True),
    ({"on": OSError, "but_not": is_busy}, OSError(errno.EBUSY, ""), False),
    ({"on": OSError}, ExceptionGroup("g", [OSError(), OSError()]), True),
    ({"on": OSError}, ExceptionGroup("g", [OSError(), ValueError()]), False),
    ({"on": ExceptionGroup}, ExceptionGroup("g", [OSError(), ValueError()]), True),
    ({"but_not": Declined}, ExceptionGroup("g", [OSError(), ExceptionGroup("h", [CardDeclined()])]), False),
    ({"on": "nowhere.at_all:is_busy"}, OSError(), False),
]


@pytest.mark.parametrize(("given", "error", "again"), CASES)
def test_which_errors_are_worth_another_attempt(given: dict[str, Any], error: BaseException, *, again: bool) -> None:
    assert is_worth_another(Retry(1, **given).recorded, error) is again


def test_a_predicate_that_breaks_lets_nothing_be_tried_again_and_says_so() -> None:
    for given in ({"on": breaks}, {"but_not": breaks}):
        error = ValueError()
        assert not is_worth_another(Retry(1, **given).recorded, error)
        assert error.__notes__ == [
            "It is not tried again, since a predicate of its Function's retries raised LookupError: no table"
        ]


# ---------------------------------------------------------------------- local runs


seen: list[Any] = []


@function(name="undo_charge")
def undo(basket: list[str], fail_with: BaseException | None) -> None:
    seen.append("undone")


@function(name="charge_local", retries=Retry(3, delay_s=86_400, but_not=Declined), rollback=undo)
def charge(basket: list[str], fail_with: BaseException | None) -> int:
    seen.append((weftrun.current().attempt, tuple(basket)))
    basket.append("changed")
    if fail_with is not None and weftrun.current().attempt < 3:
        raise fail_with
    return weftrun.current().attempt


@workflow(name="shop_local")
def shop(fail_with: BaseException | None) -> int:
    return charge(["a"], fail_with)


def test_a_local_run_tries_again_as_the_engine_does_without_the_waits() -> None:
    seen.clear()
    assert shop(OSError()) == 3
    assert seen == [(1, ("a",)), "undone", (2, ("a",)), "undone", (3, ("a",))]


def test_a_local_run_does_not_try_again_what_the_policy_leaves_out() -> None:
    seen.clear()
    with pytest.raises(Declined):
        shop(Declined())
    assert seen == [(1, ("a",))]
    with pytest.raises(weftrun.UsageError):
        shop(weftrun.UsageError("broke a rule"))
    assert len(seen) == 2


def test_an_editor_can_read_its_signature() -> None:
    parameters = inspect.signature(Retry).parameters
    assert list(parameters) == ["times", "delay_s", "factor", "delay_max_s", "jitter", "on", "but_not"]
    assert parameters["delay_s"].annotation == float | timedelta
