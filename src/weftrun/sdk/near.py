"""Functions that run beside the key that they read: `@function(near=...)`.

The function moves by value: its code, by its digest, and its arguments. Where it does not, the key is read from here,
and what it gives is the same. The idea is that of near-storage functions (A. Nair et al., Middleware 2024).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import platform
import string
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from weftrun.model.beside import NearTo, PythonCall, PythonDone, PythonRaised
from weftrun.model.errors import PolicyError, RemoteFailed, UsageError
from weftrun.model.near import NearFailed, NearRefused
from weftrun.model.wasm import Near, StorageCallMade
from weftrun.sdk.code import code_version, is_coroutine_function, yields
from weftrun.sdk.codec import decode, encode
from weftrun.sdk.failure import error_of
from weftrun.sdk.near_key import NearKey
from weftrun.sdk.own_code import own_code
from weftrun.sdk.place import current
from weftrun.sdk.retrying import Retry

TIME_S: Final = 60.0
"""Longest time for a body beside its data where `timeout_s` says nothing else, in seconds."""
_WAYS: Final = ("auto", "forbid", "require")
_PYTHON: Final = ".".join(platform.python_version_tuple()[:2])
_EXCLUDED: Final = ("outputs", "batch", "rollback")
_AGAIN: Final = Retry(3, delay_s=0.2, on=(ConnectionError,))
_FORM: Final = "WHERE/BUCKET/KEY, such as http://127.0.0.1:8003/texts/{name}"


def near(url: str | os.PathLike[str], *, run: Near = "auto") -> NearTo:
    """Say beside which key a Function runs: `@function(near=near(url, run="require"))`; `near=url` says `auto`.

    Args:
        url: WHERE/BUCKET/KEY: the URL of a storage role, a store (`s3://`, `postgresql://`, `ceph://`) or a folder;
            a bucket; and a key. The last two may have names of parameters in them, `{name}`, which stand for what a
            call gives.
        run: beside the key if that is expected to be quicker and the storage role admits it (`auto`), never (`forbid`),
            or nowhere else (`require`).

    Raises:
        UsageError: `run` is something else.
    """
    if run not in _WAYS:
        raise UsageError(f"`run` is one of {', '.join(_WAYS)}, not {run!r}.")
    return NearTo(os.fspath(url), run)


class _KeyPlace(NamedTuple):
    """Where a Function's key is, with the names of parameters still in it."""

    where: str
    bucket: str
    key: str
    run: Near
    label: str
    time_s: float


class _Moves:
    """Whether Functions may leave this process: in a Sandbox beside the data, nothing goes further."""

    allowed = True


def refuse_to_move() -> None:
    """Let no Function of this process go on to other data."""
    _Moves.allowed = False


def body_of(function: Any) -> Callable[..., Any] | None:
    """Return the author's own function of a Function that is near a key; None where it is near none."""
    return getattr(function.callable, "weftrun_near", None)


# ---------------------------------------------------------------------- where it is made


