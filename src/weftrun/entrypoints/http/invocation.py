"""Invocations as Faasm writes them: JSON with its field names, checked."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from weftrun.model.errors import UsageError

CALL, KILL, EMPTY, FLUSH = 0, 1, 2, 3

_NOT_BUILT: Final = (
    "python", "mpi", "cmdline", "func_ptr", "snapshot_key", "is_storage", "is_output_memory_delta",
    "migration_check_period",
)  # fmt: skip
"""Fields that ask for what is not built; where they are said and not empty, the invocation is refused."""
_OF_ITS_HOSTS: Final = (
    "py_user", "py_func", "py_entry", "mpi_world_size", "mpi_world_id", "mpi_rank", "topology_hint", "timestamp",
    "finished", "exec_host", "master_host", "result_key", "status_key", "output_data", "direct_result_host",
    "record_exec_graph", "exec_graph_detail", "int_exec_graph_detail",
)  # fmt: skip
"""Fields that hosts of Faasm tell each other, or that belong to ones that are refused: passed by."""


class InvokeRequest(Struct, frozen=True):
    """What is asked for.

    Attributes:
        user, function: whose function it is, and its name.
        input_data: what it is given.
        is_async: answer at once, with its id.
        id: of the Run; empty for a fresh one.
        status: ask how the Run `id` stands, and start nothing.
        exec_graph: ask for the Steps of the Run `id`, and start nothing.
        type: 0 a call, 3 a flush.
        forbid_ndp: nothing of it may run near storage.
        require_ndp: its storage calls run near storage or fail. (Not of Faasm.)
    """

    user: str = ""
    function: str = ""
    input_data: str = ""
    is_async: bool = False
    id: str = ""
    status: bool = False
    exec_graph: bool = False
    type: int = CALL
    forbid_ndp: bool = False
    require_ndp: bool = False


_KINDS: Final[dict[str, type]] = {
    "user": str, "function": str, "input_data": str, "async": bool, "status": bool, "exec_graph": bool, "type": int,
    "forbid_ndp": bool, "require_ndp": bool,
}  # fmt: skip


def invocations(body: bytes) -> list[InvokeRequest] | InvokeRequest:
    """Read an invocation, or a list of them.

    Raises:
        UsageError: it is no JSON, or a field is unknown, has a wrong type, or asks for what is not built.
    """
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise UsageError(f"The invocation is no JSON: {error}.") from None
    if isinstance(said, list):
        return [_invocation(one, f"invocation {index} of the batch") for index, one in enumerate(said)]
    return _invocation(said, "the invocation")


def _invocation(said: Any, what: str) -> InvokeRequest:
    if not isinstance(said, dict):
        raise UsageError(f"Of {what} there is {type(said).__name__}, not a JSON object.")
    fields: dict[str, Any] = {}
    for name, value in said.items():
        if name == "id" or name in _KINDS:
            fields["is_async" if name == "async" else name] = _checked(name, value, what)
        elif name in _NOT_BUILT:
            if value:
                raise UsageError(f"`{name}` of {what} asks for what is not built yet: leave it out.")
        elif name not in _OF_ITS_HOSTS:
            raise UsageError(f"`{name}` of {what} is no field of an invocation.")
    made = InvokeRequest(**fields)
    if made.type not in (CALL, FLUSH):
        raise UsageError(f"`type` of {what} is {CALL} for a call or {FLUSH} for a flush, not {made.type}.")
    if made.forbid_ndp and made.require_ndp:
        raise UsageError(f"`forbid_ndp` and `require_ndp` of {what} exclude each other.")
    if (made.status or made.exec_graph) and not made.id:
        raise UsageError(f"To ask for a Run, {what} needs its `id`.")
    return made


def _checked(name: str, value: Any, what: str) -> Any:
    """Return the value of a field that has the right type."""
    if name == "id":
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise UsageError(f"`id` of {what} is a number or a text, not {value!r}.")
        return str(value)
    if type(value) is not _KINDS[name]:
        raise UsageError(f"`{name}` of {what} is of type {_KINDS[name].__name__}, not {value!r}.")
    return value
