"""What a block of DataFlower has posted, and what of it comes to a block behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from weftrun.fronts.faasflow.data import apart
from weftrun.fronts.faasflow.dataflow import COUNT, BlockInput, Place, Sender

Given = Mapping[str, "Posts | list[Posts]"]
"""By node; a list where the node stands in a foreach."""
Datum = tuple[str, Any]
"""Whether it is `json` or `octet`, and its bytes."""

TOKEN: Final[Datum] = ("json", b"null")


class Posts:
    """Data of one call of a block, by key, in the order in which they were posted.

    Attributes:
        is_dead: nothing was run, since one of its inputs never comes.
        case: of a switch, the place of the condition that held; -1 where none did.
    """

    __slots__ = ("case", "is_dead", "kept")

    def __init__(self, kept: Mapping[str, list[Datum]] | None = None, is_dead: bool = False, case: int = -1) -> None:
        """Begin with these data."""
        self.kept: dict[str, list[Datum]] = {key: list(data) for key, data in (kept or {}).items()}
        self.is_dead = is_dead
        self.case = case

    def post(self, key: str, value: object, datatype: str) -> None:
        """Keep one more datum: JSON, or bytes where `datatype` is `octet`.

        Raises:
            TypeError: it has no JSON, or is not bytes although the type says so.
            ValueError: there is no such type.
        """
        if datatype == "json":
            data: Any = json.dumps(value).encode()
        elif datatype == "octet":
            data = bytes(memoryview(value))  # type: ignore[arg-type]  # raises TypeError where it is none
        else:
            raise ValueError(f"store.post({key!r}): the datatype is {datatype!r}, and must be 'json' or 'octet'.")
        self.kept.setdefault(key, []).append((datatype, data))

    def __repr__(self) -> str:
        if self.is_dead:
            return "Posts(never came to run)"
        told = [f"{key}: {sum(memoryview(data).nbytes for _, data in each):,} bytes" for key, each in self.kept.items()]
        return f"Posts({', '.join(told)})"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        kept = {key: [(kind, apart(data)) for kind, data in each] for key, each in self.kept.items()}
        return Posts, (kept, self.is_dead, self.case)


def value_of(datum: Datum) -> Any:
    """Return a datum as a block fetches it."""
    kind, data = datum
    return json.loads(bytes(data)) if kind == "json" else bytes(data)


class Unposted(Exception):
    """A block has run and has not posted what it was to."""

    def __init__(self, source: Sender, posts: Posts) -> None:
        """Tell of `source`, of which nothing is among `posts`."""
        super().__init__(source, posts)
        self.source = source
        self.posted = sorted(posts.kept)


class Arrivals:
    """What comes to one call of a block.

    Attributes:
        given: what the nodes before it have posted.
        places: of each node in a foreach, which calls of it there are, in the order of `given`.
        unborn: of each node in a foreach, the places at which it was never known how many calls there are to be, since
            what drives them never came.
    """

    def __init__(
        self, outside: Mapping[str, Datum], given: Given, places: Mapping[str, list[Place]],
        unborn: Mapping[str, list[Place]],
    ) -> None:  # fmt: skip
        """Look among these."""
        self._outside = outside
        self._given = given
        self._places = places
        self._unborn = unborn

    def at(self, wanted: BlockInput, place: Place) -> list[Datum] | None:
        """Return what comes to an input of the call at `place`: one datum, or all of a LIST; None if it never does.

        Raises:
            Unposted: what was to post it has run, and has not.
        """
        unposted: Unposted | None = None
        came: list[Datum] | None = None
        for source in wanted.sources:
            try:
                found = self._all(source, place) if wanted.type == "LIST" else self._one(source, place)
            except Unposted as error:
                unposted = unposted or error
                continue
            if found is not None and wanted.type == "NORMAL":
                return found
            if found is not None:
                came = (came or []) + found
        if came is None and unposted is not None:
            raise unposted
        return came

    def _one(self, source: Sender, place: Place) -> list[Datum] | None:
        if not source.block:
            return [self._outside[source.key]] if source.key in self._outside else None
        given = self._given[source.block]
        if isinstance(given, Posts):
            return _of(given, source, place)
        depth = len(place) - (source.type == "FOREACH")
        for at, posts in zip(self._places[source.block], given, strict=True):
            if len(at) <= depth and at == place[: len(at)]:
                return _of(posts, source, place)
        if any(at == place[: len(at)] for at in self._unborn.get(source.block, ())):
            return None
        raise ValueError(
            f"There is no call {list(place)} of {source.block}, whose {source.key!r} is to come to the call of that "
            "serial of another block: two foreaches side by side are of different lengths."
        )

    def _all(self, source: Sender, place: Place) -> list[Datum] | None:
        """Return what all calls below `place` have posted, in the order of their serials."""
        if not source.block:
            return self._one(source, place)
        given = self._given[source.block]
        if isinstance(given, Posts):
            return _each(given, source)
        if any(at == place[: len(at)] for at in self._unborn.get(source.block, ())):
            return None
        below = [
            posts
            for at, posts in zip(self._places[source.block], given, strict=True)
            if at[: len(place)] == place[: len(at)]
        ]
        came = [found for posts in below if (found := _each(posts, source)) is not None]
        return None if below and not came else [datum for found in came for datum in found]


def _takes_way(posts: Posts, source: Sender) -> bool:
    return not posts.is_dead and (source.case < 0 or source.case == posts.case)


def _of(posts: Posts, source: Sender, place: Place) -> list[Datum] | None:
    if not _takes_way(posts, source):
        return None
    if source.is_token:
        return [TOKEN]
    kept = posts.kept.get(source.key, [])
    if source.type == "FOREACH":
        return [kept[place[-1]]]
    if not kept:
        raise Unposted(source, posts)
    return [kept[0]]


def _each(posts: Posts, source: Sender) -> list[Datum] | None:
    if not _takes_way(posts, source):
        return None
    if source.key not in posts.kept and not source.is_token:
        raise Unposted(source, posts)
    return [TOKEN] if source.is_token else posts.kept[source.key]


def counted(posts: Posts, keys: list[str]) -> int:
    """Return how many data of a FOREACH a block has posted, of several keys side by side; -1 where it never ran.

    Raises:
        ValueError: of one key it has posted more than of another.
    """
    if posts.is_dead:
        return -1
    lengths = {key: len(posts.kept.get(key, ())) for key in keys if key != COUNT}
    if len(set(lengths.values())) > 1:
        told = " and ".join(f"{count} under {key!r}" for key, count in lengths.items())
        raise ValueError(f"A block runs for each of several data side by side, and there are {told}.")
    return max(lengths.values(), default=0)
