"""Which errors are tried again by a real engine: each case by an engine and by a local run, which must agree."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any

import pytest

import weftrun
from weftrun import Retry, function, workflow

pytestmark = pytest.mark.usefixtures("shared_engine")

WAIT_S = 30


class Declined(ValueError):
    pass


class Unpicklable(ValueError):
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def is_busy(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EBUSY


def breaks(_error: BaseException) -> bool:
    raise LookupError("no table")


ERRORS = {
    "declined": lambda: Declined("no"),
    "value": lambda: ValueError("v"),
    "group": lambda: ExceptionGroup("g", [ValueError("v"), Declined("no")]),
    "busy": lambda: OSError(errno.EBUSY, "busy"),
    "odd": lambda: Unpicklable("odd"),
}


@function
def charge(ledger: str, kind: str) -> int:
    with Path(ledger).open("a") as file:
        file.write("entered\n")
    error = ERRORS[kind]()
    raise error


@function(timeout_s=0.1)
def slow(ledger: str) -> int:
    with Path(ledger).open("a") as file:
        file.write("entered\n")
    time.sleep(60)
    return 1


@workflow
def once(ledger: str, kind: str, retry: Retry) -> int:
    return charge.options(retries=retry)(ledger, kind)


@workflow
def items(ledger: str, kind: str, retry: Retry) -> list[int]:
    return charge.options(retries=retry).map([ledger], kind=kind)


@workflow
def slowly(ledger: str, retry: Retry) -> int:
    return slow.options(retries=retry)(ledger)


CASES = [
    ("declined", {"but_not": Declined}, 1),
    ("value", {"but_not": Declined}, 3),
    ("group", {"but_not": Declined}, 1),
    ("odd", {"but_not": Declined}, 3),
    ("declined", {"on": ValueError}, 3),
    ("declined", {"on": (OSError, LookupError)}, 1),
    ("odd", {"on": ValueError}, 3),
    ("busy", {"on": is_busy}, 3),
    ("value", {"on": is_busy}, 1),
    ("busy", {"on": OSError, "but_not": breaks}, 1),
]


def entries(ledger: Path) -> int:
    return len(ledger.read_text().splitlines())


@pytest.mark.parametrize(("kind", "given", "entered"), CASES)
def test_only_what_the_policy_means_is_tried_again(
    engine: weftrun.Engine, tmp_path: Path, kind: str, given: dict[str, Any], entered: int
) -> None:
    retry = Retry(2, delay_s=0, **given)
    for number, body in enumerate((once, items)):
        by_engine, here = tmp_path / f"engine-{number}", tmp_path / f"here-{number}"
        with pytest.raises(Exception) as caught:  # noqa: PT011  # each of its own type
            engine.run(body, str(by_engine), kind, retry)
        with pytest.raises(type(caught.value)):
            body(str(here), kind, retry)
        assert (entries(by_engine), entries(here)) == (entered, entered)
        note = f"attempt {entered} of 3"
        assert (note in caught.value.__notes__[0]) == (entered == 3)


@pytest.mark.parametrize(
    ("given", "entered"),
    [
        ({"on": TimeoutError}, 2),
        ({"on": OSError}, 2),  # as Python has it
        ({"on": weftrun.StepTimedOut}, 2),
        ({"on": ValueError}, 1),
        ({"on": is_busy}, 1),
        ({"but_not": TimeoutError}, 1),
        ({"but_not": is_busy}, 2),
    ],
)
def test_a_timeout_is_a_timeout_error(
    engine: weftrun.Engine, tmp_path: Path, given: dict[str, Any], entered: int
) -> None:
    with pytest.raises(TimeoutError):
        engine.run(slowly, str(tmp_path / "ledger"), Retry(1, delay_s=0, **given))
    assert entries(tmp_path / "ledger") == entered


def test_a_predicate_that_breaks_is_told(engine: weftrun.Engine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="v") as caught:
        engine.run(once, str(tmp_path / "ledger"), "value", Retry(2, delay_s=0, on=breaks))
    assert "a predicate of its Function's retries raised LookupError: no table" in "\n".join(caught.value.__notes__)


@pytest.mark.sweep
def test_the_policy_is_kept_through_a_restart(own_url: str, tmp_path: Path) -> None:
    """What was recorded is what the next engine reads: three Attempts, of which one came before."""
    ledger = tmp_path / "ledger"
    retry = Retry(2, delay_s=0.3, factor=1, jitter=0, on=ValueError, but_not=Declined)
    with weftrun.open(own_url, sandboxes=1) as engine:
        engine.start(once.options(id="kept"), str(ledger), "value", retry)
        while not ledger.exists():
            time.sleep(0.01)
    with weftrun.open(own_url, sandboxes=1) as engine:
        with pytest.raises(ValueError, match="v") as caught:
            engine.get("kept").result(WAIT_S)
        assert "attempt 3 of 3" in caught.value.__notes__[0]
    assert entries(ledger) == 3
