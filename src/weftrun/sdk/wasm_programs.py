"""WebAssembly programs that call other functions: the body of a workflow drives one, and its calls are Steps.

The idea of chained calls, and what a program can ask for, are those of Faasm (S. Shillaker and P. Pietzuch, USENIX ATC
2020, section 3.2); that they are Steps of a Run is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from weftrun.model.errors import UsageError, WasmRefused
from weftrun.model.wasm import ProgramAwaits, ProgramCalls, ProgramEnded, ProgramUsesKeys, WasmAnswer, WasmCall
from weftrun.sdk.function import Function, function, workflow
from weftrun.sdk.place import current, now, random
from weftrun.sdk.ref import Ref
from weftrun.sdk.together import gather
from weftrun.sdk.wasm import UNREACHABLE, as_bytes, sandboxed, say, uploaded


class _OtherSteps(Protocol):
    """How the calls of a program become Steps."""

    def step(self, asked: ProgramCalls) -> Ref[Any]:
        """Make the Step of a call."""


class NamedFunctions:
    """The Functions that a program of an author may call."""

    def __init__(self, wanted: WasmCall, functions: Mapping[str, Function[..., Any]]) -> None:
        """Let the program `wanted` call these by their names."""
        self._wanted = wanted
        self._functions = functions

    def step(self, asked: ProgramCalls) -> Ref[Any]:
        """Make the Step of a call."""
        if asked.pointed is not None:
            return _pointed(self._wanted, asked)
        found = self._functions.get(asked.name)
        if found is None:
            has = ", ".join(sorted(self._functions)) or "none"
            raise WasmRefused(
                f"The WebAssembly program {self._wanted.label} calls {asked.name!r}; it may call: {has}. Say "
                "`calls=[...]` where it is made."
            )
        return found.step(asked.input)


class ReleasedFunctions:
    """The functions that a program which was uploaded may call: those of its user, as they were when its Run began."""

    def __init__(self, wanted: WasmCall) -> None:
        """Let the program `wanted` call those of its release."""
        self._wanted = wanted

    def step(self, asked: ProgramCalls) -> Ref[Any]:
        """Make the Step of a call."""
        if asked.pointed is not None:
            return _pointed(self._wanted, asked)
        found, is_program = sandboxed(self._wanted.label).of_release(self._wanted, asked.name)
        called = uploaded_program(asked.name) if is_program else uploaded(asked.name)
        return called.step(found, asked.input)


def _pointed(wanted: WasmCall, asked: ProgramCalls) -> Ref[Any]:
    assert asked.pointed is not None
    label = f"{wanted.label}_{asked.pointed.index}"
    return uploaded(label).step(replace(wanted, label=label, pointed=asked.pointed), asked.input)


async def drive(wanted: WasmCall, input: bytes | str, others: _OtherSteps) -> WasmAnswer:
    """Let a program run in the body of a workflow; what it calls, and the keys that it uses, are Steps."""
    adapter = sandboxed(wanted.label)
    program = adapter.program(wanted, as_bytes(wanted.label, input), str(random().random()), say)
    answer: WasmAnswer = await _driven(program, wanted, others)
    return answer


async def drive_component(wanted: WasmCall, args: tuple[Any, ...], others: _OtherSteps) -> Any:
    """Let a function of a component run in the body of a workflow, as `drive` does."""
    program = sandboxed(wanted.label).component_program(wanted, args, str(random().random()), say)
    return await _driven(program, wanted, others)


async def _driven(program: Any, wanted: WasmCall, others: _OtherSteps) -> Any:
    refs: list[Ref[Any]] = []
    answer: Any = None
    try:
        while True:
            asked = program.go_on(answer, now())
            match asked:
                case ProgramCalls():
                    refs.append(others.step(asked))
                    answer = len(refs)
                case ProgramAwaits(call):
                    answer = await _answer(refs[call - 1])
                case ProgramUsesKeys(verb, args):
                    answer = await use_key.step(wanted, verb, args)
                case ProgramEnded(ended):
                    return ended
    finally:
        program.close()


async def _answer(ref: Ref[Any]) -> WasmAnswer | None:
    """Wait for a call, and return what it gave; None where it has failed."""
    (value,) = await gather(ref, return_exceptions=True)
    if isinstance(value, BaseException):
        return None  # the program is told of it; the Step has the error on record
    if isinstance(value, WasmAnswer):
        return value
    if isinstance(value, str):
        return WasmAnswer(value.encode())
    if not isinstance(value, bytes | bytearray | memoryview):
        raise UsageError(
            f"A function that a WebAssembly program calls returns bytes or text, not {type(value).__name__}."
        )
    return WasmAnswer(bytes(value))


@function(retries=UNREACHABLE)
def use_key(wanted: WasmCall, verb: str, args: tuple[Any, ...]) -> Any:
    """Use keys of a program's bucket."""
    return sandboxed(wanted.label).use_key(wanted, verb, args, current().key)


@workflow(body_timeout_s=65.0)
async def call_program(wanted: WasmCall, input: bytes) -> WasmAnswer:
    """Call a program that was uploaded and that calls other functions."""
    return await drive(wanted, input, ReleasedFunctions(wanted))


def uploaded_program(label: str) -> Function[..., Any]:
    """Return the Workflow that runs programs, under the name of one of them."""
    spec = replace(call_program.spec, label=label)
    return Function(
        call_program.callable, spec, home=call_program.home, origin=call_program.origin, holds=(call_program,)
    )
