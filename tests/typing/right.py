"""Right programs: every line passes both checkers in strict mode."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any, TypeVar, assert_type

import weftrun
from weftrun import Mapped, Ref, Retry, Run, function, workflow

T = TypeVar("T")


@function(effects="none")
def count(path: str, *, encoding: str = "utf-8") -> Counter[str]:
    return Counter(open(path, encoding=encoding).read().split())


@function(deterministic=True, effects="none", retries=Retry(3, delay_s=1.0), timeout_s=60)
def merge(parts: list[Counter[str]], top: int = 10) -> list[tuple[str, int]]:
    return sum(parts, Counter[str]()).most_common(top)


@function
async def fetch(url: str) -> bytes:
    return url.encode()


@function
def release(room: str) -> None:
    print(room, weftrun.current().key)


@function(rollback=release)
def reserve(room: str) -> str:
    return room


@function(effects="transaction")
def book(id: str, cents: int) -> int:
    with weftrun.current().transaction() as db:
        try:
            added = db.execute("INSERT INTO app_orders VALUES (?, ?)", (id, cents))
        except weftrun.StatementRefused as refused:
            print(refused.code)
            return 0
        rows = db.execute("SELECT sum(cents) FROM app_orders")
        print(added.changed, rows.columns)
    return int(rows[0][0])


@function
def load(n: int) -> tuple[list[float], list[int]]:
    return [0.5] * n, [1] * n


@function
def fit(ridge: float, x: list[float], y: list[int]) -> float:
    return ridge + len(x) + len(y)


@function
def best(scores: list[float]) -> float:
    return max(scores)


@workflow
def wordcount(paths: list[str]) -> list[tuple[str, int]]:
    return merge(count.map(paths, encoding="utf-8"), top=5)


@workflow
def search(ridges: list[float], n: int = 1000) -> float:
    x, y = load(n)
    return best(fit.map(ridges, x=x, y=y))


@workflow
async def watching(urls: list[str]) -> int:
    first = await fetch.step(urls[0])
    assert_type(first, bytes)
    ref = count.step("a")
    assert_type(ref, Ref[Counter[str]])
    assert_type(ref.out, Counter[str])
    pages = await fetch.map(urls)
    assert_type(pages, list[bytes])
    assert_type(fetch.map(urls), Mapped[bytes])
    words = merge([ref.out, count("b")])
    assert_type(words, list[tuple[str, int]])
    after = merge.options(after=[ref, count.map(urls)], retries=2).step([])
    assert_type(await after, list[tuple[str, int]])
    if weftrun.now() > 0 and weftrun.random().random() < 2:
        await watching.step(urls[1:])
    return len(first)


def is_busy(error: OSError) -> bool:
    return error.errno == 16


@function(retries=Retry(2, delay_s=timedelta(minutes=1), on=(OSError, is_busy), but_not=KeyError))
def told_apart() -> None: ...


@function(effects="none", checkpoint="none")
def guess(n: int) -> float:
    return n / 2


@function(effects="none", deterministic=True, checkpoint="async")
def halve(x: float) -> float:
    return x / 2


@workflow
def light(n: int) -> float:
    return halve.options(checkpoint="none")(guess.options(checkpoint="auto")(n))


@function
def same(value: T, times: int = 1) -> T:
    return value


@function
async def fetched(value: T) -> list[T]:
    return [value]


@function
def paired(left: int, right: str) -> tuple[int, str]:
    return left, right


@function
def named(self: int, items: str, *, fn: int) -> str:
    return f"{self}{items}{fn}"


@workflow
async def generic(words: list[str]) -> int:
    assert_type(same(1), int)
    assert_type(same.map(words), Mapped[str])
    assert_type(same.map([1, 2], times=3), Mapped[int])
    assert_type(await same.map([2.5]), list[float])
    assert_type(fetched.map(words), Mapped[list[str]])
    assert_type(same.map(fetched.map(words)), Mapped[list[str]])
    assert_type(paired.map([1], ["a"]), Mapped[tuple[int, str]])
    assert_type(paired.map([1], right="a"), Mapped[tuple[int, str]])
    assert_type(named(self=1, items="a", fn=2), str)
    assert_type(named.map([1], items="a", fn=2), Mapped[str])
    return len(await named.step(self=1, items="a", fn=2))


def of_any(function: weftrun.Function[..., int]) -> list[int]:
    return function.map([1], ["a"], key=2)


@function(concurrency=16, window="adaptive")
async def fetched_at_once(url: str) -> bytes:
    return url.encode()


@function(concurrency=("threads", 8), window=0.2)
def read_at_once(path: str) -> str:
    return path


@function(batch=True, concurrency=32)
def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


@function(batch=True)
async def lengths_later(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


@workflow
async def at_once(urls: list[str]) -> int:
    assert_type(await fetched_at_once.map(urls), list[bytes])
    assert_type(read_at_once("a"), str)
    assert_type(lengths("a"), int)
    assert_type(await lengths.map(urls), list[int])
    assert_type(await lengths_later.step("a"), int)
    return await lengths.step("a")


dumps = function(json.dumps, name="dumps")
text: str = dumps({"a": 1}, indent=2)
assert_type(count("a"), Counter[str])


@workflow
def choosing(path: str) -> Counter[str] | int | None:
    assert_type(weftrun.when(lengths(path), count, None, path, encoding="ascii"), Counter[str] | None)
    found = weftrun.when(lengths(path), count, lengths, path)
    assert_type(found, Counter[str] | int)
    return found


def outside(engine: weftrun.Engine) -> None:
    run = engine.start(wordcount.options(id="books-1"), ["a"])
    assert_type(run, Run[list[tuple[str, int]]])
    assert_type(run.result(timeout_s=60), list[tuple[str, int]])
    assert_type(engine.run(watching, ["u"]), int)
    assert_type(weftrun.run(count, "a", encoding="ascii"), Counter[str])
    assert_type(engine.get("x"), Run[Any])
    run.cancel()
    assert_type(engine.run(count.options(durable=False), "a"), Counter[str])
    with weftrun.open("sqlite:///app.db", sandboxes=2) as other:
        other.run(fetch, "u")


async def in_async_code(engine: weftrun.Engine) -> None:
    assert_type(await engine.start(fetch, "u"), bytes)
    assert_type(await watching(["u"]), int)


@function
def keyed() -> str:
    current = weftrun.current()
    current.log.info("step %s attempt %d", current.step_id, current.attempt)
    return current.key
