"""Functions and Workflows: decorated callables, and finding them by name. What a call does is decided elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import FrameType, MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from msgspec.structs import replace

from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.ids import StepId, item_step
from weftrun.model.placement import Expected
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.sdk.annotation import parts_of
from weftrun.sdk.arguments import Signature
from weftrun.sdk.code import code_version, is_coroutine_function, stands_in_a_module, yields
from weftrun.sdk.home import MAIN, Home, home_of, notebook
from weftrun.sdk.local import call_here, run_here
from weftrun.sdk.origin import NOWHERE, Origin
from weftrun.sdk.place import here, nothing_runs
from weftrun.sdk.policy import CallPolicy, FunctionPolicy, Policy, called, decorated, place_of
from weftrun.sdk.recorder import check_column
from weftrun.sdk.ref import Mapped, Ref
from weftrun.sdk.registry import check_in_force, keep, known, missing, register, resolve

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")

_is_callable = callable


_PLACING = frozenset({"queue", "key", "priority", "delay_s", "deduplicate"})
"""What `options` takes of a Run that is put into a queue; see `sdk.queues`."""

if TYPE_CHECKING:
    from weftrun.model.queues import QueueOptions

    class _OfLists(Protocol):
        """What `@function(batch=True)` makes of a handler of lists: a Function of single values."""

        @overload
        def __call__(
            self, handler: Callable[[list[A]], Coroutine[Any, Any, list[R]]], /
        ) -> Function[[A], Coroutine[Any, Any, R]]: ...
        @overload
        def __call__(self, handler: Callable[[list[A]], list[R]], /) -> Function[[A], R]: ...
        @overload
        def __call__(
            self, handler: Callable[..., Coroutine[Any, Any, list[R]]], /
        ) -> Function[..., Coroutine[Any, Any, R]]: ...
        @overload
        def __call__(self, handler: Callable[..., list[R]], /) -> Function[..., R]: ...

    # What `f.map` takes and gives is worked out from `f` as a callable, which a type parameter of `f` itself survives:
    # `same.map([1])` is a list of int where `same` returns what it is given. As an argument `self` it would not.
    _ItemsOf = Callable[Concatenate[Iterable[A], ...], Mapped[R]]
    _Async = type["Function[..., Coroutine[Any, Any, Any]]"]

    class _Map:
        @overload
        def __get__(self, of: Callable[[A], Coroutine[Any, Any, T]], owner: _Async, /) -> _ItemsOf[A, T]: ...
        @overload
        def __get__(
            self, of: Callable[Concatenate[A, ...], Coroutine[Any, Any, T]], owner: _Async, /
        ) -> _ItemsOf[A, T]: ...
        @overload
        def __get__(self, of: Function[..., Coroutine[Any, Any, T]], owner: _Async, /) -> _ItemsOf[Any, T]: ...
        @overload
        def __get__(self, of: Callable[[A], R], owner: Any, /) -> _ItemsOf[A, R]: ...
        @overload
        def __get__(self, of: Callable[Concatenate[A, ...], R], owner: Any, /) -> _ItemsOf[A, R]: ...
        @overload
        def __get__(self, of: Function[..., R], owner: Any, /) -> _ItemsOf[Any, R]: ...
        def __get__(self, of: Any, owner: Any, /) -> Any: ...


class Function(Generic[P, R_co]):
    """A callable with its policy. Made by `@function` and `@workflow`; keeps signature and docstring.

    Inside a workflow's body a call makes a Step and gives a Ref, typed as its value; elsewhere it is a plain call.

    Attributes:
        spec: name and policy, as the engine keeps them.
        callable: the author's function, or with `batch=True` what calls it for one call.
        handler: the author's function.
        home: the module that made the Function, whose import makes it again in a Sandbox.
        signature: what the callable takes.
        is_async: whether the callable is `async def`.
        parts: how many parts the value unpacks into, by the return annotation; 0 where that is not said.
        run_id: id for the Run that is started with it; None draws one.
        after: Refs of calls that must have succeeded before a call of this.
        durable: whether the Run that is started with it keeps records.
        asked: of the queue that its Run is put into; None where it begins at once.
        expected: what its Steps are expected to need, by label, where it is a Workflow of which a file says so.
        origin: where it was made; of one whose code came from another process, nowhere.
        compensate: what undoes a Step of it that succeeded, where its workflow fails; None for nothing.
        compensates_with_result: whether that takes the value of the Step, too.
        lasts: whether its name leads to it for good, or as long as somebody holds it.
    """

    def __init__(
        self,
        callable: Callable[P, R_co],
        spec: FunctionSpec,
        *,
        home: Home,
        run_id: str | None = None,
        after: tuple[Ref[Any], ...] = (),
        durable: bool = True,
        origin: Origin = NOWHERE,
        holds: tuple[Function[..., Any], ...] = (),
    ) -> None:
        """Wrap `callable`. Authors write `@function` or `@workflow` instead."""
        self.is_async = is_coroutine_function(callable)
        self.spec = spec
        self.handler: Callable[..., Any] = callable
        takes_lists = spec.sharing is not None and spec.sharing.how == "list" and callable is not missing
        self.callable = (
            _batching().one_by_one(callable, spec.label, is_async=self.is_async) if takes_lists else callable
        )
        self.home = home
        self.run_id = run_id
        self.after = after
        self.durable = durable
        self.asked: QueueOptions | None = None
        self.expected: Mapping[str, Expected] = {}
        self.compensate: Function[..., Any] | None = None
        self.compensates_with_result = False
        self.origin = origin
        self._holds = (
            holds  # what is found by name as long as this is there: its rollback; what `options` was called on
        )
        self.signature = Signature(callable, spec.label)
        self.parts = 0 if takes_lists else parts_of(callable)
        self.__name__ = spec.label
        self.__qualname__ = getattr(callable, "__qualname__", spec.label)
        self.__module__ = getattr(callable, "__module__", None) or home.module
        self.__doc__ = callable.__doc__
        self.__wrapped__ = callable
        # What stands in its module stays; what a function makes while it runs (`make.<locals>.step`) comes and goes.
        self.lasts = origin is NOWHERE or stands_in_a_module(callable)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Make a Step inside a workflow's body; a plain call elsewhere."""
        recorder = here.recorder
        if recorder is not None:
            return cast("R_co", recorder.call(self, args, kwargs, self.after))
        if self.spec.kind is Kind.FUNCTION:
            if nothing_runs():
                return cast("R_co", call_here(self, StepId(self.spec.label), args, kwargs))
            return self.callable(*args, **kwargs)
        self.signature.check(args, kwargs)
        return cast("R_co", run_here(self, args, kwargs))

    @overload
    def step(self: Function[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Ref[T]: ...
    @overload
    def step(self: Function[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Ref[R]: ...
    def step(self, /, *args: Any, **kwargs: Any) -> Ref[Any]:
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

    if TYPE_CHECKING:
        map = _Map()
    else:

        def map(self, /, *columns: Any, **same: Any) -> Any:
            """Make a Step for each item; the value is the list of their values.

            Args:
                columns: values of the first parameters, one for each item; all of one length.
                same: keyword arguments that are the same for all items.

            Raises:
                UsageError: this is a workflow, or it has a rollback, or a column is no sequence of items, or there
                    is none.
            """
            _check_mapped(self.spec)
            if self.compensate is not None:
                raise _saga().refuse(self.spec.label, "", is_map=True)
            if not columns:
                raise _no_items(self.spec.label, same)
            recorder = here.recorder
            if recorder is not None:
                return recorder.map(self, columns, same, self.after)
            rows = zip(*(check_column(self.spec.label, n, column) for n, column in enumerate(columns, 1)), strict=True)
            if not nothing_runs():
                return [self.callable(*row, **same) for row in rows]
            step = StepId(self.spec.label)
            return [call_here(self, item_step(step, index), row, same) for index, row in enumerate(rows)]

    def options(self, **policy: Unpack[CallPolicy]) -> Function[P, R_co]:
        """Return this Function with another policy, for one call or one Run.

        Raises:
            PolicyError: a policy is misspelt, has a wrong value, or belongs to the decorator.
        """
        where = place_of(self.handler)
        spec = called(self.spec, cast("dict[str, Any]", policy), where)
        if spec.sharing is not None:
            spec = _batching().resolved(spec, is_async=self.is_async, where=where)
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
        asked = self.asked
        if not _PLACING.isdisjoint(policy):
            asked = importlib.import_module("weftrun.sdk.queues").placed(policy, asked, spec.label, where)  # late
        if asked is not None and not durable:
            raise PolicyError(
                f"{spec.label} ({where}): `queue` and `durable=False` exclude each other: a Run that waits in a queue "
                "is kept in the Journal. Leave one of them out."
            )
        refs = cast("tuple[Ref[Any], ...]", after)
        made: Function[P, R_co] = Function(
            self.handler, spec, home=self.home, run_id=run_id, after=refs, durable=durable, origin=self.origin,
            holds=(self,),
        )  # fmt: skip
        made.expected = self.expected
        made.asked = asked
        _undone_alike(made, self)
        return made

    def __repr__(self) -> str:
        kind = "function" if self.spec.kind is Kind.FUNCTION else "workflow"
        return f"<weftrun {kind} {self.spec.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        check_in_force(self)
        return refer, (self.spec, self.is_async)


def _no_items(label: str, same: Iterable[str]) -> UsageError:
    said = f"{label}.map({', '.join(f'{name}=...' for name in same)}) has no items"
    return UsageError(
        f"{said}: items are positional, one sequence for each of the first parameters, as in {label}.map([1, 2, 3]); "
        "what is given by keyword is the same for all items."
    )


def _check_mapped(spec: FunctionSpec) -> None:
    """Refuse a map of what is no plain Function."""
    name = spec.label
    once = f"Call it once for each item: [{name}(x) for x in items]."
    if spec.kind is not Kind.FUNCTION:
        raise UsageError(
            f"{name}.map: {name} is a workflow, and an item of a map is one plain call, which has no Steps inside. "
            f"{once}"
        )
    if spec.is_stream:
        raise UsageError(f"{name}.map: {name} yields, and each of its streams is read by itself. {once}")
    if spec.outputs:
        raise UsageError(
            f"{name}.map: {name} has outputs, which its callers read by name, and an item of a map has no Ref to ask. "
            f"{once}"
        )
    if spec.rollback is not None or spec.effects == "transaction":
        what = "has a rollback" if spec.rollback is not None else "has a transaction"
        raise UsageError(
            f"{name}.map: {name} {what}, so each call needs records of its own, and items of a map share them. {once}"
        )


def _saga() -> Any:
    return importlib.import_module("weftrun.sdk.saga")  # late: few authors need it


def _batching() -> Any:
    return importlib.import_module("weftrun.sdk.batching")  # late: few authors need it


def _method_error(word: str, method: str, where: str) -> PolicyError:
    return PolicyError(
        f"@{word} on the method {method} ({where}): its `self` would be copied to every Step. "
        "Write a module-level function that takes the object."
    )


def _decorate(callable: Any, keywords: dict[str, Any], made_by: FrameType, *, workflow: bool) -> Any:
    word = "workflow" if workflow else "function"
    if isinstance(callable, staticmethod):
        callable = callable.__func__
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
    module, home = _module_and_home(callable, home_of(made_by.f_globals))
    label = name.rsplit(".", 1)[-1] if name else word
    if "name" not in keywords and (not f"{module}{label}".isprintable() or set("[]/") & set(label)):
        raise PolicyError(f"{label!r} ({where}) can't be the name of a Step: give it another one by `name=`.")
    keywords = dict(keywords)
    if yields(callable):
        streams = importlib.import_module("weftrun.sdk.stream")  # late: few authors need it
        streams.check_generator(callable, label, where, keywords, workflow=workflow)
        keywords["outputs"] = streams.DECLARED
    compensate = keywords.pop("compensate", None)
    spec = decorated(FunctionSpec(f"{module}:{name}", label, kind, code_version(callable)), keywords, where)
    if spec.sharing is not None:
        spec = _batching().resolved(spec, is_async=is_coroutine_function(callable), where=where)
    rollback = keywords.get("rollback")
    held = tuple(one for one in (rollback, compensate) if one is not None)
    made = Function(callable, spec, home=home, origin=Origin(made_by), holds=held)
    if rollback is not None:
        made.signature.check_same(rollback.signature, where)
    if compensate is not None:
        _check_compensate(made, compensate, where)
        made.compensate = compensate
        made.compensates_with_result = made.signature.check_undone_by(compensate.signature, where)
    register(made)
    return made


def _check_compensate(made: Function[..., Any], compensate: Any, where: str) -> None:
    label = made.spec.label
    if not isinstance(compensate, Function):
        raise PolicyError(
            f"{label} ({where}): `compensate={compensate!r}` is not a Function: decorate it with @function."
        )
    if compensate.compensate is not None:
        raise PolicyError(f"{label} ({where}): its `compensate` has one of its own, which nothing would ever call.")
    if made.home.module == MAIN:
        raise PolicyError(f"{label} ({where}): `compensate` needs a module: in a notebook there is none yet.")


def _undone_alike(made: Function[..., Any], other: Function[..., Any]) -> Function[..., Any]:
    """Return a Function that was made of another one, and is undone as that is."""
    made.compensate, made.compensates_with_result = other.compensate, other.compensates_with_result
    return made


def _module_and_home(callable: Any, home: Home) -> tuple[str, Home]:
    """Return the import name of the module that has the callable, and the module whose import makes its Function.

    They differ where somebody else's callable is wrapped. What a program hands to a module that decorates for it
    is the program's: only its own import makes that again.
    """
    name = getattr(callable, "__module__", None)
    if name is None or name == home.names.get("__name__"):
        return home.module, home
    own = getattr(callable, "__globals__", None)
    if name == MAIN and own is not None:
        home = home_of(own)
        return home.module, home
    return name, home


def _caller(word: str, callable: Any) -> FrameType:
    """Return the frame that calls our caller.

    Raises:
        PolicyError: it is called in the body of a class and would make a Function of a method that is not static.
    """
    frame = sys._getframe(2)
    owner = frame.f_locals.get("__qualname__")
    if owner is not None and frame.f_locals is not frame.f_globals and not _is_static(callable):
        named = getattr(callable, "__func__", callable)
        method = f"{owner}.{named.__name__}" if hasattr(named, "__name__") else f"of class {owner}"
        raise _method_error(word, method, f"{frame.f_code.co_filename}:{frame.f_lineno}")
    return frame


def _is_static(callable: Any) -> bool:
    """Say whether a callable that stands in the body of a class is not handed an object of it, or the class."""
    if isinstance(callable, staticmethod):
        return True
    code = getattr(callable, "__code__", None)
    return code is not None and code.co_varnames[: code.co_argcount][:1] not in (("self",), ("cls",))


@overload
def function(callable: Callable[P, R], /, **policy: Unpack[FunctionPolicy]) -> Function[P, R]: ...
@overload
def function(*, batch: Literal[True], **policy: Unpack[FunctionPolicy]) -> _OfLists: ...
@overload
def function(**policy: Unpack[FunctionPolicy]) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def function(callable: Any = None, /, **policy: Any) -> Any:
    """Make a Function of a callable: what it does runs in a warm, isolated process, once for each Step.

    Use it bare, with a policy (see `FunctionPolicy`), or on somebody else's callable:
    `function(requests.get, name="get")`.
    With `batch=True` the callable takes a list for each of its parameters, with one entry for each of the calls that
    are handed over together, and returns a list of the same length; an exception in it fails that call alone. Callers
    call it with single values.

    Raises:
        PolicyError: a policy is misspelt or can't hold, or the callable has no name to find it by.
    """
    if callable is None:
        return lambda wrapped: _function(wrapped, policy, _caller("function", wrapped))
    return _function(callable, policy, _caller("function", callable))


def _function(callable: Any, policy: dict[str, Any], made_by: FrameType) -> Any:
    if "near" in policy:
        where = place_of(callable)
        callable, policy = importlib.import_module("weftrun.sdk.near").beside(callable, policy, where)  # late: few
    return _decorate(callable, policy, made_by, workflow=False)


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
        return lambda wrapped: _decorate(wrapped, policy, _caller("workflow", wrapped), workflow=True)
    return _decorate(callable, policy, _caller("workflow", callable), workflow=True)


def find(name: str) -> Function[..., Any]:
    """Return a Function by `module:qualname` or the author's `name=`, importing its module if need be.

    Raises:
        UsageError: there is none.
    """
    return cast("Function[..., Any]", resolve(name))


def _known(name: str) -> Function[..., Any] | None:
    return cast("Function[..., Any] | None", known(name))


def refer(spec: FunctionSpec, is_async: bool) -> Function[..., Any]:
    """Return a Function by name, where need be as a shell to be filled when its code comes. Called by pickle."""
    found = _known(spec.name)
    if found is None and spec.name.startswith("__main__:"):
        found = Function(missing, spec, home=notebook())
        found.is_async = is_async
        keep(found)
    if found is None:
        found = find(spec.name)
    if found.handler is missing:
        return found
    # The policy that it was given by `.options` travels along; the code is what is here.
    here_now = replace(spec, version=found.spec.version)
    if here_now == found.spec:
        return found
    made = Function(found.handler, here_now, home=found.home, origin=found.origin, holds=(found,))
    return _undone_alike(made, found)


def adopt(name: str, callable: Callable[..., Any], spec: FunctionSpec) -> Function[..., Any]:
    """Register a Function whose code came by value, filling the shell that others may refer to already."""
    found = _known(name)
    if found is None:
        found = Function(callable, spec, home=notebook())
        keep(found)
    elif found.handler is not callable:
        Function.__init__(found, callable, spec, home=notebook())
    return found
