"""Functions and Workflows: decorated callables."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import types
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, Unpack, cast, get_args, get_origin, overload


from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.sdk.bundle import import_name
from weftrun.sdk.local import run_here, run_here_async
from weftrun.sdk.place import here
from weftrun.sdk.policy import CallPolicy, Policy, apply_policy, place_of
from weftrun.sdk.recorder import check_column
from weftrun.sdk.ref import Mapped, Ref

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")

_is_callable = callable
_registry: dict[str, Function[..., Any]] = {}


class Function(Generic[P, R_co]):
    """A callable with its policy. Made by `@function` and `@workflow`; keeps signature and docstring.

    Inside a workflow's body a call makes a Step and gives a Ref, typed as its value; elsewhere it is a plain call.

    Attributes:
        spec: name and policy, as the engine keeps them.
        callable: the author's function.
        parts: how many parts the value unpacks into, by the return annotation; 0 where that is not said.
    """

    def __init__(
        self, callable: Callable[P, R_co], spec: FunctionSpec, *, id: str | None = None, after: tuple[Ref[Any], ...] = ()
    ) -> None:
        self.spec = spec
        self.callable = callable
        self.run_id = id
        self._after = after
        self.is_async = inspect.iscoroutinefunction(callable)
        self.parts = _parts(callable)
        self._arity = _Arity(callable)
        self.__name__ = spec.label
        self.__qualname__ = getattr(callable, "__qualname__", spec.label)
        self.__module__ = getattr(callable, "__module__", "")
        self.__doc__ = callable.__doc__
        self.__wrapped__ = callable

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Make a Step inside a workflow's body; a plain call elsewhere."""
        recorder = here.recorder
        if recorder is not None:
            return cast("R_co", recorder.call(self, args, kwargs, self._after))
        if self.spec.kind is Kind.FUNCTION:
            return self.callable(*args, **kwargs)
        self.check_arguments(args, kwargs)
        if self.spec.kind is Kind.WIRING:
            return cast("R_co", run_here(self, args, kwargs))
        return cast("R_co", run_here_async(self, args, kwargs))

    @overload
    def step(self: Function[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> Ref[T]: ...
    @overload
    def step(self: Function[P, R], *args: P.args, **kwargs: P.kwargs) -> Ref[R]: ...
    def step(self, *args: Any, **kwargs: Any) -> Ref[Any]:
        """Make a Step in an async workflow and return its Ref, to be awaited.

        Raises:
            UsageError: outside a workflow's body.
        """
        recorder = here.recorder
        if recorder is None:
            name = self.spec.label
            raise UsageError(
                f"{name}.step(...) outside a workflow body. Call {name}(...) for a plain call, "
                f"or engine.start({name}, ...)."
            )
        return recorder.call(self, args, kwargs, self._after)

    @overload
    def map(
        self: Function[..., Coroutine[Any, Any, T]], items: Iterable[Any], /, *more: Iterable[Any], **same: Any
    ) -> Mapped[T]: ...
    @overload
    def map(self: Function[..., R], items: Iterable[Any], /, *more: Iterable[Any], **same: Any) -> Mapped[R]: ...
    def map(self, items: Any, /, *more: Any, **same: Any) -> Any:
        """Make a Step for each item; the value is the list of their values.

        Args:
            items: values of the first parameter, one for each item.
            more: values of the next parameters; all of one length.
            same: keyword arguments that are the same for all items.
        """
        recorder = here.recorder
        if recorder is not None:
            return recorder.map(self, items, more, same, self._after)
        columns = [check_column(self.spec.label, n, column) for n, column in enumerate((items, *more), 1)]
        return [self(*row, **same) for row in zip(*columns, strict=True)]

    def options(self, **policy: Unpack[CallPolicy]) -> Function[P, R_co]:
        """Return this Function with another policy, for one call or one Run.

        Raises:
            PolicyError: as at decoration.
        """
        spec = apply_policy(self.spec, cast("dict[str, Any]", policy), place_of(self.callable))
        changed = Function(self.callable, spec, id=policy.get("id", self.run_id), after=self._after)
        if "after" in policy:
            changed._after = tuple(policy["after"])
            if not all(isinstance(ref, Ref) for ref in changed._after):
                raise PolicyError(f"{spec.label}: `after` takes Refs, as calls give them.")
        return changed

    def check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check that arguments fit the signature.

        Raises:
            TypeError: one is missing, unknown or too many, as Python would say at the call.
        """
        if not self._arity.fits(args, kwargs):
            try:
                inspect.signature(self.callable).bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{self.spec.label}(): {error}") from None

    def named_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield arguments with the names of their parameters."""
        yield from inspect.signature(self.callable).bind(*args, **kwargs).arguments.items()

    def __repr__(self) -> str:
        kind = "function" if self.spec.kind is Kind.FUNCTION else "workflow"
        return f"<weftrun {kind} {self.spec.name}>"

    def __get__(self, instance: object, owner: type | None = None) -> Function[P, R_co]:
        if instance is not None:
            raise self._method_error(owner)
        return self

    def __set_name__(self, owner: type, name: str) -> None:
        if not isinstance(self.callable, staticmethod | classmethod):
            raise self._method_error(owner)

    def _method_error(self, owner: type | None) -> PolicyError:
        return _method_error(f"{owner.__name__ if owner else '?'}.{self.spec.label}", self.callable)

    def __reduce__(self) -> tuple[Any, ...]:
        return refer, (self.spec.name, self.is_async)


def _method_error(name: str, callable: Callable[..., Any]) -> PolicyError:
    return PolicyError(
        f"@function on the method {name} ({place_of(callable)}): its `self` would be copied to every Step. "
        "Write a module-level function that takes the object."
    )


class _Arity:
    """A quick answer to whether arguments fit; where it is not sure, the signature is asked."""

    __slots__ = ("_most", "_names", "_plain", "_required")

    def __init__(self, callable: Callable[..., Any]) -> None:
        code = getattr(callable, "__code__", None)
        simple = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
        self._plain = isinstance(code, types.CodeType) and not code.co_flags & simple and not code.co_posonlyargcount
        if self._plain and code is not None:
            defaults = getattr(callable, "__defaults__", None) or ()
            only = getattr(callable, "__kwdefaults__", None) or {}
            self._most = code.co_argcount
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            self._names = names
            optional = {*names[code.co_argcount - len(defaults) : code.co_argcount], *only}
            self._required = tuple(name not in optional for name in names)

    def fits(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if not self._plain:
            return False
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


def _parts(callable: Callable[..., Any]) -> int:
    """Return how many parts a fixed tuple has that the annotation promises, else 0."""
    annotation = getattr(callable, "__annotations__", {}).get("return")
    if isinstance(annotation, str):
        if not annotation.lower().startswith("tuple["):
            return 0
        try:
            annotation = inspect.get_annotations(callable, eval_str=True).get("return")
        except Exception:  # an annotation is the author's code; one that can't be evaluated promises nothing
            return 0
    args = get_args(annotation)
    return len(args) if get_origin(annotation) is tuple and Ellipsis not in args else 0


def code_version(callable: Callable[..., Any]) -> str:
    """Return a digest of a callable's code: of its instructions and constants, not of its file or its line."""
    code = getattr(callable, "__code__", None)
    if code is None:
        return ""
    hasher = hashlib.sha256()
    _feed_code(hasher, code)
    return hasher.hexdigest()[:16]


def _feed_code(hasher: Any, code: types.CodeType) -> None:
    hasher.update(code.co_code)
    hasher.update(repr((code.co_names, code.co_varnames[: code.co_argcount], code.co_flags)).encode())
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            _feed_code(hasher, const)
        elif isinstance(const, frozenset):
            hasher.update(repr(sorted(map(repr, const))).encode())
        else:
            hasher.update(repr(const).encode())


def _decorate(callable: Any, keywords: dict[str, Any], *, workflow: bool) -> Any:
    word = "workflow" if workflow else "function"
    if isinstance(callable, Function):
        raise PolicyError(f"{callable.spec.label} is a {word} already; use .options(...) for another policy.")
    if not _is_callable(callable):
        raise PolicyError(f"@{word} takes a callable, not {callable!r}.")
    if inspect.ismethod(callable):
        raise _method_error(callable.__qualname__, callable.__func__)
    name = getattr(callable, "__qualname__", "")
    where = place_of(callable)
    if (name == "<lambda>" or name.endswith(".<lambda>")) and "name" not in keywords:
        raise PolicyError(f"A lambda ({where}) has no name that a Sandbox could find it by: use `def`.")
    kind = Kind.FUNCTION
    if workflow:
        kind = Kind.WATCHING if inspect.iscoroutinefunction(callable) else Kind.WIRING
    module = import_name(getattr(callable, "__module__", "") or "")
    label = name.rsplit(".", 1)[-1] or str(keywords.get("name", "function"))
    spec = FunctionSpec(f"{module}:{name}", label, kind, code_version(callable))
    made: Function[..., Any] = Function(callable, apply_policy(spec, keywords, where))
    _registry[made.spec.name] = made
    return made




@overload
def function(callable: Callable[P, R], /, **policy: Unpack[Policy]) -> Function[P, R]: ...
@overload
def function(**policy: Unpack[Policy]) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def function(callable: Any = None, /, **policy: Any) -> Any:
    """Make a Function of a callable: what it does runs in a warm, isolated process, once for each Step.

    Use it bare, with a policy (see `Policy`), or on somebody else's callable: `function(requests.get, name="get")`.

    Raises:
        PolicyError: a policy is misspelt or can't hold, or the callable has no name to find it by.
    """
    if callable is None:
        return lambda wrapped: _decorate(wrapped, policy, workflow=False)
    return _decorate(callable, policy, workflow=False)


@overload
def workflow(callable: Callable[P, R], /, **policy: Unpack[Policy]) -> Function[P, R]: ...
@overload
def workflow(**policy: Unpack[Policy]) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def workflow(callable: Any = None, /, **policy: Any) -> Any:
    """Make a Workflow of a callable whose body calls Functions.

    A `def` body only wires: its graph is known at once. An `async def` body looks at values (`await f.step(x)`), and
    is replayed from records after a crash.

    Raises:
        PolicyError: a policy is misspelt or can't hold for a workflow.
    """
    if callable is None:
        return lambda wrapped: _decorate(wrapped, policy, workflow=True)
    return _decorate(callable, policy, workflow=True)


def find(name: str) -> Function[..., Any]:
    """Return a Function by `module:qualname` or the author's `name=`, importing its module if need be.

    Raises:
        UsageError: there is none.
    """
    found = _registry.get(name)
    if found is None and ":" in name:
        importlib.import_module(name.split(":", 1)[0])
        found = _registry.get(name)
    if found is None or found.callable is _missing:
        raise UsageError(f"No Function is called {name!r} here: was it renamed, or is it made inside another function?")
    return found


def _missing(*args: object, **kwargs: object) -> NoReturn:
    """Stand for a Function that is referred to before its code has come."""
    raise UsageError("This Function's code has not been loaded yet.")


def refer(name: str, is_async: bool) -> Function[..., Any]:
    """Return a Function by name, where need be as a shell to be filled when its code comes. Called by pickle."""
    found = _registry.get(name)
    if found is not None:
        return found
    if not name.startswith("__main__:"):
        return find(name)
    shell: Function[..., Any] = Function(_missing, FunctionSpec(name, name.rsplit(":", 1)[-1]))
    shell.is_async = is_async
    _registry[name] = shell
    return shell


def registered(prefix: str) -> dict[str, Function[..., Any]]:
    """Return the Functions whose name begins with `prefix`."""
    return {name: found for name, found in _registry.items() if name.startswith(prefix)}



def adopt(name: str, callable: Callable[..., Any], spec: FunctionSpec) -> Function[..., Any]:
    """Register a Function whose code came by value, filling the shell that others may refer to already."""
    found = _registry.get(name)
    if found is None:
        found = _registry[name] = Function(callable, spec)
    elif found.callable is _missing:
        Function.__init__(found, callable, spec)
    return found
