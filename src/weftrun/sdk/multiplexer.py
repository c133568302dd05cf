"""Clients that all Attempts of a process share (FaaSBatch's Resource Multiplexer).

What a factory makes for the same arguments is made once, also when many ask at once, and used again until it is too old
or others need its place. A fork makes its own: two processes must not talk over one connection.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Hashable
from functools import wraps
from typing import Any, Final, NamedTuple

from weftrun.model.errors import UsageError
from weftrun.sdk import clock, place
from weftrun.sdk.canonical import digest
from weftrun.sdk.eviction import EVICTS, Evict, Eviction, Use

MOST: Final = 64
"""Objects of one factory that a process keeps, if nobody says otherwise."""


class Rules(NamedTuple):
    """How what a factory makes is shared; see `weftrun.share`."""

    per_thread: bool = False
    ttl_s: float | None = None
    most: int = MOST
    close: str | Callable[[Any], object] | None = "close"
    evict: Evict = "lru"
    size: Callable[[Any], float] | None = None
    key: Callable[..., object] | None = None
    one_at_a_time: bool = False


class SharedCounts(NamedTuple):
    """What came of the calls for one factory in this process.

    Attributes:
        made: objects that were made.
        used: calls that got one which was there, or was being made.
        failed: calls of the factory that raised.
        evicted: objects that were given up, for their age or for want of room.
        closed: of these, those that were closed by now: nobody held them any more.
    """

    made: int = 0
    used: int = 0
    failed: int = 0
    evicted: int = 0
    closed: int = 0


class _Entry:
    """One object, or its making: `ready` is set when it is there, or has failed."""

    __slots__ = ("arguments", "error", "made_at", "ready", "references", "said", "use", "value")

    def __init__(self, arguments: tuple[tuple[Any, ...], dict[str, Any]], said: tuple[Any, ...]) -> None:
        self.arguments = arguments
        self.said = said  # kept, for a key may be made of its identity
        self.ready = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self.made_at = 0.0
        self.references = 0
        self.use = Use()

    def count(self) -> int:
        """Count who refers to the object."""
        return sys.getrefcount(self.value)


class _Pool:
    """What one factory has made."""

    def __init__(self, factory: Callable[..., Any], rules: Rules) -> None:
        self.factory = factory
        self.rules = rules
        self.counts = SharedCounts()
        self._entries: dict[Hashable, _Entry] = {}
        self._evicted: list[_Entry] = []
        self._signature: inspect.Signature | None = None
        self._eviction = Eviction(rules.evict)
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def obey(self, rules: Rules) -> None:
        """Go by other rules from now on."""
        self.rules = rules
        self._eviction = Eviction(rules.evict)

    def get(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the object for these arguments, which is made where there is none."""
        said = self._said(args, kwargs)
        key, now = self._key(said), clock.seconds()
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._is_too_old(entry, now):
                self._evict(key)
                entry = None
            makes = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry((args, kwargs), said)
            self._eviction.used(entry.use)
            self._count(**({} if makes else {"used": 1}))
            self._make_room()
        if makes:
            self._make(key, entry)
        else:
            entry.ready.wait()
        self._close_unused()
        if entry.error is not None:
            raise entry.error
        return entry.value

    def _make(self, key: Hashable, entry: _Entry) -> None:
        args, kwargs = entry.arguments
        try:
            with self._making if self.rules.one_at_a_time else contextlib.nullcontext():
                began = clock.seconds()
                entry.value = self.factory(*args, **kwargs)
            entry.made_at = clock.seconds()
            entry.use.cost_s = entry.made_at - began
            if self.rules.size is not None:
                entry.use.size = max(float(self.rules.size(entry.value)), sys.float_info.epsilon)
            entry.references = entry.count()
            with self._lock:
                self._eviction.reckon(entry.use)
                self._count(made=1)
        except BaseException as error:  # noqa: BLE001  # told to all who asked
            entry.error = error
            with self._lock:
                self._entries.pop(key, None)
                self._count(failed=1)
        finally:
            entry.ready.set()

    def _said(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return by what calls are the same, in one order however they are written."""
        if self.rules.key is not None:
            said = self.rules.key(*args, **kwargs)
            return said if isinstance(said, tuple) else (said,)
        try:
            if self._signature is None:
                self._signature = inspect.signature(self.factory)
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs  # those with a name of their own are positional now
        except (TypeError, ValueError):  # written in C, or it does not fit, which the factory says itself
            pass
        return (*enumerate(args), *sorted(kwargs.items()))

    def _key(self, said: tuple[Any, ...]) -> Hashable:
        """Return the same for the same.

        Of a value it has a digest, so that no credentials lie in a key; of what has none, its identity.
        """
        thread = threading.get_ident() if self.rules.per_thread else 0
        return (thread, *map(_known_by, said))

    def _is_too_old(self, entry: _Entry, now: float) -> bool:
        ttl_s = self.rules.ttl_s
        return ttl_s is not None and entry.ready.is_set() and now >= entry.made_at + ttl_s

    def _make_room(self) -> None:
        if self.rules.evict == "none":
            return
        while len(self._entries) > self.rules.most:
            ready = [key for key, entry in self._entries.items() if entry.ready.is_set()]
            if not ready:
                return  # all are being made, for somebody who waits
            self._evict(ready[self._eviction.victim([self._entries[key].use for key in ready])])

    def _evict(self, key: Hashable) -> None:
        self._evicted.append(self._entries.pop(key))
        self._count(evicted=1)

    def _close_unused(self) -> None:
        """Close what was given up and nobody holds any more; what somebody still uses is looked at again later."""
        if not self._evicted:
            return
        with self._lock:
            unused = [entry for entry in self._evicted if entry.count() <= entry.references]
            self._evicted = [entry for entry in self._evicted if entry not in unused]
            self._count(closed=len(unused))
        for entry in unused:
            self._close(entry.value)

    def _close(self, value: Any) -> None:
        close = self.rules.close
        method = getattr(value, close, None) if isinstance(close, str) else None
        with contextlib.suppress(Exception):  # it is given up, whatever it says
            if callable(close):
                close(value)
            elif callable(method) and not inspect.iscoroutinefunction(method):
                method()

    def clear(self) -> None:
        """Give up all objects, and close those that nobody holds."""
        with self._lock:
            for key in [key for key, entry in self._entries.items() if entry.ready.is_set()]:
                self._evict(key)
        self._close_unused()

    def _count(self, **more: int) -> None:
        self.counts = SharedCounts(*(n + more.get(k, 0) for k, n in self.counts._asdict().items()))


class Multiplexer:
    """All pools of this process."""

    def __init__(self) -> None:
        self._pools: dict[Callable[..., Any], _Pool] = {}
        self._rules: dict[Callable[..., Any], Rules] = {}
        self._left: list[object] = []
        self._told = SharedCounts()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._begin_anew)
        place.sandboxed.counted = self.since_told

    def _begin_anew(self) -> None:
        """Leave what belongs to the process that was forked alone: not even closing it is this one's business."""
        self._left.append(self._pools)
        self._pools = {}
        self._told = SharedCounts()
        self._lock = threading.Lock()

    def pool(self, factory: Callable[..., Any]) -> _Pool:
        """Return the pool of a factory."""
        pool = self._pools.get(factory)
        if pool is None:
            with self._lock:
                pool = self._pools.setdefault(factory, _Pool(factory, self._rules.get(factory, Rules())))
        return pool

    def declare(self, factory: Callable[..., Any], rules: Rules) -> None:
        """Say how what a factory makes is shared, before it has made anything."""
        self._rules[factory] = rules
        pool = self._pools.get(factory)
        if pool is not None:
            pool.obey(rules)

    def counts(self) -> dict[str, SharedCounts]:
        """Return what came of the calls so far, by the name of the factory."""
        return {_name(factory): pool.counts for factory, pool in list(self._pools.items())}

    def since_told(self) -> tuple[int, ...]:
        """Return what came of all calls since this was asked last; nothing where nothing did."""
        with self._lock:
            now = SharedCounts(*map(sum, zip(*(pool.counts for pool in self._pools.values()), strict=True)))
            new = tuple(more - told for more, told in zip(now, self._told, strict=True))
            self._told = now
        return new if any(new) else ()

    def clear(self) -> None:
        """Give up all objects."""
        for pool in list(self._pools.values()):
            pool.clear()


MULTIPLEXER: Final = Multiplexer()


def _known_by(one: Any) -> Hashable:
    """Return what stands for a value in a key: a digest, or its identity, also of what is in a tuple."""
    return digest(one) or (tuple(map(_known_by, one)) if isinstance(one, tuple) else id(one))


def _name(factory: Callable[..., Any]) -> str:
    return f"{getattr(factory, '__module__', '?')}:{getattr(factory, '__qualname__', repr(factory))}"


def shared(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what `factory` makes for these arguments; see `weftrun.shared`."""
    factory = getattr(factory, "__weftrun_shares__", factory)
    try:
        hash(factory)
    except TypeError:
        raise UsageError(f"weftrun.shared({factory!r}): a factory is a function or a class, known by itself.") from None
    if not callable(factory):
        raise UsageError(f"weftrun.shared({factory!r}): it takes a function or a class first, then its arguments.")
    if not place.sandboxed.shares:
        return factory(*args, **kwargs)
    if inspect.iscoroutinefunction(factory):
        return _of_this_loop(factory, args, kwargs)
    return MULTIPLEXER.pool(factory).get(args, kwargs)


async def _of_this_loop(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Await what an `async def` factory makes, once for each loop: what it makes belongs to one."""
    import asyncio  # noqa: PLC0415  # whoever comes here has it

    loop: Any = asyncio.get_running_loop()
    tasks: dict[Any, Any] = loop.__dict__.setdefault("_weftrun_shared", {}) if hasattr(loop, "__dict__") else {}
    pool = MULTIPLEXER.pool(factory)
    said = pool._said(args, kwargs)
    key = (factory, pool._key(said))
    task: Awaitable[Any] | None = tasks.get(key)
    pool._count(**({"used": 1} if task is not None else {"made": 1}))
    if task is None:
        task = tasks[key] = loop.create_task(factory(*args, **kwargs))
    try:
        return await asyncio.shield(task)
    except BaseException:
        if tasks.get(key) is task and getattr(task, "done", bool)():
            del tasks[key]
        raise


def share(factory: Callable[..., Any], rules: Rules) -> Callable[..., Any]:
    """Declare a factory; see `weftrun.share`."""
    if not callable(factory):
        raise UsageError(f"weftrun.share({factory!r}): it takes a function or a class.")
    what, ttl_s, most = f"weftrun.share({_name(factory)})", rules.ttl_s, rules.most
    if ttl_s is not None and not ttl_s > 0:
        raise UsageError(f"{what}: `ttl_s={ttl_s!r}` is not a positive number of seconds.")
    if type(most) is not int or most < 1:
        raise UsageError(f"{what}: `most={most!r}` is not a number of objects, at least 1.")
    if rules.evict not in EVICTS:
        raise UsageError(f"{what}: `evict={rules.evict!r}` is not one of {', '.join(EVICTS)}.")
    factory = getattr(factory, "__weftrun_shares__", factory)
    MULTIPLEXER.declare(factory, rules)

    @wraps(factory, updated=())
    def get(*args: Any, **kwargs: Any) -> Any:
        return shared(factory, args, kwargs)

    get.__weftrun_shares__ = factory  # type: ignore[attr-defined]
    return get
