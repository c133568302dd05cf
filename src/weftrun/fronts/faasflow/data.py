"""What a function has put: encoded once, handed on without a copy, decoded where it is fetched."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from typing import Any, Final

_JSON: Final = "application/json"
_APART_BYTES: Final = 4096
"""What is larger travels beside the pickle, where readers map it."""


EACH: Final = "[*]"
"""At the end of a key: a list of all that was put under it, in the order of those who put it."""


class NodeOutputs:
    """Data of one function by key, and which of the nodes behind it are to run.

    Attributes:
        keys: lists that drive a foreach.
        is_dead: nothing was run, since the switches before it chose other branches.
        chosen: of a switch, the node that runs; None for what chooses nothing.
    """

    __slots__ = ("_kept", "chosen", "is_dead", "keys")

    def __init__(
        self,
        kept: Mapping[str, tuple[str, Any]] | None = None,
        keys: Mapping[str, list[Any]] | None = None,
        is_dead: bool = False,
        chosen: str | None = None,
    ) -> None:
        """Begin with these data, each with its content type."""
        self._kept: dict[str, tuple[str, Any]] = dict(kept or {})
        self.keys: dict[str, list[Any]] = dict(keys or {})
        self.is_dead = is_dead
        self.chosen = chosen

    def put(self, key: str, value: object, content_type: str = _JSON) -> None:
        """Keep a value: as JSON, or bytes as they are where the content type is another one.

        Raises:
            TypeError: it has no JSON, or is not bytes although the content type says so.
        """
        if content_type == _JSON:
            data: Any = json.dumps(value).encode()
        else:
            data = value.encode() if isinstance(value, str) else bytes(memoryview(value))  # type: ignore[arg-type]
        self._kept[key] = (content_type, data)

    def add(self, other: NodeOutputs) -> None:
        """Take over what another one has put; of one key the later counts."""
        self._kept.update(other._kept)
        self.keys.update(other.keys)

    def __contains__(self, key: str) -> bool:
        return key in self._kept or key in self.keys

    def __iter__(self) -> Any:
        return iter([*self.keys, *self._kept])

    def get(self, key: str) -> Any:
        """Return a value; raises KeyError where there is none."""
        if key in self.keys:
            return self.keys[key]
        content_type, data = self._kept[key]
        return json.loads(bytes(data)) if content_type == _JSON else bytes(data)

    def raw(self, key: str) -> tuple[str, memoryview]:
        """Return the content type and the bytes of a value, as they were put."""
        if key in self.keys:
            return _JSON, memoryview(json.dumps(self.keys[key]).encode())
        content_type, data = self._kept[key]
        return content_type, memoryview(data)

    def runs(self, name: str) -> bool:
        """Say whether the node `name` behind this one may run, as far as this one is asked."""
        return not self.is_dead and (self.chosen is None or self.chosen == name)

    def __repr__(self) -> str:
        if self.is_dead:
            return "Outputs(not chosen)"
        if self.chosen is not None:
            return f"Outputs(chose {self.chosen})"
        sizes = [f"{key}: {memoryview(data).nbytes:,} bytes" for key, (_, data) in self._kept.items()]
        return f"Outputs({', '.join([*(f'{key}: {len(items)} keys' for key, items in self.keys.items()), *sizes])})"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        kept = {key: (content_type, apart(data)) for key, (content_type, data) in self._kept.items()}
        return NodeOutputs, (kept, self.keys, self.is_dead, self.chosen)


def apart(data: Any) -> Any:
    """Return bytes as a pickle is to have them: what is large travels beside it."""
    return pickle.PickleBuffer(data) if memoryview(data).nbytes > _APART_BYTES else bytes(data)


def flattened(given: Iterable[NodeOutputs | list[NodeOutputs]]) -> list[NodeOutputs]:
    """Return what was handed over one by one: a foreach gives a list, in the order of its items."""
    return [one for several in given for one in ([several] if isinstance(several, NodeOutputs) else several)]


def find(given: list[NodeOutputs], key: str) -> Any:
    """Return what was put under a key: by the last who did, as in FaaSFlow's one namespace for a request.

    Lists of keys that several items of a foreach have put are one list, in the order of the items; and so is all that
    was put under a key, where it ends in `[*]`.

    Raises:
        KeyError: nobody has.
    """
    if key.endswith(EACH):
        name = key.removesuffix(EACH)
        return [outputs.get(name) for outputs in given if name in outputs]
    listed = [outputs.keys[key] for outputs in given if key in outputs.keys]
    if listed:
        return [item for items in listed for item in items]
    for outputs in reversed(given):
        if key in outputs:
            return outputs.get(key)
    raise KeyError(key)
