"""Code that does not fit what is on record: async bodies that call something else before all they called before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weftrun.model.policy import Kind
from weftrun.sdk.function import Function, function
from weftrun.testing.sim.outside import ByName


@function(name="weftrun.testing.sim.unfit:elsewhere", effects="none")
def elsewhere() -> None:
    """Never runs: its code is missing where it is called."""


class UnfitDeploy(ByName):
    """The Functions of an author by name, with other bodies of `async` workflows."""

    def __init__(self, functions: Mapping[str, Function[..., Any]]) -> None:
        """Change what these have, and what is found besides."""
        super().__init__()
        self._functions = functions

    def __missing__(self, name: str) -> Function[..., Any]:
        """Find a Function of the author's, and change it if it is such a workflow."""
        found = self._functions[name]
        if found.spec.kind is Kind.WATCHING:
            found = Function(_going_elsewhere(found), found.spec, home=found.home)
            found.is_async = True
        self[name] = found
        return found


def _going_elsewhere(found: Function[..., Any]) -> Any:
    async def changed(*args: Any, **kwargs: Any) -> Any:
        await elsewhere.step()
        return await found.callable(*args, **kwargs)

    return changed
