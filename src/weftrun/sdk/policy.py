"""What authors may say of a Function, and the check that turns it into a FunctionSpec at decoration."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from msgspec.structs import replace

from weftrun.model import policy
from weftrun.model.errors import PolicyError
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import IMAGE, Checkpoint, Effects, FunctionSpec, Kind, Privileges, Reach, Sharing
from weftrun.sdk.retrying import Retry

if TYPE_CHECKING:
    from weftrun.model.beside import NearTo
    from weftrun.sdk.batching import Concurrency
    from weftrun.sdk.callee import Callee
    from weftrun.sdk.queues import Queue
    from weftrun.sdk.ref import Mapped, Ref


class _Shared(TypedDict, total=False):
    checkpoint: Checkpoint
    effects: Effects
    deterministic: bool
    retries: int | Retry
    timeout_s: float | None
    body_timeout_s: float
    memory_bytes_max: int | None
    network: bool
    privileges: Literal["drop", "keep"]
    protect: Literal["usual", "strict"]
    concurrency: Concurrency
    window: Literal["adaptive"] | float
    runtime: Literal["process", "bwrap", "oci"]
    image: str


class Policy(_Shared, total=False):
    """Keywords of `@function` and `@workflow`; a workflow takes `name`, `version` and `body_timeout_s` only.

    Keys:
        name: instead of `module:qualname`; keep it when code moves, so that open Runs find it.
        version: instead of the digest of the code.
        checkpoint: when the record of a success is written: `auto` (the engine chooses), `sync` (no reader before it),
            `async` (always, asynchronously) or `none` (only when something rests on it; takes `effects="none"`).
        effects: `visible` (default), `none` (a Step need not wait until what it depends on is durable), or
            `transaction` (what it does by `current().transaction()` commits with its record).
        deterministic: the same arguments always give the same value.
        retries: Attempts after the first, or a `Retry`.
        timeout_s: longest time for one Attempt, in seconds.
        body_timeout_s: of a workflow: its body may go on for so long without an await, in seconds; 10 if not said.
        memory_bytes_max: private memory that one Attempt may take.
        network: False enters an empty network namespace, or is refused where the host can't.
        privileges: `drop` (default): set-user-ID programs run without their privileges, and an ordinary user's Sandbox
            is in a user namespace. `keep`: neither; so an ordinary user's Sandbox has no namespaces of its own, and
            can't have `network=False` at the same time.
        protect: `strict`: the Sandbox reads code only, writes no file, starts, signals and traces no process, has no
            network unless `network=True` stands beside it, and has hard limits. The author's module is imported behind
            the same walls, in each Sandbox. `usual` (default) is for code that is trusted.
        concurrency: Attempts that one Sandbox runs at once (default 1): a number, or `("threads", number)`,
            `("coroutines", number)`, or `("processes", number)`: forks, for what computes. A number alone means
            threads for `def`, and coroutines on one loop for `async def`. With `batch=True` it is how many calls are
            handed over together, at most.
        window: `"adaptive"` (default): what waits goes as soon as a Sandbox can take it. A number of seconds: it is
            gathered until a tick of that length ends, and goes together to one Sandbox (FaaSBatch's dispatch interval).
        runtime: what a Sandbox is. `process` (default), or one that has its own view of the file system: the
            interpreter, the bundle and a /tmp of its own, and no network unless `network=True` stands beside it:
            `bwrap` by bubblewrap, `oci` by crun or runc.
        image: folder of a root file system that such a Sandbox has instead of this host's libraries.
        limit: Attempts of it, and items of its maps, that may run at once over all engines of a Journal. A Step waits
            for its place outside of a Sandbox, and no time counts for it.
        rollback: a Function with the same parameters that undoes an abandoned Attempt before the next is entered. It is
            called at least once for each, also for one that had done nothing yet, and so must be idempotent.
        outputs: what it gives before it ends, by name, with the type of each. `current().put(name, value)` gives it,
            and `ref.output(name)` reads it.
        compensate: a Function, or a workflow, with the same parameters that undoes a Step which has succeeded, if the
            `async def` workflow that called it fails: the last one first, each a Step of its own. A parameter `result`
            gets the Step's value. Workflows take it too.
    """

    name: str
    version: str
    limit: int
    rollback: Callee
    outputs: dict[str, Any]
    compensate: Callee


class FunctionPolicy(Policy, total=False):
    """Keywords of `@function`.

    Keys:
        near: the key that it reads, `WHERE/BUCKET/KEY` or `near(...)`: it runs beside that where that is quicker, and
            reads it by `current().near`. What is not said: `retries` that try again what a storage role was away for.
    """

    near: str | os.PathLike[str] | NearTo


class CallPolicy(_Shared, total=False):
    """Keywords of `.options(...)`: a Function's policy, and what belongs to one call.

    Keys:
        id: of the Run that is started; its idempotency key.
        after: Refs of calls that must have succeeded first, though no value of theirs is read.
        durable: False starts a Run that keeps no record and has no id that could be asked for: nothing is promised, and
            nothing waits for the disk. Closing the engine ends it.
        queue: the Run is put into this queue, and begins when there is a place: a name, or `weftrun.queue(...)`.
        key: whose Run it is, such as a customer: keys of a queue take turns, and may have a limit of their own.
        priority: 0 (begins first) to 9 (last); 5 if not said. Keys take turns within one priority.
        delay_s: it begins this long after the start, at the earliest; in seconds.
        deduplicate: as long as a Run with this word waits in the queue or is under way, a start joins that one.
    """

    id: str
    durable: bool
    queue: str | Queue
    key: str
    priority: int
    delay_s: float
    deduplicate: str
    after: Sequence[Ref[Any] | Mapped[Any]]


_SHARED = frozenset(_Shared.__annotations__)
_OF_A_BODY = frozenset({"body_timeout_s"})
_OF_A_FUNCTION = (_SHARED | {"rollback", "batch", "outputs", "limit", "near"}) - _OF_A_BODY
_OF_SHARING = frozenset({"concurrency", "window", "batch"})
_CHOICES = {
    "checkpoint": ("auto", "sync", "async", "none"),
    "effects": ("visible", "none", "transaction"),
    "privileges": ("drop", "keep"),
    "protect": ("usual", "strict"),
    "runtime": ("process", "bwrap", "oci"),
}
_WALLS = ("bwrap", "oci")
_SAID_BY = {"strict": "protect", "keep": "privileges", "bwrap": "runtime", "oci": "runtime"}
_LEAST = {
    "memory_bytes_max": (1 << 20, "a number of bytes, at least 1 MiB"),
    "limit": (1, "a number of Attempts that may run at once, 1 or more"),
}
_CHECKED_LATE = {
    "concurrency": "weftrun.sdk.batching",
    "window": "weftrun.sdk.batching",
    "outputs": "weftrun.sdk.outputs",
}
_FIELDS = {"retries": "retry", "body_timeout_s": "timeout_s"}
"""Names of policies in a FunctionSpec, where they differ: of a workflow `timeout_s` is the time of its body."""
_AT_DECORATION = {
    "id": "it names one Run: write `.options(id=...)` where the Run is started",
    "after": "it orders one call: write `.options(after=[...])` at the call",
    "durable": "it is of one Run: write `.options(durable=False)` where the Run is started",
    "queue": "it is of one Run: write `.options(queue=...)` where the Run is started",
    "key": "it is of one Run in a queue: write `.options(queue=..., key=...)` where the Run is started",
    "priority": "it is of one Run in a queue: write `.options(queue=..., priority=...)` where the Run is started",
    "delay_s": "it is of one Run in a queue: write `.options(queue=..., delay_s=...)` where the Run is started",
    "deduplicate": "it is of one Run in a queue: write `.options(queue=..., deduplicate=...)` where it is started",
}
_OF_A_RUN = frozenset(_AT_DECORATION)
_CALL = _SHARED | frozenset(_AT_DECORATION)
_AT_CALL = {
    "name": "it is how a Sandbox finds the code: put it on the decorator",
    "version": "it tells one state of the code from another: put it on the decorator",
    "rollback": "it undoes what the code does: put it on the decorator",
    "compensate": "it undoes what the code does: put it on the decorator",
    "batch": "it says what the code takes: put it on the decorator",
    "outputs": "it says what the code puts: put it on the decorator",
    "limit": "it is counted over all calls of the Function: put it on the decorator",
    "near": "it says where the code runs: put it on the decorator",
}


def among_arguments(label: str, keywords: Iterable[str]) -> str:
    """Return what to say of policies that stand among the arguments of a call; nothing where none does."""
    given = [key for key in keywords if key in _CALL or key in _AT_CALL]
    if not given:
        return ""
    if any(key in _AT_CALL for key in given):
        return "".join(f" `{key}` is a policy: {_AT_CALL[key]}." for key in given if key in _AT_CALL)
    shown = ", ".join(f"{key}=..." for key in given)
    what = "is a policy, not an argument" if len(given) == 1 else "are policies, not arguments"
    return f" {' and '.join(f'`{key}`' for key in given)} {what}: write {label}.options({shown})."


def place_of(callable: Callable[..., Any]) -> str:
    """Return `file:line` of a callable's definition, for error texts."""
    code = getattr(callable, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(callable)


def decorated(spec: FunctionSpec, keywords: dict[str, Any], where: str) -> FunctionSpec:
    """Return `spec` with the keywords of its decorator.

    Raises:
        PolicyError: a key is unknown, a value is wrong, or the key can't hold here; names `where`.
    """
    spec = _applied(
        spec,
        keywords,
        where,
        known=_OF_A_FUNCTION | _OF_A_BODY | {"name", "version"},
        elsewhere=_AT_DECORATION,
    )
    return replace(spec, label=_label(spec.name)) if "name" in keywords else spec


def called(spec: FunctionSpec, keywords: dict[str, Any], where: str) -> FunctionSpec:
    """Return `spec` with the keywords of `.options(...)`; raises as `decorated` does."""
    return _applied(spec, keywords, where, known=_CALL, elsewhere=_AT_CALL)


def _label(name: str) -> str:
    return name.rsplit(":", 1)[-1].rsplit(".", 1)[-1]


def _applied(
    spec: FunctionSpec, keywords: dict[str, Any], where: str, *, known: frozenset[str], elsewhere: dict[str, str]
) -> FunctionSpec:
    changes: dict[str, Any] = {}
    for key, value in keywords.items():
        if key in elsewhere:
            raise PolicyError(f"{spec.label} ({where}): `{key}` can't stand here: {elsewhere[key]}.")
        if key not in known:
            can_hold = known - (_OF_A_BODY if spec.kind is Kind.FUNCTION else _OF_A_FUNCTION)
            raise PolicyError(f"{spec.label} ({where}): there is no policy `{key}`{_did_you_mean(key, can_hold)}")
        _check_kind(spec, key, where)
        checked = _checked(spec, key, value, where)
        if key not in _OF_A_RUN:
            changes[_FIELDS.get(key, key)] = checked
    if not changes:
        return spec
    outputs, limit = changes.pop("outputs", spec.outputs), changes.pop("limit", spec.limit) or 0
    network, privileges = _reached(spec, changes, where)
    sharing = None
    if spec.sharing is not None or not _OF_SHARING.isdisjoint(changes):
        sharing = _batching().recorded(spec.sharing, privileges, changes)
    spec = replace(spec, **changes, reach=_reach(network, privileges, sharing, outputs, limit))
    _check_together(spec, where)
    if spec.rollback is not None and spec.effects != "visible":
        raise PolicyError(
            f"{spec.label} ({where}): `rollback` undoes what a Function does outside, and `effects={spec.effects!r}` "
            "says that there is nothing to undo: leave one of them out."
        )
    if spec.effects == "transaction":
        if spec.checkpoint not in ("auto", "sync"):
            raise PolicyError(
                f'{spec.label} ({where}): with `effects="transaction"` its record commits with what it did, before '
                f"anybody gets its value: leave `checkpoint={spec.checkpoint!r}` out."
            )
        return replace(spec, checkpoint="sync")
    if spec.checkpoint == "none" and spec.effects != "none":
        raise PolicyError(
            f'{spec.label} ({where}): `checkpoint="none"` lets a crash run it again, and with it what it does outside: '
            'say `effects="none"` if it does nothing there, else take `checkpoint="async"`.'
        )
    return spec


def _check_together(spec: FunctionSpec, where: str) -> None:
    """Refuse what can't hold of a Function whose Attempts share a Sandbox, or that gives outputs before it ends."""
    sharing = spec.sharing
    if sharing is not None:
        _batching().check_together(spec, where)
    if not spec.outputs:
        return
    if sharing is not None and sharing.how == "list":
        raise PolicyError(
            f"{spec.label} ({where}): `outputs` and `batch=True` exclude each other: one call of the code answers many "
            "calls, and nobody could tell whose output it puts."
        )
    if spec.checkpoint == "none":
        raise PolicyError(
            f'{spec.label} ({where}): `outputs` and `checkpoint="none"` exclude each other: what it puts is fixed by '
            'its record. Take `checkpoint="async"`.'
        )


def _batching() -> Any:
    return importlib.import_module("weftrun.sdk.batching")  # late: few authors need it


def _reached(spec: FunctionSpec, changes: dict[str, Any], where: str) -> tuple[bool, Privileges]:
    """Take what was said of network, privileges, protection and runtime out of checked `changes`; return what holds."""
    protect, said = changes.pop("protect", None), changes.pop("privileges", None)
    runtime, image = changes.pop("runtime", None), changes.pop("image", None)
    was, _, had = spec.privileges.partition(IMAGE)
    wanted = ["strict"] if (was == "strict" if protect is None else protect == "strict") else []
    if runtime is None:
        runtime = was if was in _WALLS else "process"
    if image is None and runtime != "process":
        image = had
    if runtime != "process":
        wanted.append(runtime)
    elif image:
        raise PolicyError(f'{spec.label} ({where}): `image` needs `runtime="oci"` or `runtime="bwrap"` beside it.')
    network: bool = changes.pop("network", False if wanted and was in ("drop", "keep") else spec.network)
    if not wanted:
        return network, said or ("drop" if was in ("strict", *_WALLS) else was)
    if said == "keep" or (said is None and was == "keep"):
        wanted.append("keep")
    if len(wanted) > 1:
        first, second = (f"`{_SAID_BY[one]}={one!r}`".replace("'", '"') for one in wanted[:2])
        raise PolicyError(f"{spec.label} ({where}): {first} and {second} exclude each other: leave one of them out.")
    return network, f"{wanted[0]}{IMAGE}{image}" if image else wanted[0]


def _reach(
    network: bool, privileges: Privileges, sharing: Sharing | None, outputs: tuple[str, ...], limit: int
) -> bool | Reach:
    if sharing is not None or outputs or limit or privileges != "drop":
        return Reach(network, sharing or privileges, outputs, limit)
    return network


def _check_kind(spec: FunctionSpec, key: str, where: str) -> None:
    if spec.kind is Kind.FUNCTION and key in _OF_A_BODY:
        raise PolicyError(
            f"{spec.label} ({where}): `{key}` bounds the body of a workflow; the time of a Function is bounded by "
            "`timeout_s`."
        )
    if spec.kind is not Kind.FUNCTION and key in _OF_A_FUNCTION:
        instead = " Its own body is bounded by `body_timeout_s`." if key == "timeout_s" else ""
        raise PolicyError(
            f"{spec.label} ({where}): `{key}` can't hold for a workflow, whose body only calls Functions; "
            f"put it on the Functions that it calls.{instead}"
        )


def _did_you_mean(key: str, known: frozenset[str]) -> str:
    difflib = importlib.import_module("difflib")  # late: only this error needs it
    close = difflib.get_close_matches(key, sorted(known), 1)
    return f"; did you mean `{close[0]}`?" if close else f"; there are {', '.join(sorted(known))}."


def _checked(spec: FunctionSpec, key: str, value: Any, where: str) -> Any:
    def refuse(wanted: str) -> PolicyError:
        return PolicyError(f"{spec.label} ({where}): `{key}={value!r}` is not {wanted}.")

    if key in _CHOICES and (type(value) is not str or value not in _CHOICES[key]):
        raise refuse("one of " + ", ".join(map(repr, _CHOICES[key])))
    if key in ("deterministic", "network", "durable", "batch") and type(value) is not bool:
        raise refuse("True or False")
    if key in ("name", "version") and not _is_name(value):
        raise refuse("a text of 1 to 256 printable characters without `[`, `]` and `/`")
    if key == "body_timeout_s" or (key == "timeout_s" and value is not None):
        if type(value) not in (int, float) or not 0 < value < 1e9:
            raise refuse("a positive number of seconds")
        return float(value)
    if key in _LEAST and value is not None and (type(value) is not int or value < _LEAST[key][0]):
        raise refuse(_LEAST[key][1])
    if key in _CHECKED_LATE:
        return importlib.import_module(_CHECKED_LATE[key]).checked(key, value, refuse)  # late: few authors need it
    if key == "image" and not (type(value) is str and value.startswith("/") and value.isprintable()):
        raise refuse("the absolute path of a folder")
    if key == "rollback":
        return _rollback(value, refuse)
    if key == "retries":
        return _retry(value, refuse)
    return value


def _rollback(value: Any, refuse: Callable[[str], PolicyError]) -> FunctionSpec:
    spec = getattr(value, "spec", None)
    if not isinstance(spec, FunctionSpec) or spec.kind is not Kind.FUNCTION:
        raise refuse("a Function: decorate it with @function")
    if spec.rollback is not None:
        raise refuse("a Function without a rollback of its own")
    return spec


def _is_name(value: Any) -> bool:
    """Say whether a text can stand in a StepId, whose own signs it must not have."""
    return type(value) is str and 0 < len(value) <= 256 and value.isprintable() and not set("[]/") & set(value)


def _retry(value: Any, refuse: Callable[[str], PolicyError]) -> policy.RetryPolicy:
    most = DEFAULT_LIMITS.attempts_max - 1
    if isinstance(value, policy.RetryPolicy):  # as `Function.spec` has it
        Retry(value.times, value.delay_s, value.factor, value.delay_max_s, value.share)
        return value
    if type(value) is int and 0 <= value <= most:
        value = Retry(value)
    if not isinstance(value, Retry):
        raise refuse(f"a number of retries from 0 to {most}, or a Retry of that many")
    return value.recorded
