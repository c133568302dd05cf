"""WebAssembly functions as Functions: their body, in a Sandbox, calls the module in an instance of its own."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Unpack
from urllib.parse import urlsplit

from msgspec.structs import replace

from weftrun.model.errors import Unsupported, UsageError, WasmRefused
from weftrun.model.wasm import Near, WasmAnswer, WasmCall, WasmLimits
from weftrun.sdk.function import Function, _decorate, function
from weftrun.sdk.place import current
from weftrun.sdk.policy import Policy
from weftrun.sdk.retrying import Retry

_SLACK_S: Final = 5.0
_MODULE: Final = b"\0\0"
_COMPONENT: Final = b"\1\0"
"""The seventh and eighth byte of a file, which say what it is."""
_NEAR: Final = ("auto", "forbid", "require")
UNREACHABLE: Final = Retry(3, delay_s=0.2, on=(ConnectionError,))
"""What is tried again of a WebAssembly function where nothing else was asked for: what its storage was away for."""


def wasm_function(
    path: str | os.PathLike[str],
    *,
    entry: str = "",
    bucket: str = "",
    buckets: str | os.PathLike[str] = "",
    near: Near = "auto",
    limits: WasmLimits | None = None,
    calls: Sequence[Function[..., Any]] | None = None,
    files: str | os.PathLike[str] = "",
    **policy: Unpack[Policy],
) -> Function[[bytes | str], bytes]:
    """Make a Function of a WebAssembly module; it takes bytes or text, and gives bytes.

    Each call has an instance of its own, so that nothing of one is left for the next. A module may use what
    `weftrun.h` declares and WASI preview 1, and nothing else of this host.

    Args:
        path: of a core module, as `weftrun build` makes it; relative to the file that makes the Function.
        entry: an exported function without parameters; default is the program's `main`.
        bucket: whose keys it may read and write; default is none.
        buckets: where buckets are kept: a folder, the URL of a storage role, `s3://...`, `postgresql://...` or
            `ceph://...`.
        near: where a `storage_call` of it may run: beside the data if that is possible (`auto`), never (`forbid`), or
            nowhere else (`require`).
        limits: what a call may take.
        calls: Functions that it may call, by their names; they take bytes, and return bytes or text. It then is a
            Workflow, and what it calls are Steps; it may be begun again from what is on record, so it has no shared
            state, and its time and its random bytes are those of the record. An empty one lets it call functions of
            its own by their pointers. Default is that it calls none.
        files: a folder that it may read, as `/`; what it writes, below `/tmp`, is gone when it ends. Default is none.
        policy: as of `@function`. What is not said: `effects="none"` without a bucket, and `retries` that try again
            what a storage role was away for.

    Raises:
        WasmRefused: the file can't be read, or is no WebAssembly module.
        PolicyError: see `function`.
    """
    made_by = sys._getframe(1)
    where = os.path.join(os.path.dirname(os.path.abspath(made_by.f_globals.get("__file__", ""))), os.fspath(path))
    name = entry or os.path.splitext(os.path.basename(where))[0]
    buckets = _checked(name, bucket, os.fspath(buckets), near)
    wanted = WasmCall(
        where, _digest(where, _MODULE), name, entry, bucket, buckets, near, limits or WasmLimits(),
        files=_folder(name, files, calls),
    )  # fmt: skip

    body = _body(wanted) if calls is None else _program(wanted, calls)
    body.__name__ = body.__qualname__ = name.replace("-", "_")
    body.__module__ = made_by.f_globals.get("__name__", "")
    body.__doc__ = f"Call {name} of the WebAssembly module {os.path.basename(where)}."
    policies = _said(wanted, calls) | policy
    made: Function[[bytes | str], bytes] = _decorate(body, policies, made_by, workflow=calls is not None)
    return made


def wasm_component(
    path: str | os.PathLike[str],
    *,
    entry: str = "",
    bucket: str = "",
    buckets: str | os.PathLike[str] = "",
    limits: WasmLimits | None = None,
    calls: Sequence[Function[..., Any]] | None = None,
    **policy: Unpack[Policy],
) -> Function[..., Any]:
    """Make a Function of a WebAssembly component; it takes and gives values of the types that the component says.

    Each call has an instance of its own. It may use WASI 0.2 without files and network, and what `weftrun.wit`
    declares, and nothing else of this host. Records come as dicts, variants as pairs of their name and value. Values
    are handed over one by one, about a microsecond a byte, so it is for small ones.

    Args:
        path: of a component, as `weftrun build fn.py` makes it; relative to the file that makes the Function.
        entry: an exported function; default is the only one. `_` stands for `-`.
        bucket: whose keys and state it may use; default is none.
        buckets: where buckets are kept, as of `wasm_function`.
        limits: what a call may take.
        calls: Functions that it may call, as of `wasm_function`: it then is a Workflow.
        policy: as of `@function`. What is not said: `effects="none"` without a bucket, and `retries` that try again
            what a storage role was away for.

    Raises:
        WasmRefused: the file can't be read, or is no WebAssembly component.
        PolicyError: see `function`.
    """
    made_by = sys._getframe(1)
    where = os.path.join(os.path.dirname(os.path.abspath(made_by.f_globals.get("__file__", ""))), os.fspath(path))
    name = entry or os.path.splitext(os.path.basename(where))[0]
    kept_at = _checked(name, bucket, os.fspath(buckets), "auto")
    wanted = WasmCall(where, _digest(where, _COMPONENT), name, entry, bucket, kept_at, limits=limits or WasmLimits())

    body = _component_body(wanted) if calls is None else _component_program(wanted, calls)
    body.__name__ = body.__qualname__ = name.replace("-", "_")
    body.__module__ = made_by.f_globals.get("__name__", "")
    body.__doc__ = f"Call {name} of the WebAssembly component {os.path.basename(where)}."
    made: Function[..., Any] = _decorate(body, _said(wanted, calls) | policy, made_by, workflow=calls is not None)
    return made


def _said(wanted: WasmCall, calls: object) -> dict[str, Any]:
    """Return the policy of what nothing else was said of."""
    said: dict[str, Any] = {"version": wanted.digest[:16]}
    if calls is not None:
        return said | {"body_timeout_s": wanted.limits.time_s_max + _SLACK_S}
    return said | {"retries": UNREACHABLE} | ({} if wanted.bucket else {"effects": "none"})


def _component_body(wanted: WasmCall) -> Callable[..., Any]:
    def body(*args: Any) -> Any:
        return sandboxed(wanted.label).component(wanted, args, current().key, say)

    return body


def _component_program(wanted: WasmCall, calls: Sequence[Function[..., Any]]) -> Callable[..., Any]:
    programs, by_name = _programs(wanted, calls)

    async def body(*args: Any) -> Any:
        return await programs.drive_component(wanted, args, programs.NamedFunctions(wanted, by_name))

    return body


def _checked(name: str, bucket: str, buckets: str, near: str) -> str:
    """Check what a function may use, and return where its buckets are, whatever folder it runs in."""
    if near not in _NEAR:
        raise UsageError(f"{name}: `near` is one of {', '.join(_NEAR)}, not {near!r}.")
    if bool(bucket) != bool(buckets):
        raise UsageError(f"{name}: `bucket` says whose keys it uses, `buckets` where they are; give both or none.")
    if urlsplit(buckets).password:
        raise UsageError(
            f"{name}: the URL of `buckets` would be put on record: leave the password out of it, and set PGPASSWORD or "
            "write it into a password file (PGPASSFILE)."
        )
    return os.path.abspath(buckets) if buckets and "://" not in buckets else buckets


def _folder(name: str, files: str | os.PathLike[str], calls: object) -> str:
    """Return the folder that a function may read, whatever folder it runs in."""
    if not os.fspath(files):
        return ""
    if calls is not None:
        raise UsageError(f"{name}: a program that calls others may be begun again, so it has no `files`.")
    if not os.path.isdir(files):
        raise UsageError(f"{name}: `files` is a folder that it may read; {os.fspath(files)!r} is none.")
    return os.path.abspath(files)


def _body(wanted: WasmCall) -> Callable[..., Any]:
    def body(input: bytes | str = b"") -> bytes:
        return called(wanted, input).output

    return body


def _program(wanted: WasmCall, calls: Sequence[Function[..., Any]]) -> Callable[..., Any]:
    programs, by_name = _programs(wanted, calls)

    async def body(input: bytes | str = b"") -> bytes:
        answer: WasmAnswer = await programs.drive(wanted, input, programs.NamedFunctions(wanted, by_name))
        return answer.output

    return body


def _programs(wanted: WasmCall, calls: Sequence[Function[..., Any]]) -> tuple[Any, dict[str, Function[..., Any]]]:
    """Return what drives programs, and the Functions that one may call, by their names."""
    for one in calls:
        if not isinstance(one, Function):
            raise UsageError(f"{wanted.label}: `calls` takes Functions, not {one!r}: decorate it with @function.")
    by_name = {one.spec.label: one for one in calls}
    if len(by_name) < len(calls):
        raise UsageError(f"{wanted.label}: of the Functions in `calls` two have one name: give one another by `name=`.")
    return importlib.import_module("weftrun.sdk.wasm_programs"), by_name  # late: it makes Functions of its own


def called(wanted: WasmCall, input: bytes | str) -> WasmAnswer:
    """Call a function of a module from the body of a Step, whose story tells what moved."""
    now = current()
    answer: WasmAnswer = sandboxed(wanted.label).call(wanted, as_bytes(wanted.label, input), now.key, say)
    for moved in answer.moved:
        now.note(moved.sentence())
    return answer


def as_bytes(label: str, input: object) -> bytes:
    """Return what a function is given as bytes.

    Raises:
        TypeError: it is neither bytes nor text.
    """
    if isinstance(input, str):
        return input.encode()
    if not isinstance(input, bytes | bytearray | memoryview):
        raise TypeError(f"{label} takes bytes or text, not {type(input).__name__}.")
    return bytes(input)


def sandboxed(label: str) -> Any:
    """Return the adapter that runs WebAssembly in a Sandbox.

    Raises:
        Unsupported: the extra `wasm` is not installed.
    """
    try:
        return importlib.import_module("weftrun.adapters.wasm.sandboxed")  # late: only Sandboxes need it
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"{label} is a WebAssembly function, which needs the extra `wasm` ({error.name} is missing): "
            "pip install 'weftrun[wasm]'."
        ) from None


def say(text: bytes) -> None:
    """Print what a function prints."""
    sys.stdout.write(text.decode("utf-8", "replace"))


def _digest(path: str, layer: bytes) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise WasmRefused(f"The WebAssembly module {path} can't be read: {error.strerror}.") from None
    if content[:4] != b"\0asm":
        built = path.endswith((".c", ".cpp", ".cc", ".ts", ".py"))
        raise WasmRefused(
            f"{path} is no WebAssembly module." + (f" Build it first: weftrun build {path}." if built else "")
        )
    if content[6:8] != layer:
        what, word = ("component", "wasm_component") if layer == _MODULE else ("core module", "wasm_function")
        raise WasmRefused(f"{path} is a {what}: say {word} where it is made a Function.")
    return hashlib.sha256(content).hexdigest()


@function(retries=UNREACHABLE)
def call_module(wanted: WasmCall, input: bytes) -> WasmAnswer:
    """Call a function of a module that was uploaded; its answer tells what moved."""
    return called(wanted, input)


def uploaded(label: str) -> Function[[WasmCall, bytes], WasmAnswer]:
    """Return the Function that calls modules, under the name of one of them."""
    spec = replace(call_module.spec, label=label)
    return Function(call_module.callable, spec, home=call_module.home, origin=call_module.origin, holds=(call_module,))
