"""Running the file of one function: its globals, its folder, and its code, read once and executed each time."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from weftrun.fronts.faasflow.data import NodeOutputs
from weftrun.fronts.faasflow.plan import PlannedCall
from weftrun.fronts.faasflow.store import Store
from weftrun.sdk.place import current

_codes: dict[str, tuple[int, CodeType]] = {}
"""By path: when the file was written, in nanoseconds, and its code."""


def execute(call: PlannedCall, given: list[NodeOutputs], keys: Mapping[str, Any]) -> NodeOutputs:
    """Run a function once and return what it has put.

    Its module is executed anew for each call, as FaaSFlow does, with `main()` called after it; where `main` has
    parameters, as in older functions, it gets the globals of these names.

    Raises:
        UsageError: its file has no `main()`; and whatever the function raises.
    """
    store = Store(call, str(current().run_id), given, keys)
    names: dict[str, Any] = {
        "__name__": "main",
        "__file__": call.file,
        "__builtins__": __builtins__,
        "store": store,
        "workflow": call.workflow,
        "function": call.name,
        "workflow_name": call.workflow,
        "function_name": call.name,
        "request_id": store.request_id,
        "runtime": store.runtime,
        "input": store.input,
        "output": store.output,
        "to": store.to,
        "keys": store.keys,
    }
    code = code_of(call.file)
    with importable(os.path.dirname(call.file), store), own_folder(Path(call.file).parent):
        exec(code, names)  # the user's own function, in a Sandbox, where user code belongs
        main = names["main"]
        taken = main.__code__.co_varnames[: main.__code__.co_argcount] if hasattr(main, "__code__") else ()
        main(*(names[name] for name in taken if name in names))
    return store.made


def code_of(file: str) -> CodeType:
    """Return the code of a file, compiled once for as long as the file stays as it is."""
    written = os.stat(file).st_mtime_ns
    kept = _codes.get(file)
    if kept is None or kept[0] != written:
        kept = _codes[file] = (written, compile(Path(file).read_bytes(), file, "exec"))
    return kept[1]


@contextmanager
def importable(folder: str, store: object) -> Iterator[None]:
    """Let the function import what lies beside it, and `Store`, as older functions make one themselves."""
    module = ModuleType("Store")
    module.Store = lambda *_, **__: store  # type: ignore[attr-defined]
    before, path = sys.modules.get("Store"), list(sys.path)
    sys.modules["Store"] = module
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = path
        if before is None:
            sys.modules.pop("Store", None)
        else:
            sys.modules["Store"] = before


@contextmanager
def own_folder(*beside: Path) -> Iterator[Path]:
    """Work in a folder of this call's own, with what lies beside the function, and an empty `work`."""
    before = os.getcwd()
    own = Path(tempfile.mkdtemp(prefix="weftrun-"))
    try:
        for entry in (entry for folder in beside for entry in folder.iterdir()):
            if entry.name not in ("work", "__pycache__") and not os.path.lexists(own / entry.name):
                (own / entry.name).symlink_to(entry)
        (own / "work").mkdir()
        os.chdir(own)
        yield own
    finally:
        os.chdir(before)
        shutil.rmtree(own, ignore_errors=True)
