"""What a Function takes, for those who call it by words or by JSON: names, type hints, what is missing."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from weftrun.model.errors import UsageError
from weftrun.sdk.arguments import signature_of
from weftrun.sdk.function import Function

_MAY_STAND_FIRST = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Parameters:
    """The parameters of one Function.

    Attributes:
        label: what its errors call it.
        by_name: as `inspect.signature` gives them.
        hints: by name; empty where they can't be evaluated. `return` is among them.
    """

    def __init__(self, function: Function[..., Any], *, extras: bool = False) -> None:
        """Read signature and hints of a Function; with `extras`, hints keep what `Annotated` adds to a type."""
        self.label = function.spec.label
        self.by_name: Mapping[str, inspect.Parameter] = signature_of(function.callable).parameters
        self.hints: dict[str, Any] = hints_of(function.callable, extras=extras)

    def named(self, name: str) -> inspect.Parameter:
        """Return the parameter that takes an argument of this name, which may be `**rest`.

        Raises:
            UsageError: there is none.
        """
        found = self.by_name.get(name)
        if found is not None and found.kind is not found.VAR_KEYWORD:
            return found
        rest = next((p for p in self.by_name.values() if p.kind is p.VAR_KEYWORD), None)
        if rest is not None:
            return rest
        near = difflib.get_close_matches(name, self.by_name, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"{self.label} has no parameter {name!r}.{hint} {self.sentence()}")

    def annotation(self, parameter: inspect.Parameter) -> Any:
        """Return the type hint of a parameter; `Any` where it has none."""
        return self.hints.get(parameter.name, Any)

    def check_missing(self, given: Collection[str]) -> None:
        """Check that each parameter without a default is among the names that are given.

        Raises:
            UsageError: one is not.
        """
        missing = [
            p.name
            for p in self.by_name.values()
            if p.name not in given and p.default is p.empty and p.kind not in _REST
        ]
        if missing:
            needed = ", ".join(f"{name}=…" for name in missing)
            raise UsageError(f"{self.label} needs {needed}. {self.sentence()}")

    def call(self, rest: list[Any], by_name: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return `(args, kwargs)` of a call: `rest` goes to `*rest`, and what must stand first for that does."""
        if rest:
            first = [p for p in self.by_name.values() if p.kind in _MAY_STAND_FIRST]
        else:
            first = [p for p in self.by_name.values() if p.kind is p.POSITIONAL_ONLY and p.name in by_name]
        return (*(by_name.pop(p.name, p.default) for p in first), *rest), by_name

    def sentence(self) -> str:
        """Return what the Function takes, as a sentence."""
        if not self.by_name:
            return f"{self.label} takes no arguments."
        told = [p.replace(annotation=self.hints.get(p.name, p.annotation)) for p in self.by_name.values()]
        return f"It takes {', '.join(map(str, told))}."


def hints_of(callable: Callable[..., Any], *, extras: bool = False) -> dict[str, Any]:
    """Return the type hints of a callable by name, `return` among them; none where they can't be evaluated."""
    try:
        return typing.get_type_hints(callable, include_extras=extras)
    except Exception:  # noqa: BLE001  # annotations are the author's code; what can't be evaluated says nothing
        return {}
