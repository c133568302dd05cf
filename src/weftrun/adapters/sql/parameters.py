"""Parameters of an author's statement: by place or by name, told the same on every database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from weftrun.model.errors import StatementRefused
from weftrun.ports.transactions import Parameters

_TOKEN = re.compile(
    r"""(?P<text>(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*' | (?<!\w)\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*") | (?P<line>--[^\n]*) | (?P<comment>/\*) | (?P<cast>::|:=)
    | (?P<place>\?) | (?<!\w)\$(?P<number>\d+) | (?<!\w):(?P<name>[^\W\d]\w*)""",
    re.DOTALL | re.VERBOSE,
)
_NESTED = re.compile(r"/\*|\*/")
_OURS = re.compile(r"(?<!\w)\"?weftrun\"?(?!\w)", re.IGNORECASE)


def for_postgresql(sql: str, parameters: Parameters) -> tuple[str, tuple[object, ...]]:
    """Return a statement with `$1`, `$2`, … for each parameter, and their values in that order.

    A `?` is an operator of PostgreSQL, too, and left alone where the parameters have names or numbers.

    Raises:
        StatementRefused: there are more or fewer of them, or others, or it names the schema of the Journal.
    """
    tokens = list(_tokens(sql))
    _check_schema(sql, tokens)
    kinds = {kind for kind, _, _, _ in tokens}
    if isinstance(parameters, Mapping):
        order = {name: n for n, name in enumerate(parameters, 1)}
        check_names((value for kind, value, _, _ in tokens if kind == "name"), parameters)
        spelt = {begin: f"${order[value]}" for kind, value, begin, _ in tokens if kind == "name"}
        return _spelt(sql, tokens, spelt), tuple(parameters.values())
    if "name" in kinds and "number" not in kinds and "place" not in kinds and parameters:
        raise names_wanted(value for kind, value, _, _ in tokens if kind == "name")
    if "number" in kinds:
        return sql, tuple(parameters)  # the server counts them
    places = [begin for kind, _, begin, _ in tokens if kind == "place"]
    if len(places) != len(parameters):
        raise StatementRefused(f"The statement has {len(places)} parameters, and {len(parameters)} were handed over.")
    return _spelt(sql, tokens, {begin: f"${n}" for n, begin in enumerate(places, 1)}), tuple(parameters)


def check_names(wanted: Iterable[str], given: Mapping[str, object]) -> None:
    """Check that each name in a statement was given a value, and each value has a name in it."""
    names = list(dict.fromkeys(wanted))
    missing = [f":{name}" for name in names if name not in given]
    spare = [f":{name}" for name in given if name not in names]
    if missing:
        raise StatementRefused(f"The statement takes {', '.join(missing)}, and no value of that name was handed over.")
    if spare:
        raise StatementRefused(f"A value was handed over for {', '.join(spare)}, which is not in the statement.")


def names_wanted(names: Iterable[str]) -> StatementRefused:
    """Return why values without names are refused."""
    told = ", ".join(f":{name}" for name in dict.fromkeys(names))
    return StatementRefused(f"The statement names its parameters ({told}): hand over a dict, or write `?` for each.")


def _tokens(sql: str) -> Iterator[tuple[str, str, int, int]]:
    """Yield what is not plain SQL: kind, text, begin and end."""
    at = 0
    while (found := _TOKEN.search(sql, at)) is not None:
        kind = str(found.lastgroup if found.lastgroup != "tag" else "text")
        at = found.end() if kind != "comment" else _end_of_comment(sql, found.start())
        yield kind, found[kind], found.start(), at


def _end_of_comment(sql: str, at: int) -> int:
    depth = 0
    for found in _NESTED.finditer(sql, at):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(sql)


def _spelt(sql: str, tokens: list[tuple[str, str, int, int]], spelt: dict[int, str]) -> str:
    pieces, at = [], 0
    for _, _, begin, end in tokens:
        if begin in spelt:
            pieces += [sql[at:begin], spelt[begin]]
            at = end
    return "".join([*pieces, sql[at:]])


def _check_schema(sql: str, tokens: list[tuple[str, str, int, int]]) -> None:
    pieces, at = [], 0
    for kind, _, begin, end in tokens:
        if kind in ("text", "line", "comment"):
            pieces += [sql[at:begin], " "]
            at = end
    if _OURS.search("".join([*pieces, sql[at:]])):
        raise StatementRefused("A statement may not name the schema weftrun, which is of the Journal itself.")
