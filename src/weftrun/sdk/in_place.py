"""Constructors that are replaced where they are defined, so that code shares what they make without a change."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from weftrun.model.errors import UsageError
from weftrun.sdk.eviction import Evict
from weftrun.sdk.multiplexer import Rules, share

_CLOSERS: Final = ("close", "__exit__")


def share_in_place(what: Sequence[Any], *, ttl_s: float | None, most: int, evict: Evict) -> None:
    """Replace constructors; see `weftrun.share_in_place`."""
    rules = Rules(ttl_s=ttl_s, most=most, evict=evict)
    for one in what:
        if isinstance(one, str):
            _share_library(one, rules)
        elif isinstance(one, type):
            _put_in_place(one, _class_that_shares(one, rules))
        elif callable(one):
            _put_in_place(one, share(one, rules))
        else:
            raise UsageError(
                f"weftrun.share_in_place({one!r}): it takes names of libraries ({', '.join(_LIBRARIES)}), functions "
                "and classes."
            )


def _share_library(name: str, rules: Rules) -> None:
    if name not in _LIBRARIES:
        raise UsageError(f"weftrun.share_in_place({name!r}): it knows {', '.join(_LIBRARIES)}, and takes functions.")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"weftrun.share_in_place({name!r}): {name} is not installed here: {error}.") from error
    _LIBRARIES[name](module, rules)


def _boto3(_module: Any, rules: Rules) -> None:
    """Share clients of all sessions. To make one is not for threads, to use one is; resources are for none."""
    session: Any = importlib.import_module("boto3.session").Session
    if hasattr(session.client, "__weftrun_shares__"):
        return
    signature = inspect.signature(session.client)

    def key(*args: Any, **kwargs: Any) -> object:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        made_by = given.pop("self")
        config = given.pop("config", None)
        options = getattr(config, "_user_provided_options", config)
        return (given, options, made_by.region_name, made_by.profile_name, _credentials_of(made_by))

    session.client = share(session.client, rules._replace(key=key, one_at_a_time=True))


def _credentials_of(session: Any) -> object:
    """Return by what credentials differ; of those that renew themselves, where they come from."""
    found = session.get_credentials()
    if found is None:
        return None
    if hasattr(found, "refresh_needed"):
        return (found.method, id(found))
    frozen = found.get_frozen_credentials()
    return (frozen.access_key, frozen.secret_key, frozen.token)


def _httpx(module: Any, rules: Rules) -> None:
    _put_in_place(module.Client, _class_that_shares(module.Client, rules))


def _sqlalchemy(module: Any, rules: Rules) -> None:
    def key(url: Any, **kwargs: Any) -> object:
        render = getattr(url, "render_as_string", None)
        return (render(hide_password=False) if render is not None else url, kwargs)

    _put_in_place(module.create_engine, share(module.create_engine, rules._replace(key=key, close="dispose")))


_LIBRARIES: Final[dict[str, Callable[[Any, Rules], None]]] = {
    "boto3": _boto3,
    "httpx": _httpx,
    "sqlalchemy": _sqlalchemy,
}


def _class_that_shares(original: type, rules: Rules) -> type:
    """Return a class that stands for another: calling it gives a shared object, all else is as before.

    Subclasses of it make their own objects, as ever.
    """
    if getattr(original, "__weftrun_stands_for__", None) is not None:
        return original
    close = getattr(original, "close", None)
    given_up = rules._replace(close=close if callable(close) else None)
    get = share(_kept_open(original), given_up)
    of_classes: Any = type(original)

    class Standing(of_classes):  # type: ignore[misc]  # the class of a class, whichever that is
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return get(*args, **kwargs) if self is stands else super().__call__(*args, **kwargs)

        def __instancecheck__(self, instance: Any) -> bool:
            return isinstance(instance, original) if self is stands else super().__instancecheck__(instance)

        def __subclasscheck__(self, subclass: type) -> bool:
            return issubclass(subclass, original) if self is stands else super().__subclasscheck__(subclass)

    stands: type = Standing(original.__name__, (original,), {**_names(original), "__weftrun_stands_for__": original})
    return stands


def _kept_open(original: type) -> type:
    """Return a subclass whose objects nobody closes who only uses them."""

    def stay(self: Any, *_args: Any) -> None:
        """Give it back: others use it."""

    def enter(self: Any) -> Any:
        """Use it: it is open."""
        return self

    members: dict[str, Any] = {name: stay for name in _CLOSERS if hasattr(original, name)}
    if hasattr(original, "__enter__"):
        members["__enter__"] = enter
    return type(original)(original.__name__, (original,), {**_names(original), **members})


def _names(original: type) -> dict[str, Any]:
    return {"__module__": original.__module__, "__qualname__": original.__qualname__, "__doc__": original.__doc__}


def _put_in_place(original: Any, replacement: Any) -> None:
    """Set a name to a replacement where it is defined, and in the public modules of the same library."""
    if replacement is original or hasattr(original, "__weftrun_shares__"):
        return
    home = getattr(original, "__module__", "") or ""
    root, replaced = home.partition(".")[0], False
    for name, module in list(sys.modules.items()):
        parts = name.split(".")
        if name != home and (parts[0] != root or any(part.startswith("_") for part in parts)):
            continue
        for attribute, value in list(vars(module).items()):
            if value is original:
                setattr(module, attribute, replacement)
                replaced = True
    if not replaced:
        raise UsageError(
            f"weftrun.share_in_place({original!r}): no module has it under a name, so nothing can stand in its place; "
            "call what `weftrun.share` returns."
        )
