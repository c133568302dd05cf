"""Running the file of one block of DataFlower: its globals, its store, its folder."""

from __future__ import annotations

import difflib
import gc
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from weftrun.fronts.faasflow.conditions import holds
from weftrun.fronts.faasflow.dataflow import COUNT, BlockCall
from weftrun.fronts.faasflow.execution import code_of, importable, own_folder
from weftrun.fronts.faasflow.posts import Datum, Posts, value_of
from weftrun.fronts.faasflow.store import MARKER, MissingData
from weftrun.sdk.place import current

_FILES = "blocks"


class BlockStore:
    """The object `store` that a block of DataFlower finds among its globals.

    Attributes:
        request_id: id of the Run.
        posts: what was posted.
    """

    def __init__(self, call: BlockCall, request_id: str, arrived: Mapping[str, Datum | list[Datum]]) -> None:
        """Fetch from what has arrived, by input."""
        self.request_id = request_id
        self.workflow_name = call.workflow
        self.template_name = call.template
        self.block_name = call.block
        self.posts = Posts()
        self._call = call
        self._arrived = arrived

    def fetch(self, input_keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of these inputs; of a LIST all, in the order of their serials.

        Raises:
            MissingData: the block has no such input.
        """
        return {key: self._fetched(key) for key in input_keys}

    def post(self, key: str, val: object, force: bool = False, datatype: str = "json", debug: bool = False) -> None:
        """Post a datum: JSON, or bytes where `datatype` is `octet`. Under a FOREACH key each is one call more.

        `force` is there as it is in DataFlower, and changes nothing; with `debug` nothing is posted.

        Raises:
            MissingData: the block has no such output, so that it goes nowhere.
            TypeError, ValueError: see `Posts.post`.
        """
        del force
        if debug:
            return
        if key not in self._call.outputs and not self._call.is_switch and self._call.missing == "error":
            near = difflib.get_close_matches(key, self._call.outputs, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self._call.outputs) or 'none'}."
            raise MissingData(f"{self._call.name} posts {key!r}, which is none of its outputs. {hint}")
        self.posts.post(key, val, datatype)

    def _fetched(self, key: str) -> Any:
        if key not in self._arrived:
            if self._call.missing == "marker":
                return MARKER
            near = difflib.get_close_matches(key, self._call.inputs, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self._call.inputs) or 'none'}."
            raise MissingData(f"{self._call.name} fetches {key!r}, which is none of its inputs. {hint}")
        came = self._arrived[key]
        return [value_of(datum) for datum in came] if isinstance(came, list) else value_of(came)


def execute_block(call: BlockCall, arrived: Mapping[str, Datum | list[Datum]]) -> Posts:
    """Run a block once and return what it has posted; raises whatever its code raises."""
    store = BlockStore(call, str(current().run_id), arrived)
    file = Path(call.file)
    beside = [file.parent]
    if file.parent.parent.name == _FILES:
        beside.append(file.parent.parent.parent)
    names: dict[str, Any] = {
        "__name__": "main",
        "__file__": call.file,
        "__builtins__": __builtins__,
        "store": store,
        "request_id": store.request_id,
        "workflow_name": call.workflow,
        "template_name": call.template,
        "block_name": call.block,
    }
    code = code_of(call.file)
    with importable(os.path.dirname(call.file), store), own_folder(*beside) as own:
        names["ENV_WORKDIR"] = str(own / "work")
        exec(code, names)  # the user's own block, in a Sandbox, where user code belongs
    posts = store.posts
    foreach = [key for key, kind in call.outputs.items() if kind == "FOREACH"]
    if foreach:
        posts.post(COUNT, len(posts.kept.get(foreach[0], ())), "json")
    if call.is_switch:
        posts.case = _case(call, posts)
    if call.gc:
        gc.collect()
    return posts


def _case(call: BlockCall, posts: Posts) -> int:
    """Return the place of the first condition that holds; -1 where none does."""

    def look(name: str) -> Any:
        if name in posts.kept:
            return value_of(posts.kept[name][0])
        if call.missing == "marker":
            return MARKER
        posted = ", ".join(posts.kept) or "nothing"
        raise MissingData(f"{call.name}: a condition looks at {name!r}, and the block has posted {posted}.")

    for index, condition in enumerate(call.conditions):
        if holds(condition, look):
            return index
    return -1
