"""Arguments of a call: whether they fit the signature, and their encoding. No argument is run or changed here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from itertools import combinations
from types import CodeType
from typing import Any

from weftrun.model.errors import NotSerializable, PolicyError
from weftrun.sdk.canonical import digest, why_not
from weftrun.sdk.codec import Encoded, encode
from weftrun.sdk.policy import among_arguments

_Call = tuple[tuple[Any, ...], dict[str, Any]]
_DEFAULTS_MAX = 4
"""Of more parameters that have their default, not every choice of those that are said is looked at."""
_VARIADIC = 0x04 | 0x08
"""Code flags of `*args` and `**kwargs`."""


class Signature:
    """What a callable takes. Usual calls are checked by counting; only doubtful ones ask Python's own binding."""

    __slots__ = ("_bound", "_callable", "_counted", "_label", "_most", "_names", "_required")

    def __init__(self, callable: Callable[..., Any], label: str) -> None:
        """Read the signature of `callable`; errors call it `label`."""
        self._callable = callable
        self._label = label
        self._bound: Any = None
        code = getattr(callable, "__code__", None)
        self._counted = isinstance(code, CodeType) and not code.co_flags & _VARIADIC and not code.co_posonlyargcount
        if self._counted and code is not None:
            defaults = getattr(callable, "__defaults__", None) or ()
            self._most = code.co_argcount
            self._names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            optional = {*self._names[self._most - len(defaults) : self._most]}
            optional |= {*(getattr(callable, "__kwdefaults__", None) or ())}
            self._required = tuple(name not in optional for name in self._names)

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check that arguments fit.

        Raises:
            TypeError: one is missing, unknown or too many, as Python would say at the call.
        """
        if not (self._counted and self._fits(args, kwargs)):
            self._bind(args, kwargs)

    def _fits(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        given = len(args)
        if given > self._most:
            return False
        used = 0
        for position in range(given, len(self._names)):
            if self._names[position] in kwargs:
                used += 1
            elif self._required[position]:
                return False
        return used == len(kwargs)

    def check_same(self, rollback: Signature, where: str) -> None:
        """Check that a rollback takes what this takes: the same names, order and defaults.

        Raises:
            PolicyError: it does not; names `where`.
        """
        try:
            mine, other = (_shape(signature_of(taker._callable)) for taker in (self, rollback))
        except (TypeError, ValueError):
            return  # written in C, with no signature to compare: the call will tell
        if mine != other:
            raise PolicyError(
                f"{self._label} ({where}): its rollback {rollback._label}{other} is called with the same "
                f"arguments, so it must take the same parameters: {mine}."
            )

    def check_undone_by(self, compensate: Signature, where: str) -> bool:
        """Check that what undoes a call of this takes what this takes; say whether it takes the `result`, too.

        Raises:
            PolicyError: it does not; names `where`.
        """
        try:
            mine, other = (signature_of(taker._callable) for taker in (self, compensate))
        except (TypeError, ValueError):
            return False  # written in C, with no signature to compare: the call will tell
        takes = "result" in other.parameters and "result" not in mine.parameters
        rest = [parameter for name, parameter in other.parameters.items() if not takes or name != "result"]
        if _shape(mine) != _shape(other.replace(parameters=rest)):
            raise PolicyError(
                f"{self._label} ({where}): {compensate._label}{_shape(other)} undoes it, and is called with the same "
                f"arguments, so it must take the same parameters, and `result` if it wants that: {_shape(mine)}."
            )
        return takes

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return arguments by the names of their parameters; by position where Python knows no signature."""
        signature = self._signature()
        if not signature:
            return {**{str(position): value for position, value in enumerate(args, 1)}, **kwargs}
        try:
            bound: dict[str, Any] = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            known = signature.parameters
            advice = among_arguments(self._label, (name for name in kwargs if name not in known))
            raise TypeError(f"{self._label}(): {error}.{advice}") from None
        return bound

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, refs: bool) -> Encoded:
        """Encode the arguments of a call together.

        Raises:
            NotSerializable: one can't be pickled; the message names it, and the part of it.
        """
        try:
            return encode((args, kwargs), what=f"the arguments of {self._label}", refs=refs)
        except NotSerializable as error:
            of_all = error
        # Outside of the `except`: one chain of errors says it, not the same one twice.
        for name, value in self._bind(args, kwargs).items():
            encode(value, what=f"argument {name} of {self._label}", refs=refs)
        raise of_all

    def digests(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, all_ways: bool) -> tuple[str, ...]:
        """Return the digest by which a start with these arguments is recorded, then those of other ways to write it.

        What is recorded has each argument by position where it can be, and no default that is left out: so a parameter
        may get another name, and a default another value, and what is started as before still joins. Another way says a
        default or leaves it out, or is the way in which the call was written, which older versions recorded. There are
        none where an argument has no digest.

        Args:
            all_ways: whether to tell of all of them, one more look at the arguments for each: also by name, as the
                command line of older versions did, and with some defaults said and others left out.
        """
        try:
            bound = self._signature().bind(*args, **kwargs)
        except (AttributeError, TypeError):  # Python knows no signature of it, or another one than its own
            return _different([(args, kwargs)])
        ways: list[_Call] = [(bound.args, bound.kwargs), (args, kwargs)]
        parameters, given = bound.signature.parameters.values(), dict(bound.arguments)
        rest = next((given.get(p.name, ()) for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        if all_ways and rest is None and not any(p.kind is p.POSITIONAL_ONLY for p in parameters):
            ways.append(_by_name(parameters, given))
        defaults = {
            p.name: p.default
            for p in parameters
            if p.default is not p.empty
            and (p.kind is p.KEYWORD_ONLY or not rest)  # what stands before `*rest` can't be left out
            and (p.name not in given or _is_same(given[p.name], p.default))
        }
        counts = range(len(defaults) + 1) if all_ways and len(defaults) <= _DEFAULTS_MAX else (0, len(defaults))
        for said in (chosen for count in counts for chosen in combinations(defaults, count)):
            bound.arguments = {name: value for name, value in given.items() if name not in defaults}
            bound.arguments |= {name: defaults[name] for name in said}
            ways.append((bound.args, bound.kwargs))
        return _different(ways)

    def _signature(self) -> Any:
        """Return what Python knows of the callable's signature; False where that is nothing."""
        if self._bound is None:
            try:
                self._bound = signature_of(self._callable)
            except (TypeError, ValueError):
                self._bound = False  # a callable written in C may tell nothing of what it takes
        return self._bound

    def why_not_compared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return which argument has no digest, and its type, as `argument conn: conn.pool is a Pool`; else nothing."""
        for name, value in self._bind(args, kwargs).items():
            if not digest(value):
                return f"argument {name}: {why_not(value, name)}, and of such weftrun can't tell what is equal"
        return ""


def _by_name(parameters: Iterable[Any], given: dict[str, Any]) -> _Call:
    """Return the call with all arguments by name."""
    rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), "")
    return (), {name: value for name, value in given.items() if name != rest} | given.get(rest, {})


def _is_same(value: object, default: object) -> bool:
    """Say whether an argument is equal to its default, as far as that can be told."""
    return value is default or (type(value) is type(default) and digest(value) == digest(default) != "")


def _different(ways: list[_Call]) -> tuple[str, ...]:
    """Return the digests of ways to write a call, each once; what was looked at is not looked at again."""
    seen: list[tuple[tuple[int, ...], dict[str, int]]] = []
    found: dict[str, None] = {}
    for args, kwargs in ways:
        shape = tuple(map(id, args)), {name: id(value) for name, value in kwargs.items()}
        if shape not in seen:
            seen.append(shape)
            found[digest((args, kwargs))] = None
    first = next(iter(found))
    return tuple(filter(None, found)) if first else ()


def signature_of(callable: Callable[..., Any]) -> Any:
    """Return what `inspect.signature` does, also where annotations name what only a type checker imports.

    Raises:
        TypeError, ValueError: Python knows no signature of it.
    """
    inspect = importlib.import_module("inspect")  # late: it costs more than the rest of this package
    try:
        return inspect.signature(callable)
    except NameError:  # from 3.14 on annotations are evaluated when they are asked for
        annotationlib = importlib.import_module("annotationlib")
        return inspect.signature(callable, annotation_format=annotationlib.Format.STRING)


def _shape(signature: Any) -> str:
    """Return what a signature takes as text, without annotations."""
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))
