"""The object `store` that a function of FaaSFlow finds among its globals."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from weftrun.fronts.faasflow.data import NodeOutputs, find
from weftrun.fronts.faasflow.plan import PlannedCall

MARKER: Final = "no attachment"
"""What FaaSFlow returns for data that nobody has put."""


class MissingData(LookupError):
    """A function has fetched what nobody before it has put."""


class Store:
    """Fetches what functions before this one have put, and puts what is for those behind it.

    Attributes:
        input: of the file, by name: `type`, `function`, `parameter` and `size` of each.
        output: of the file, by name: `type` and `size` of each.
        keys: the items of this call of a foreach, by the parameter that holds their list.
        runtime: how long the file expects this function to run, in seconds.
        request_id: id of the Run.
    """

    def __init__(self, call: PlannedCall, request_id: str, given: list[NodeOutputs], keys: Mapping[str, Any]) -> None:
        """Fetch from `given`, where the later one counts."""
        self.workflow_name = call.workflow
        self.function_name = call.name
        self.request_id = request_id
        self.input = {
            name: {"type": taken.type, "function": taken.function, "parameter": taken.parameter, "size": taken.size}
            for name, taken in call.input.items()
        }
        self.output = {name: {"type": made.type, "size": made.size} for name, made in call.output.items()}
        self.keys = dict(keys)
        self.runtime = call.runtime
        self.to = "MEM"
        self.made = NodeOutputs()
        self._given = given
        self._missing = call.missing
        self._aliases = call.aliases

    def fetch(self, input_keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of these inputs or keys, by the names that they are asked for with.

        Raises:
            MissingData: nobody has put one of them.
        """
        return {key: self._fetched(key) for key in input_keys}

    def put(self, output_result: Mapping[str, Any], output_content_type: Mapping[str, str] | None = None) -> None:
        """Keep values by key: JSON, unless another content type is said, and then bytes.

        Raises:
            TypeError: a value has no JSON; or is no list although its key drives a foreach.
        """
        types = output_content_type or {}
        for key, value in output_result.items():
            if self.output.get(key, {}).get("type") == "keys":
                if not isinstance(value, list | tuple):
                    raise TypeError(
                        f"{self.function_name} put a {type(value).__name__} under {key!r}, which drives a foreach and "
                        "so must be a list."
                    )
                self.made.keys[key] = list(value)
            else:
                self.made.put(key, value, types.get(key, "application/json"))

    def _fetched(self, key: str) -> Any:
        taken = self.input.get(key)
        parameter = str(taken["parameter"]) if taken is not None else self._aliases.get(key, key)
        if parameter in self.keys:
            return self.keys[parameter]
        try:
            return find(self._given, parameter)
        except KeyError:
            if self._missing == "marker":
                return MARKER
            raise MissingData(self._sentence(key, parameter)) from None

    def _sentence(self, key: str, parameter: str) -> str:
        there = sorted({name for outputs in self._given for name in outputs} | set(self.keys))
        near = difflib.get_close_matches(parameter, there, 1)
        asked = repr(key) if key == parameter else f"{key!r}, which is to be {parameter!r},"
        hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(there[:20]) or 'none'}."
        return f"{self.function_name} fetches {asked} and nothing before it has put that.{hint}"