def beside(stub: Any, keywords: dict[str, Any], where: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what runs a callable beside its key, and the keywords of its policy, with what was not said.

    Raises:
        PolicyError: `near` is none, or can't stand beside another policy.
    """
    label = str(keywords.get("name") or getattr(stub, "__name__", repr(stub)))
    said = dict(keywords)
    wanted = said.pop("near")
    if not inspect.isfunction(stub) or is_coroutine_function(stub) or yields(stub):
        raise PolicyError(f"{label} ({where}): `near` takes a plain `def`, which returns its value.")
    for name in _EXCLUDED:
        if name in said:
            raise PolicyError(f"{label} ({where}): `near` and `{name}` exclude each other: leave one of them out.")
    if said.get("effects") == "transaction":
        raise PolicyError(f'{label} ({where}): `near` and `effects="transaction"` exclude each other.')
    there = _there(stub, wanted, label, where, float(said.get("timeout_s") or TIME_S))
    if "://" in there.where:
        if said.get("network") is False:
            raise PolicyError(f"{label} ({where}): `near={there.where!r}` needs the network: leave `network` out.")
        if said.get("protect") == "strict" or said.get("runtime", "process") != "process":
            said["network"] = True
    said.setdefault("version", code_version(stub))
    said.setdefault("retries", _AGAIN)
    return _body(stub, there), said


def _there(stub: Callable[..., Any], wanted: Any, label: str, where: str, time_s: float) -> _KeyPlace:
    def refuse(why: str) -> PolicyError:
        return PolicyError(f"{label} ({where}): {why}")

    if isinstance(wanted, str | os.PathLike):
        wanted = near(wanted)
    if not isinstance(wanted, NearTo):
        raise refuse(
            f"`near={wanted!r}` is no key. A key is written {_FORM}. A value of another Step is given as an argument."
        )
    parts = wanted.url.rsplit("/", 2)
    if len(parts) != 3 or not all(parts) or parts[0].endswith(":/"):
        raise refuse(f"`near={wanted.url!r}` is no key: it is written {_FORM}.")
    names = inspect.signature(stub).parameters
    for part in parts:
        try:
            fields = [field for _, field, _, _ in string.Formatter().parse(part) if field is not None]
        except ValueError as error:
            raise refuse(f"`near={wanted.url!r}` can't be read: {error}.") from None
        unknown = [field for field in fields if field not in names or part is parts[0]]
        if unknown:
            raise refuse(
                f"`near={wanted.url!r}` has {{{unknown[0]}}} in it; in its bucket and key there may be: "
                f"{', '.join(names) or 'no parameter, since it has none'}."
            )
    place = importlib.import_module("weftrun.sdk.wasm")._checked(label, "bucket", parts[0], wanted.run)
    return _KeyPlace(place, parts[1], parts[2], wanted.run, label, time_s)


# ---------------------------------------------------------------------- where it is called


def _body(stub: Callable[..., Any], there: _KeyPlace) -> Callable[..., Any]:
    signature = inspect.signature(stub)

    @functools.wraps(stub)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return _CallNearKey(stub, there, bound.arguments, (args, kwargs)).value()

    call.weftrun_near = stub  # type: ignore[attr-defined]
    return call


class _CallNearKey:
    """One call of a Function that is near a key."""

    def __init__(
        self, stub: Callable[..., Any], there: _KeyPlace, named: Mapping[str, Any], given: tuple[Any, Any]
    ) -> None:
        if not _Moves.allowed:
            raise UsageError(f"{there.label} is called beside the data of another Function: call it in a workflow.")
        self._stub = stub
        self._there = there
        self._given = given
        self._now = current()
        self._code = own_code(stub.__module__)
        bucket, key = there.bucket.format_map(named), there.key.format_map(named)
        adapter = importlib.import_module("weftrun.adapters.near.way")  # late: only Sandboxes need it
        function = f"{self._code.digest}:{stub.__qualname__}"
        self._trip = adapter.NearTrip(there.where, function, bucket, key, self._now.key)
        self._key = self._trip.key

    def value(self) -> Any:
        """Let it run where it is expected to be quicker, and return what it gives."""
        near, reason = self._trip.choose(self._there.run)
        if near == "near" and self._code.why_not:
            near, reason = "here", self._code.why_not
        if near == "near":
            told = self._trip.send(self._told(), self._code.content)
            if not isinstance(told.answer, NearRefused):
                self._note("near", reason or "its data is there", told.bytes_out, told.bytes_back)
                return self._taken(told.answer)
            reason = f"refused: {told.answer.reason}"
        if self._there.run == "require":
            raise UsageError(
                f'{self._there.label} asks for run="require", and can\'t run beside {self._key.name!r}: {reason}.'
            )
        return self._here(reason)

    def _told(self) -> PythonCall:
        now = self._now
        arguments = encode(self._given, what=f"the arguments of {self._there.label}").tobytes()
        return PythonCall(
            code=self._code.digest, python=_PYTHON, module=self._code.module, function=self._stub.__qualname__,
            bucket=self._key.bucket, key=self._key.name, arguments=arguments, effects=now.key, run_id=now.run_id,
            run_uid=now.run_uid, step=now.step_id, attempt=now.attempt, time_s=self._there.time_s,
        )  # fmt: skip

    def _taken(self, answer: PythonDone | PythonRaised | NearFailed) -> Any:
        match answer:
            case PythonDone(value, text, notes):
                sys.stdout.write(text)
                for note in notes:
                    self._now.note(note)
                return decode(value)
            case PythonRaised(failure, text):
                sys.stdout.write(text)
                raise error_of(failure, run=None)
            case NearFailed(error):
                raise RemoteFailed(f"{self._there.label} gave no value beside {self._key.name!r}: {error}.")

    def _here(self, reason: str) -> Any:
        outer = self._now.is_near(NearKey(self._key.bucket, self._key.name, self._key))
        try:
            with self._trip.here():
                return self._stub(*self._given[0], **self._given[1])
        finally:
            self._now.is_near(outer)
            self._note("here", reason, 0, self._trip.here_bytes)

    def _note(self, where: Literal["near", "here"], reason: str, out: int, back: int) -> None:
        made = StorageCallMade(self._key.name, where, reason, out, back, self._trip.took_s)
        self._now.note(made.sentence(self._there.label))
