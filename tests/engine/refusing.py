"""Functions that raise errors of the author's own classes. Sandboxes import it by name."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.sdk import refusals as r

from weftrun import function, workflow


@function(effects="none")
def raises(case: str) -> None:
    error = r.CASES[case]()
    raise error


@function(effects="none")
def told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@workflow
async def catches_all(cases: list[str]) -> list[str]:
    told_of = []
    for case in cases:
        try:
            await raises.step(case)
        except Exception as error:
            # A class that no module has is made anew in each process.
            expected = type(r.CASES[case]())
            if type(error) is not expected and type(error).__name__ != "NoSuchKey":
                raise
            told_of.append(await told.step(error))
    return told_of


@function
def book_car(city: str) -> str:
    raise r.NoCar(city, "sold out")


@function
def give_back_hotel(ledger: str, why: Exception) -> None:
    Path(ledger).write_text(f"the hotel is given back: {why}", encoding="utf-8")


@workflow
async def trip(ledger: str) -> str:
    try:
        return await book_car.step("Oslo")
    except r.NoCar as error:
        await give_back_hotel.step(ledger, error)
        return f"by train, {error}"


@function
def raises_of_a_class_that_no_other_process_can_have() -> None:
    class Locked(Exception):
        lock = threading.Lock()

    raise Locked("x")
