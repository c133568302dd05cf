"""Functions that live behind a URL, and those that are there; the URL is known when the tests' server listens."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass

import weftrun
from weftrun import function, http_function, workflow

URL = os.environ.get("WEFTRUN_TEST_BEHIND", "http://127.0.0.1:9")
LYING = os.environ.get("WEFTRUN_TEST_LYING", "http://127.0.0.1:9")


@dataclass
class Scored:
    text: str
    score: int


# ---------------------------------------------------------------------- at the other end


@function(name="score")
def score_there(text: str, *, weight: int = 1) -> Scored:
    """Score a text."""
    return Scored(text, weight * len(text))


@function(name="key")
async def key_there() -> str:
    await asyncio.sleep(0)
    return weftrun.current().key


CALLS: list[str] = []


@function(name="slow_once")
def slow_once_there(name: str) -> int:
    """Take longer than the first caller waits."""
    CALLS.append(name)
    time.sleep(0.5)
    return CALLS.count(name)


@function(name="fails")
def fails_there(text: str) -> int:
    raise LookupError(f"no {text} here")


@function(name="emits")
def emits_there() -> None:
    weftrun.current().emit("mail", "text")


@function(name="echo")
def echo_there(data: str) -> bytes:
    return data.encode()


THERE = (score_there, key_there, slow_once_there, fails_there, emits_there, echo_there)

# ---------------------------------------------------------------------- here


@http_function(f"{URL}/score", token_from="WEFTRUN_TEST_TOKEN")
def score(text: str, *, weight: int = 1) -> Scored:
    """Score a text."""
    raise AssertionError


@http_function(f"{URL}/key", token_from="WEFTRUN_TEST_TOKEN")
def key() -> str:
    raise AssertionError


@http_function(f"{URL}/slow_once", token_from="WEFTRUN_TEST_TOKEN", deadline_s=0.2)
def slow_once(name: str) -> int:
    raise AssertionError


@http_function(f"{URL}/fails", token_from="WEFTRUN_TEST_TOKEN")
def fails(text: str) -> int:
    raise AssertionError


@http_function(f"{URL}/emits", token_from="WEFTRUN_TEST_TOKEN")
def emits() -> None:
    raise AssertionError


@http_function(f"{URL}/echo", token_from="WEFTRUN_TEST_TOKEN")
def echo(data: str) -> bytes:
    raise AssertionError


@http_function(f"{URL}/score")
def without_token(text: str) -> Scored:
    raise AssertionError


@http_function(f"{URL}/nowhere", token_from="WEFTRUN_TEST_TOKEN")
def nowhere() -> int:
    raise AssertionError


@http_function(f"{LYING}/cut", retries=0)
def cut() -> str:
    raise AssertionError


@function
def uid() -> str:
    return weftrun.current().run_uid


@workflow
def keys() -> tuple[list[str], str]:
    return [key(), key()], uid()


@workflow
def scores(texts: list[str]) -> list[Scored]:
    return [score(text, weight=2) for text in texts]
