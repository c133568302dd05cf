"""weftrun: workflows of Python functions, exactly once, at memory speed.

Embedded by default: one install, no server, a SQLite Journal. See `function`, `workflow`, `open` and `run`.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from weftrun.model.errors import (
    ArgumentsNotCompared,
    CommitUnknown,
    EngineClosed,
    InternalError,
    JournalBusy,
    JournalCorrupt,
    JournalError,
    JournalFull,
    JournalMissing,
    JournalNewer,
    LeaseLost,
    LimitExceeded,
    NotSerializable,
    PolicyError,
    QueueFull,
    RefUsedAsValue,
    RemoteBusy,
    RemoteError,
    RemoteFailed,
    RemoteRefused,
    RemoteUnknown,
    ReplayDiverged,
    RunCancelled,
    RunConflict,
    RunError,
    RunNotFound,
    SignalRefused,
    StatementRefused,
    StepFailed,
    StepTimedOut,
    Unsupported,
    UsageError,
    WasmRefused,
    WasmTrapped,
    WeftrunError,
)
from weftrun.sdk.function import Function, function, workflow
from weftrun.sdk.handles import Engine, Run
from weftrun.sdk.place import current, importing, now, random
from weftrun.sdk.policy import CallPolicy, Policy
from weftrun.sdk.ref import Mapped, Ref
from weftrun.sdk.retrying import Retry

if TYPE_CHECKING:
    from weftrun.model.strategy import Strategy
    from weftrun.model.warm import Warm
    from weftrun.model.wasm import WasmLimits
    from weftrun.sdk.choice import when
    from weftrun.sdk.first import first
    from weftrun.sdk.patching import deprecate_patch, patched
    from weftrun.sdk.queues import Queue, queue
    from weftrun.sdk.schedules import Schedule, cron, every
    from weftrun.sdk.together import as_settled, gather, race
    from weftrun.sdk.waiting import publish, signal, sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Literal, ParamSpec, TypeVar, overload

    from opentelemetry.sdk.trace.export import SpanExporter

    from weftrun.ports.sinks import Sink
    from weftrun.sdk.asgi import asgi_app
    from weftrun.sdk.eviction import Evict
    from weftrun.sdk.multiplexer import SharedCounts
    from weftrun.sdk.near import near
    from weftrun.sdk.remote import http_function
    from weftrun.sdk.shared_state import SharedState, shared_state
    from weftrun.sdk.wasm import wasm_component, wasm_function

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

__all__ = [
    "function",
    "workflow",
    "SharedState",
    "shared_state",
    "near",
    "wasm_component",
    "wasm_function",
    "WasmLimits",
    "http_function",
    "asgi_app",
    "open",
    "run",
    "current",
    "now",
    "random",
    "sleep",
    "signal",
    "deprecate_patch",
    "patched",
    "publish",
    "gather",
    "race",
    "as_settled",
    "when",
    "first",
    "cron",
    "every",
    "queue",
    "shared",
    "share",
    "share_in_place",
    "shared_counts",
    "Function",
    "Ref",
    "Mapped",
    "Engine",
    "Run",
    "Schedule",
    "Queue",
    "Retry",
    "Strategy",
    "Warm",
    "Policy",
    "CallPolicy",
    "WeftrunError",
    "UsageError",
    "RefUsedAsValue",
    "NotSerializable",
    "PolicyError",
    "LimitExceeded",
    "WasmRefused",
    "WasmTrapped",
    "StatementRefused",
    "RemoteError",
    "RemoteRefused",
    "RemoteBusy",
    "RemoteFailed",
    "RemoteUnknown",
    "RunError",
    "StepFailed",
    "SignalRefused",
    "StepTimedOut",
    "RunCancelled",
    "ReplayDiverged",
    "RunNotFound",
    "RunConflict",
    "QueueFull",
    "JournalError",
    "JournalBusy",
    "JournalMissing",
    "JournalNewer",
    "JournalCorrupt",
    "LeaseLost",
    "JournalFull",
    "CommitUnknown",
    "EngineClosed",
    "Unsupported",
    "InternalError",
    "ArgumentsNotCompared",
    "__version__",
]
__version__ = "0.1.0"

for _public in [globals().get(_name) for _name in __all__]:
    if isinstance(_public, type) and issubclass(_public, Exception):
        _public.__module__ = __name__  # a traceback names it as a program does; see `errors.recorded_module`


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what few programs need when it is asked for."""
        if name not in _LATE:
            raise AttributeError(f"module 'weftrun' has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(_LATE[name]), name)
        return found

    _LATE = {
        "asgi_app": "weftrun.sdk.asgi",
        "http_function": "weftrun.sdk.remote",
        "SharedState": "weftrun.sdk.shared_state",
        "near": "weftrun.sdk.near",
        "shared_state": "weftrun.sdk.shared_state",
        "wasm_component": "weftrun.sdk.wasm",
        "wasm_function": "weftrun.sdk.wasm",
        "WasmLimits": "weftrun.model.wasm",
        "signal": "weftrun.sdk.waiting",
        "sleep": "weftrun.sdk.waiting",
        "cron": "weftrun.sdk.schedules",
        "every": "weftrun.sdk.schedules",
        "Schedule": "weftrun.sdk.schedules",
        "queue": "weftrun.sdk.queues",
        "Queue": "weftrun.sdk.queues",
        "publish": "weftrun.sdk.waiting",
        "patched": "weftrun.sdk.patching",
        "deprecate_patch": "weftrun.sdk.patching",
        "gather": "weftrun.sdk.together",
        "race": "weftrun.sdk.together",
        "as_settled": "weftrun.sdk.together",
        "when": "weftrun.sdk.choice",
        "first": "weftrun.sdk.first",
        "Strategy": "weftrun.model.strategy",
        "Warm": "weftrun.model.warm",
    }


def __dir__() -> list[str]:
    """Show the public names only, and not what this module needs itself."""
    return sorted(__all__)


_RENAMED = "weftrun.open(workers={0!r}) is not known: say sandboxes={0!r} for the number of Sandboxes."


def _check_here(workers: None) -> None:
    """Refuse to open an engine where none can be, or by an old name of an argument."""
    if not sys.platform.startswith("linux"):
        # Before the engine is imported, which elsewhere fails at the first module that only Linux has.
        raise Unsupported(f"weftrun runs on Linux; this is {sys.platform}. In a container or WSL 2 it works.")
    if importing.file:
        raise UsageError(
            f"weftrun.open(...) was reached while {importing.by} imported {importing.file}. "
            "Put it under `if __name__ == '__main__':`."
        )
    if workers is not None:
        raise UsageError(_RENAMED.format(workers))


def open(
    url: str | None = None,
    *,
    recover: str = "all",
    sandboxes: int | None = None,
    cluster: str | None = None,
    control: str = "worker",
    data: str = "local",
    trigger: str = "data",
    placement: str = "planned",
    pressure: str = "on",
    lease_ttl_s: float = 10.0,
    sinks: "Mapping[str, Sink] | None" = None,
    telemetry: "Literal['none', 'console', 'otlp'] | SpanExporter | None" = None,
    strategy: "str | Strategy | None" = None,
    warm: "Warm | None" = None,
    versions: "Literal['any', 'kept', 'own']" = "any",
    workers: None = None,
) -> Engine:
    """Open an engine on a Journal; close it, or use it with `with`.

    Args:
        url: `sqlite:///path/to/file.db`, or `postgresql://user@host/database` with the extra `postgres`; default is
            `$WEFTRUN_DATABASE_URL`, else `.weftrun/journal.db` of the current folder or of the nearest one above it.
        recover: which Runs that no engine owns are taken over, now and later: `all`, `none`, or the id of one.
        sandboxes: how many Sandboxes of a Worker run Functions at once; default is how many processors it has.
        cluster: where Functions run; default is this process's own Sandboxes. `local:N`: N Worker processes on this
            host. `ray` (extra `ray`): a Worker on each host of the Ray cluster of this host, which is started if there
            is none; `auto`, `HOST:PORT` and `ray://HOST:PORT` name one as Ray does.
        control: with a cluster, who starts the next Step: the `worker` where the last one ended, or `master`, this one.
        data: where values of more than 64 KiB lie between Steps: `local`, in memory that readers map, or `store`, in
            files beside the Journal that each reader reads: what FaaSFlow is measured against, and of no other use.
        trigger: when a Step that takes an early output starts: when it is put (`data`), or when its Step has ended.
        placement: with a cluster, which Worker a `def` body's Steps run on: `planned`, `faasflow` or `hash`.
        pressure: whether (`on` or `off`) a Function waits for its values to leave its host (docs/decisions/0095).
        lease_ttl_s: when this engine gives no sign for so many seconds, others on the Journal take it for dead.
        sinks: where `current().emit(name, ...)` goes, by name; see `weftrun.sinks`. What others left goes there, too.
        telemetry: where spans go, of Runs and Attempts (extra `otel`): `console`, `otlp`, `none`, or an exporter of
            OpenTelemetry's SDK. Default: as `$OTEL_TRACES_EXPORTER` or `$OTEL_EXPORTER_OTLP_ENDPOINT` say, or `none`.
        strategy: by what rule calls get Sandboxes: `adaptive` (default; as Functions say), or that of a system to
            compare with, `vanilla`, `sfs`, `kraken:slo_s=0.5,shares=no`, `faasbatch`; or a `weftrun.Strategy`.
        warm: how long Sandboxes are kept that wait, how much memory they may hold: a `weftrun.Warm`.
        versions: which code Runs go on with: `any` (what there is now), `kept` (what they began with, of which copies
            are kept beside the Journal), or `own` (only Runs are taken over that began with this program's code).
        workers: refused; it was the name of `sandboxes`.

    Raises:
        JournalError: the Journal can't be used: it is newer, damaged, read-only, locked.
        RunNotFound: `recover` is the id of no Run in the Journal.
        UsageError: a value is not what it takes, or the URL names no Journal; or an import in a Sandbox reached this.
        Unsupported: this is not Linux, or an extra is missing.
    """
    _check_here(workers)
    # Late: a guest that imports the author's module must never load the engine.
    engine: Engine = importlib.import_module("weftrun.assembly").open_engine(
        url, recover=recover, sandboxes=sandboxes, cluster=cluster, control=control, data=data, trigger=trigger,
        placement=placement, pressure=pressure, lease_ttl_s=lease_ttl_s, sinks=sinks, tells=url is None,
        telemetry=telemetry, strategy=strategy, versions=versions, warm=warm,
    )  # fmt: skip
    return engine


def shared(factory: "Callable[_P, _T]", /, *args: "_P.args", **kwargs: "_P.kwargs") -> "_T":
    """Return what `factory(*args, **kwargs)` makes, made once for the same arguments in this process (FaaSBatch).

    All Attempts in a Sandbox, at once or one after the other, get the same object; outside of an engine, all calls in
    this process do. Arguments are the same if they are equal, however they are written; those that have no value of
    their own (a connection, a callback of yours) if they are the same object. While one call makes it, the others wait
    for it; if the factory raises, they all get the error, and the next call tries again. An `async def` factory gives
    what is to be awaited, made once for each loop.

    What is shared by threads must bear it: clients of boto3 and httpx and engines of SQLAlchemy do. For others say
    `share(factory, per_thread=True)` first.

    Raises:
        UsageError: `factory` is no function or class. What it raises itself is raised here.
    """
    made: _T = importlib.import_module("weftrun.sdk.multiplexer").shared(factory, args, kwargs)
    return made


def share(
    factory: "Callable[_P, _T]",
    /,
    *,
    per_thread: bool = False,
    ttl_s: float | None = None,
    most: int = 64,
    close: "str | Callable[[_T], object] | None" = "close",
    evict: "Evict" = "lru",
    size: "Callable[[_T], float] | None" = None,
    key: "Callable[_P, object] | None" = None,
) -> "Callable[_P, _T]":
    """Say how what a factory makes is shared, and return what is called in its place.

    After `client = share(boto3.client)` each `client("s3")` gives the same object.

    Args:
        factory: a function or a class.
        per_thread: each thread has its own, for objects that no two threads may use.
        ttl_s: longest time that an object is handed out, in seconds: for credentials or addresses that change.
        most: objects that are kept; over it one is given up.
        evict: which one: `lru`, the one that was asked for the longest time ago; `lfu`, the one that was asked for
            least often; `gdsf`, the one that is used least often for what it takes to make it, and for its size;
            `random`, any one; `none`: none is, and there are as many as arguments differ.
        size: gives the size of an object, in any unit, for `gdsf`; all count the same if it is not said.
        close: method, or function, that closes what was given up, as soon as nobody holds it any more; None for none.
        key: gives, for the arguments, the value by which they are the same, in place of all of them.

    Raises:
        UsageError: an argument can't be.
    """
    multiplexer = importlib.import_module("weftrun.sdk.multiplexer")
    got: Callable[_P, _T] = multiplexer.share(
        factory, multiplexer.Rules(per_thread, ttl_s, most, close, evict, size, key)
    )
    return got


def share_in_place(
    *what: "str | type | Callable[..., object]",
    ttl_s: float | None = None,
    most: int = 64,
    evict: "Evict" = "lru",
) -> None:
    """Let existing code share its clients without a change: what makes them is replaced where it is defined.

    Say it once in your module, before other modules take names out of those that make clients (`from httpx import
    Client`). Whoever closes such a client, or leaves it by `with`, only gives it back.

    Args:
        what: `"boto3"` (clients, by service, arguments and credentials), `"httpx"` (`httpx.Client`), `"sqlalchemy"`
            (`create_engine`), and functions and classes of modules, of which objects may be used by several threads.
        ttl_s, most, evict: as for `share`.

    Raises:
        UsageError: there is no library of this name here, or something can't be replaced where it is defined.
    """
    importlib.import_module("weftrun.sdk.in_place").share_in_place(what, ttl_s=ttl_s, most=most, evict=evict)


def shared_counts() -> "dict[str, SharedCounts]":
    """Return by factory how many objects were made, used again, given up and closed in this process."""
    counts: dict[str, SharedCounts] = importlib.import_module("weftrun.sdk.multiplexer").MULTIPLEXER.counts()
    return counts


if TYPE_CHECKING:

    @overload
    def run(fn: Function[_P, Coroutine[Any, Any, _T]], /, *args: _P.args, **kwargs: _P.kwargs) -> _T: ...
    @overload
    def run(fn: Function[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T: ...


def run(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run a Workflow or a Function on the default Journal and return its value: `open`, `Engine.run`, `close`."""
    with open() as engine:
        return engine.run(fn, *args, **kwargs)
