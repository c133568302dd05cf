"""Functions that are undone. A module of its own: Sandboxes import it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import weftrun
from weftrun import Retry, function, workflow


def note(what: str, ledger: str) -> int:
    """Append a line to a file outside the engine, and return how many there were."""
    here = weftrun.current()
    path = Path(ledger)
    before = len(path.read_text().splitlines()) if path.exists() else 0
    with path.open("a") as file:
        file.write(f"{what} {here.step_id} {here.attempt} {here.key.partition('/')[2]}\n")
    return before


@function
def refund(how: str, ledger: str) -> Any:
    before = note("refund", ledger)
    if how == "vain":
        raise ValueError("the bank says no")
    if how == "tardy" and before < 3:
        time.sleep(60)
    return os.urandom(200_000) if how == "large" else None


@function(rollback=refund, retries=Retry(2, delay_s=0.0))
def charge(how: str, ledger: str) -> str:
    before = note("charge", ledger)
    if before == 0:
        if how in ("raises", "large"):
            raise OSError("half done")
        if how in ("dies", "vain"):
            os.kill(os.getpid(), signal.SIGKILL)
        if how in ("sleeps", "tardy"):
            time.sleep(60)
    return how


@function(effects="none")
def quiet(how: str) -> str:
    return how


@workflow
def wired(how: str, ledger: str) -> str:
    return quiet(charge(quiet(how), ledger))


@workflow
async def watched(how: str, ledger: str) -> str:
    return await quiet.step(await charge.step(await quiet.step(how), ledger))


@function
def refund_by_mail(how: str) -> None:
    weftrun.current().emit("mails", how)


@function(rollback=refund_by_mail, retries=Retry(1, delay_s=0.0))
def charge_by_mail(how: str) -> str:
    raise OSError(how)
