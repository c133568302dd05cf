"""What is shared by all Attempts of a process: made once, used again, given up in order."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import weftrun
from weftrun import UsageError
from weftrun.sdk.eviction import Evict, Eviction, Use
from weftrun.sdk.multiplexer import MULTIPLEXER


class Client:
    """Knows how often it was made and closed."""

    made: list[Client]
    pause: threading.Event
    fails: bool

    def __init__(self, name: str, region: str = "here", **options: Any) -> None:
        self.pause.wait(20)
        if self.fails:
            raise ConnectionError(name)
        self.name, self.region, self.options, self.closed = name, region, options, 0
        self.made.append(self)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def client() -> Iterator[type[Client]]:
    class Fresh(Client):
        made: list[Client] = []  # noqa: RUF012  # one list for each test
        pause = threading.Event()
        fails = False

    Fresh.pause.set()
    yield Fresh
    MULTIPLEXER.clear()


def counts(client: type[Client]) -> tuple[int, ...]:
    return tuple(weftrun.shared_counts()[f"{client.__module__}:{client.__qualname__}"])


def test_the_same_arguments_give_the_same_object_however_they_are_written(client: type[Client]) -> None:
    first = weftrun.shared(client, "s3")
    assert first is weftrun.shared(client, "s3", "here") is weftrun.shared(client, region="here", name="s3")
    assert weftrun.shared(client, "s3", retries={"max": 3}) is weftrun.shared(client, "s3", retries={"max": 3})
    assert weftrun.shared(client, "s3", n=1) is not weftrun.shared(client, "s3", n=True)
    hook = object()
    assert weftrun.shared(client, "s3", hook=hook) is weftrun.shared(client, "s3", hook=hook)
    assert weftrun.shared(client, "s3", hook=hook) is not weftrun.shared(client, "s3", hook=object())
    assert counts(client) == (6, 5, 0, 0, 0)


def test_other_credentials_and_other_factories_give_other_objects(client: type[Client]) -> None:
    def make(name: str, region: str = "here") -> Client:
        return client(name, region)

    made = [weftrun.shared(client, "s3", key="a"), weftrun.shared(client, "s3", key="b"), weftrun.shared(make, "s3")]
    assert len({id(one) for one in made}) == 3


def test_many_who_ask_at_once_get_the_one_that_is_made(client: type[Client]) -> None:
    client.pause.clear()
    with ThreadPoolExecutor(50) as threads:
        asked = [threads.submit(weftrun.shared, client, "s3") for _ in range(50)]
        while len(counts_or_none(client)) < 2 or counts(client)[1] < 49:
            threading.Event().wait(0.002)
        client.pause.set()
        got = {id(one.result(20)) for one in asked}
    assert (len(got), len(client.made), counts(client)[:3]) == (1, 1, (1, 49, 0))


def counts_or_none(client: type[Client]) -> tuple[int, ...]:
    return tuple(weftrun.shared_counts().get(f"{client.__module__}:{client.__qualname__}", ()))


def test_a_factory_that_fails_fails_all_who_wait_and_is_tried_again(client: type[Client]) -> None:
    client.fails = True
    client.pause.clear()
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(weftrun.shared, client, "s3") for _ in range(5)]
        while len(counts_or_none(client)) < 2 or counts(client)[1] < 4:
            threading.Event().wait(0.002)
        client.pause.set()
        assert all(isinstance(one.exception(20), ConnectionError) for one in asked)
    assert counts(client)[2] == 1
    client.fails = False
    assert weftrun.shared(client, "s3").name == "s3"


def test_the_one_unused_longest_is_given_up_and_closed_when_nobody_holds_it(client: type[Client]) -> None:
    get = weftrun.share(client, most=2)
    held = get("a")
    get("b")
    assert get("a") is held  # `b` is the older one now
    get("c")
    weftrun.shared(client, "c")
    assert [one.closed for one in client.made if one.name == "b"] == [1]
    get("d")  # `a` goes, and is held here
    get("d")
    assert (held.closed, counts(client)[3:]) == (0, (2, 1))
    client.made.remove(held)
    del held
    get("d")
    assert counts(client)[4] == 1 + 1


def given_up(client: type[Client], policy: Evict, asked: str, **rules: Any) -> list[str]:
    """Return which of `a` to `z` are given up when they are asked for in this order, with room for three."""
    get = weftrun.share(client, most=3, evict=policy, **rules)
    for name in asked:
        get(name)
    get(asked[-1])  # looks again at what nobody holds any more
    return [one.name for one in client.made if one.closed]


@pytest.mark.parametrize(
    ("policy", "asked", "expected"),
    [
        ("lru", "aaabcd", ["a"]),
        ("lfu", "aaabcd", ["b"]),  # the least used that was asked for first
        ("lfu", "aabbccdeb", ["a", "d"]),  # the newest is not given up for itself, but for the next one
        ("gdsf", "abcd", ["b"]),
        ("none", "abcdefgh", []),
    ],
)
def test_which_one_is_given_up(
    client: type[Client], monkeypatch: pytest.MonkeyPatch, policy: Evict, asked: str, expected: list[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("weftrun.sdk.multiplexer.clock.seconds", lambda: clock[0])

    class Costly(client):  # type: ignore[misc, valid-type]
        def __init__(self, name: str) -> None:
            clock[0] += {"a": 2.0, "b": 0.1}.get(name, 1.0)
            super().__init__(name)

    assert given_up(Costly, policy, asked) == expected


def test_gdsf_counts_how_large_an_object_is_and_what_was_used_long_ago_grows_old() -> None:
    eviction = Eviction("gdsf")
    small, large, often = Use(), Use(), Use()
    small.cost_s = large.cost_s = often.cost_s = 1.0
    large.size = 10.0
    for use in (small, large, *[often] * 50):
        eviction.used(use)
    assert eviction.victim([often, small, large]) == 2
    for _ in range(60):  # others come and go, and the clock with them
        other = Use()
        other.cost_s = 1.0
        eviction.used(other)
        eviction.victim([other])
    fresh = Use()
    fresh.cost_s = 1.0
    eviction.used(fresh)
    assert eviction.victim([often, fresh]) == 0


def test_any_one_may_be_given_up_at_random(client: type[Client]) -> None:
    assert len(given_up(client, "random", "abcdef")) == 3


def test_a_key_of_ones_own(client: type[Client]) -> None:
    get = weftrun.share(client, key=lambda name, **_options: name.lower())
    assert get("A", trace=1) is get("a", trace=2) is not get("b")

    class Opaque:
        """Has no value, so that only the same object is the same."""

    other = weftrun.share(client, key=lambda name: Opaque())
    assert other("a") is not other("a")


def test_what_was_shared_is_told_once(client: type[Client]) -> None:
    MULTIPLEXER.since_told()
    weftrun.shared(client, "a")
    weftrun.shared(client, "a")
    assert (MULTIPLEXER.since_told(), MULTIPLEXER.since_told()) == ((1, 1, 0, 0, 0), ())


def test_what_is_too_old_is_made_again(client: type[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    get = weftrun.share(client, ttl_s=10.0)
    clock = [100.0]
    monkeypatch.setattr("weftrun.sdk.multiplexer.clock.seconds", lambda: clock[0])
    first = get("a")
    clock[0] = 109.0
    assert get("a") is first
    clock[0] = 110.0
    assert get("a") is not first


def test_one_for_each_thread(client: type[Client]) -> None:
    get = weftrun.share(client, per_thread=True)
    with ThreadPoolExecutor(1) as other:
        assert get("a") is get("a") is not other.submit(get, "a").result(20)


def test_a_fork_makes_its_own(client: type[Client]) -> None:
    mine = weftrun.shared(client, "a")
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.write(writes, b"%d" % (weftrun.shared(client, "a") is mine))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 10) == b"0"
    assert weftrun.shared(client, "a") is mine and mine.closed == 0
    os.close(reads)
    os.close(writes)


def test_an_async_factory_is_awaited_once_for_each_loop(client: type[Client]) -> None:
    made: list[str] = []

    async def connect(name: str) -> object:
        await asyncio.sleep(0)
        made.append(name)
        return object()

    async def both() -> bool:
        one, other = await asyncio.gather(weftrun.shared(connect, "a"), weftrun.shared(connect, "a"))
        return one is other

    assert asyncio.run(both()) and made == ["a"]
    assert asyncio.run(both()) and made == ["a", "a"]


def test_what_can_not_be_shared_is_said(client: type[Client]) -> None:
    with pytest.raises(UsageError, match="it takes a function or a class first, then its arguments"):
        weftrun.shared("s3")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"`ttl_s=0` is not a positive number of seconds"):
        weftrun.share(client, ttl_s=0)
    with pytest.raises(UsageError, match=r"`most=0` is not a number of objects, at least 1"):
        weftrun.share(client, most=0)
    with pytest.raises(UsageError, match=r"`evict='fifo'` is not one of lru, lfu, gdsf, random, none"):
        weftrun.share(client, evict="fifo")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        weftrun.shared(client)  # type: ignore[call-arg]
