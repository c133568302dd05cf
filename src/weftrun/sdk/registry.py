"""Which Function a name leads to in this process, and that it leads to one only."""

from __future__ import annotations

import gc
import importlib
from collections.abc import MutableMapping
from typing import NoReturn
from weakref import WeakValueDictionary

from weftrun.model.errors import PolicyError, UsageError
from weftrun.sdk.callee import Callee
from weftrun.sdk.code import difference
from weftrun.sdk.home import MAIN, Home, forget_notebook

_lasting: dict[str, Callee] = {}
_passing: WeakValueDictionary[str, Callee] = WeakValueDictionary()
"""Functions whose name leads nowhere by itself, such as `make.<locals>.step`: they are there as long as somebody holds
them, like any object that a function returns."""


def missing(*args: object, **kwargs: object) -> NoReturn:  # noqa: ARG001  # takes whatever a call may hand over
    """Stand for a Function that is referred to before its code has come."""
    raise UsageError("This Function's code has not been loaded yet.")


def known(name: str) -> Callee | None:
    """Return the Function that a name leads to in this process; None where there is none."""
    return _lasting.get(name) or _passing.get(name)


def resolve(name: str) -> Callee:
    """Return the Function that a name leads to, its module imported if need be.

    Raises:
        UsageError: there is none.
    """
    named = known(name)
    if named is None and ":" in name:
        importlib.import_module(name.split(":", 1)[0])
        named = known(name)
    if named is None or named.callable is missing:
        raise UsageError(
            f"No Function is called {name!r} here: was it renamed, or is it made inside another function, or under "
            '`if __name__ == "__main__":`, which a Sandbox does not run?'
        )
    return named


def keep(made: Callee) -> None:
    """Let a name lead to this Function, whatever it led to before."""
    name = made.spec.name
    forget = _passing if made.lasts else _lasting
    forget.pop(name, None)
    by_name: MutableMapping[str, Callee] = _lasting if made.lasts else _passing
    by_name[name] = made


def register(made: Callee) -> None:
    """Make a Function known by its name.

    Raises:
        PolicyError: the name belongs to another one that is still there. The same code may be made again, and other
            code where its module is executed again (a reload, a notebook's cell).
    """
    name = made.spec.name
    text = _conflict(made)
    if text and name in _passing:
        forget_notebook()
        for generation in (1, 2):  # one that nobody holds may still be part of a cycle
            gc.collect(generation)
            text = _conflict(made)
            if not text:
                break
    if text:
        raise PolicyError(text)
    keep(made)


def _conflict(made: Callee) -> str:
    """Return the sentence that refuses a Function whose name belongs to another one, or nothing."""
    name, other = made.spec.name, known(made.spec.name)
    if other is None or other.handler is missing:
        return ""
    alike = made.home.module == other.home.module and made.__qualname__ == other.__qualname__
    if made.origin.is_again(other.origin) and (alike or not _in_session(made)):
        return ""
    what = ""
    if alike:
        what = "kinds" if made.spec.kind is not other.spec.kind else difference(made.handler, other.handler)
        if not what:
            return ""
    differ = f"They differ in their {what}: give" if what else "Give"
    places = made.origin.places(other.origin)
    return f"Two Functions are called {name!r}: {places}. {differ} one of them another `name=`."


def _in_session(function: Callee) -> bool:
    """Say whether it was made in a notebook, a REPL or `python -c`, whose Functions all travel together, by name."""
    return function.home.module == MAIN


def check_in_force(function: Callee) -> None:
    """Check that a name still leads to this Function, since a Sandbox goes by the name.

    Raises:
        UsageError: a cell of a notebook that was run later has given the name to other code.
    """
    other = known(function.spec.name)
    if other is None or other is function or other.handler is function.handler or not _in_session(function):
        return
    if other.handler is missing or not difference(other.handler, function.handler):
        return
    raise UsageError(
        f"{function.spec.label} was made before another Function took its name {function.spec.name!r} "
        f"({other.origin.places(function.origin)}), and a Sandbox would run the later one. Use that one, or give one "
        "of them another `name=`."
    )


def registered(home: Home) -> dict[str, Callee]:
    """Return the Functions that a module has made, by name."""
    return {name: found for name, found in [*_lasting.items(), *_passing.items()] if found.home is home}


def version_here(name: str) -> str:
    """Return the version of a Function as this process has it; empty where it has none of this name."""
    found = known(name)
    return found.spec.version if found is not None else ""
