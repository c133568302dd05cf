"""Arguments of a call: whether they fit the signature, and their encoding. No argument is run or changed here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import CodeType
from typing import Any

from weftrun.model.errors import NotSerializable, PolicyError
from weftrun.sdk.canonical import digest, why_not
from weftrun.sdk.codec import Encoded, encode
from weftrun.sdk.policy import among_arguments

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

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return arguments by the names of their parameters; by position where Python knows no signature."""
        if self._bound is None:
            try:
                self._bound = signature_of(self._callable)
            except (TypeError, ValueError):
                self._bound = False  # a callable written in C may tell nothing of what it takes
        if not self._bound:
            return {**{str(position): value for position, value in enumerate(args, 1)}, **kwargs}
        try:
            bound: dict[str, Any] = self._bound.bind(*args, **kwargs).arguments
        except TypeError as error:
            known = self._bound.parameters
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
        except NotSerializable:
            for name, value in self._bind(args, kwargs).items():
                encode(value, what=f"argument {name} of {self._label}", refs=refs)
            raise

    def why_not_compared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return which argument has no digest, and its type, as `argument conn: conn.pool is a Pool`; else nothing."""
        for name, value in self._bind(args, kwargs).items():
            if not digest(value):
                return f"argument {name}: {why_not(value, name)}, and of such weftrun can't tell what is equal"
        return ""


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
