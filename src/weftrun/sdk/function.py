"""Functions and Workflows: decorated callables, and finding them by name. What a call does is decided elsewhere."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Coroutine, Iterable
from types import CodeType, MethodType
from typing import (
    Any,
    Generic,
    NoReturn,
    ParamSpec,
    TypeVar,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from msgspec.structs import replace

from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.sdk.arguments import Signature
from weftrun.sdk.bundle import import_name
from weftrun.sdk.local import run_here
from weftrun.sdk.place import here
from weftrun.sdk.policy import CallPolicy, Policy, called, decorated, place_of
from weftrun.sdk.recorder import check_column
from weftrun.sdk.ref import Mapped, Ref

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")

_COROUTINE = 0x80 | 0x100
"""Code flags of `async def`, and of generators that `types.coroutine` made awaitable."""

_is_callable = callable
_registry: dict[str, Function[..., Any]] = {}


class Function(Generic[P, R_co]):
    """A callable with its policy. Made by `@function` and `@workflow`; keeps signature and docstring.

    Inside a workflow's body a call makes a Step and gives a Ref, typed as its value; elsewhere it is a plain call.

    Attributes:
        spec: name and policy, as the engine keeps them.
        callable: the author's function.
        home: name of the module that made the Function, whose import makes it again in a Sandbox.
        signature: what the callable takes.
        is_async: whether the callable is `async def`.
        parts: how many parts the value unpacks into, by the return annotation; 0 where that is not said.
        run_id: id for the Run that is started with it; None draws one.
        after: Refs of calls that must have succeeded before a call of this.
        durable: whether the Run that is started with it keeps records.
    """

    def __init__(
        self,
        callable: Callable[P, R_co],
        spec: FunctionSpec,
        *,
        home: str = "",
        run_id: str | None = None,
        after: tuple[Ref[Any], ...] = (),
        durable: bool = True,
    ) -> None:
        """Wrap `callable`. Authors write `@function` or `@workflow` instead."""
        self.spec = spec
        self.callable = callable
        self.home = home
        self.run_id = run_id
        self.after = after
        self.durable = durable
        self.signature = Signature(callable, spec.label)
        self.is_async = is_coroutine_function(callable)
        self.parts = _parts(callable)
        self.__name__ = spec.label
        self.__qualname__ = getattr(callable, "__qualname__", spec.label)
        self.__module__ = getattr(callable, "__module__", None) or home
        self.__doc__ = callable.__doc__
        self.__wrapped__ = callable

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Make a Step inside a workflow's body; a plain call elsewhere."""
        recorder = here.recorder
        if recorder is not None:
            return cast("R_co", recorder.call(self, args, kwargs, self.after))
        if self.spec.kind is Kind.FUNCTION:
            return self.callable(*args, **kwargs)
        self.signature.check(args, kwargs)
        return cast("R_co", run_here(self, args, kwargs))

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
        return recorder.call(self, args, kwargs, self.after)

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

        Raises:
            UsageError: this is a workflow, or it has a rollback, or a column is no sequence of items.
        """
        if self.spec.kind is not Kind.FUNCTION:
            name = self.spec.label
            raise UsageError(
                f"{name}.map: {name} is a workflow, and an item of a map is one plain call, which has no Steps inside. "
                f"Call it once for each item: [{name}(x) for x in items]."
            )
        if self.spec.rollback is not None or self.spec.effects == "transaction":
            name = self.spec.label
            what = "has a rollback" if self.spec.rollback is not None else "has a transaction"
            raise UsageError(
                f"{name}.map: {name} {what}, so each call needs records of its own, and items of a map share them. "
                f"Call it once for each item: [{name}(x) for x in items]."
            )
        recorder = here.recorder
        if recorder is not None:
            return recorder.map(self, (items, *more), same, self.after)
        columns = [check_column(self.spec.label, n, column) for n, column in enumerate((items, *more), 1)]
        return [self(*row, **same) for row in zip(*columns, strict=True)]

    def options(self, **policy: Unpack[CallPolicy]) -> Function[P, R_co]:
        """Return this Function with another policy, for one call or one Run.

        Raises:
            PolicyError: a policy is misspelt, has a wrong value, or belongs to the decorator.
        """
        where = place_of(self.callable)
        spec = called(self.spec, cast("dict[str, Any]", policy), where)
        after = tuple(policy.get("after", self.after))
        if not all(isinstance(ref, Ref) for ref in after):
            raise PolicyError(f"{spec.label} ({where}): `after` takes Refs, as calls in a workflow give them.")
        run_id = policy.get("id", self.run_id)
        durable = policy.get("durable", self.durable)
        if not durable and run_id is not None:
            raise PolicyError(
                f"{spec.label} ({where}): `id` and `durable=False` exclude each other: a Run without records can't be "
                "found by an id. Leave one of them out."
            )
        refs = cast("tuple[Ref[Any], ...]", after)
        return Function(self.callable, spec, home=self.home, run_id=run_id, after=refs, durable=durable)

    def __repr__(self) -> str:
        kind = "function" if self.spec.kind is Kind.FUNCTION else "workflow"
        return f"<weftrun {kind} {self.spec.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return refer, (self.spec, self.is_async)


def _method_error(word: str, method: str, where: str) -> PolicyError:
    return PolicyError(
        f"@{word} on the method {method} ({where}): its `self` would be copied to every Step. "
        "Write a module-level function that takes the object."
    )


def is_coroutine_function(callable: Any) -> bool:
    """Say whether calling it gives a coroutine, also through `functools.partial`."""
    while hasattr(callable, "func"):
        callable = callable.func
    code = getattr(callable, "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & _COROUTINE)


def _parts(callable: Callable[..., Any]) -> int:
    """Return how many parts a fixed tuple has that the annotation promises, else 0."""
    annotation = getattr(callable, "__annotations__", {}).get("return")
    if isinstance(annotation, str):
        if "tuple[" not in annotation.lower():
            return 0
        try:
            annotation = get_type_hints(callable).get("return")
        except Exception:  # noqa: BLE001  # an annotation is the author's code; one that can't be evaluated promises nothing
            return 0
    args = get_args(annotation)
    return len(args) if get_origin(annotation) is tuple and Ellipsis not in args else 0


def code_version(callable: Any) -> str:
    """Return a digest of a callable's code: of its instructions, constants and names, not of its file or its lines.

    It is the same in every process of one Python version; empty for a callable written in C.
    """
    while hasattr(callable, "func"):
        callable = callable.func
    code = getattr(callable, "__code__", None)
    return hashlib.sha256(_code_text(code).encode()).hexdigest()[:16] if isinstance(code, CodeType) else ""


def _code_text(const: object) -> str:
    """Return a text of a constant that has no address in it, and no order that a hash seed decides."""
    if isinstance(const, CodeType):
        names = (const.co_names, const.co_varnames, const.co_freevars, const.co_flags)
        consts = ",".join(map(_code_text, const.co_consts))
        return f"<{const.co_name} {const.co_code.hex()} {names!r} {consts}>"
    if isinstance(const, tuple):
        return f"({','.join(map(_code_text, const))})"
    if isinstance(const, frozenset):
        return f"{{{','.join(sorted(map(_code_text, const)))}}}"
    return repr(const)


def _decorate(callable: Any, keywords: dict[str, Any], home: str, *, workflow: bool) -> Any:
    word = "workflow" if workflow else "function"
    if isinstance(callable, Function):
        raise PolicyError(f"{callable.spec.label} is made by @function or @workflow already; use .options(...).")
    if not _is_callable(callable):
        raise PolicyError(f"@{word} takes a callable, not {callable!r}.")
    if isinstance(callable, MethodType):
        raise _method_error(word, callable.__qualname__, place_of(callable.__func__))
    where = place_of(callable)
    name = getattr(callable, "__qualname__", "")
    if "name" not in keywords and (not name or name.endswith("<lambda>")):
        what = "A lambda" if name else repr(callable)
        raise PolicyError(f"{what} ({where}) has no name that a Sandbox could find it by: use `def`, or give `name=`.")
    kind = Kind.FUNCTION
    if workflow:
        kind = Kind.WATCHING if is_coroutine_function(callable) else Kind.WIRING
    module = import_name(getattr(callable, "__module__", None) or home)
    label = name.rsplit(".", 1)[-1] if name else word
    spec = decorated(FunctionSpec(f"{module}:{name}", label, kind, code_version(callable)), keywords, where)
    made = Function(callable, spec, home=home)
    if "rollback" in keywords:
        made.signature.check_same(keywords["rollback"].signature, where)
    return _register(made)


def _register(made: Function[..., Any]) -> Function[..., Any]:
    """Make a Function known by its name.

    Raises:
        PolicyError: the name belongs to another one; the same code may be made again (a reload, a notebook's cell).
    """
    known = _registry.get(made.spec.name)
    if known is not None and known.callable is not _missing:
        mine, other = (getattr(one.callable, "__qualname__", "") for one in (made, known))
        if mine != other or import_name(made.home) != import_name(known.home):
            raise PolicyError(
                f"Two Functions are called {made.spec.name!r}: {place_of(made.callable)} and "
                f"{place_of(known.callable)}. Give one of them another `name=`."
            )
    _registry[made.spec.name] = made
    return made


def _caller(word: str, callable: Any) -> str:
    """Return the name of the module that calls our caller.

    Raises:
        PolicyError: it is called in the body of a class: it would make a Function of a method.
    """
    frame = sys._getframe(2)
    owner = frame.f_locals.get("__qualname__")
    if owner is not None and frame.f_locals is not frame.f_globals:
        named = getattr(callable, "__func__", callable)
        method = f"{owner}.{named.__name__}" if hasattr(named, "__name__") else f"of class {owner}"
        raise _method_error(word, method, f"{frame.f_code.co_filename}:{frame.f_lineno}")
    return str(frame.f_globals.get("__name__", "__main__"))


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
        home = _caller("function", None)
        return lambda wrapped: _decorate(wrapped, policy, home, workflow=False)
    return _decorate(callable, policy, _caller("function", callable), workflow=False)


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
        home = _caller("workflow", None)
        return lambda wrapped: _decorate(wrapped, policy, home, workflow=True)
    return _decorate(callable, policy, _caller("workflow", callable), workflow=True)


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


def _missing(*args: object, **kwargs: object) -> NoReturn:  # noqa: ARG001  # takes whatever a call may hand over
    """Stand for a Function that is referred to before its code has come."""
    raise UsageError("This Function's code has not been loaded yet.")


def refer(spec: FunctionSpec, is_async: bool) -> Function[..., Any]:
    """Return a Function by name, where need be as a shell to be filled when its code comes. Called by pickle."""
    found = _registry.get(spec.name)
    if found is None and spec.name.startswith("__main__:"):
        found = Function(_missing, spec, home="__main__")
        found.is_async = is_async
        _registry[spec.name] = found
    if found is None:
        found = find(spec.name)
    if found.callable is _missing:
        return found
    # The policy that it was given by `.options` travels along; the code is what is here.
    here_now = replace(spec, version=found.spec.version)
    return found if here_now == found.spec else Function(found.callable, here_now, home=found.home)


def registered(home: str) -> dict[str, Function[..., Any]]:
    """Return the Functions that the module `home` has made, by name."""
    return {name: found for name, found in _registry.items() if found.home == home}


def version_here(name: str) -> str:
    """Return the version of a Function as this process has it; empty where it has none of this name."""
    found = _registry.get(name)
    return found.spec.version if found is not None else ""


def adopt(name: str, callable: Callable[..., Any], spec: FunctionSpec) -> Function[..., Any]:
    """Register a Function whose code came by value, filling the shell that others may refer to already."""
    found = _registry.get(name)
    if found is None:
        found = _registry[name] = Function(callable, spec, home="__main__")
    elif found.callable is not callable:
        Function.__init__(found, callable, spec, home="__main__")
    return found
