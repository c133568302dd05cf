"""The key `weftrun` of a function: the policy of its Step."""

from __future__ import annotations

from typing import Any, cast

from weftrun.fronts.faasflow.calls import call_function
from weftrun.fronts.faasflow.reading import Table
from weftrun.model.errors import PolicyError

_KNOWN = ("effects", "retries", "timeout_s", "memory_bytes_max", "checkpoint", "deterministic", "network")


def policy_of(table: Table) -> dict[str, Any]:
    """Return the policy of a function's Step, which weftrun adds to FaaSFlow's format; a wrong one is a problem."""
    told = table.table("weftrun", f"`weftrun` of {table.text('name')!r}")
    told.only((*_KNOWN, "needs"))  # `needs` is no policy: see `joins`
    policy = {key: value for key, value in told.plain().items() if key in _KNOWN}
    for key, value in policy.items():
        try:
            call_function.options(**cast("Any", {key: value}))
        except PolicyError as error:
            told.problem(key, f"{told.what}: {str(error).split('): ', 1)[-1]}")
    if policy.get("effects") == "transaction":
        told.problem("effects", f"{told.what}: a function of FaaSFlow has no transaction.")
    return policy
