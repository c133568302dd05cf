"""Where the author's code is found: by a Sandbox, by another process, after a restart."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from weftrun.model.errors import UsageError
from weftrun.model.policy import Bundle
from weftrun.sdk.place import here

if TYPE_CHECKING:
    from weftrun.sdk.function import Function

_cache: dict[str, Bundle] = {}


def _main_file() -> str:
    """Return the script that this process runs, or nothing in a notebook, a REPL or `python -c`."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if file is None or spec is not None or not os.path.isfile(file):
        return ""
    return os.path.abspath(file)


def import_name(module: str) -> str:
    """Return the name under which others import a module: a script's own, also while it runs as `__main__`."""
    if module != "__main__":
        return module
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return str(spec.name).removesuffix(".__main__")
    file = _main_file()
    return os.path.splitext(os.path.basename(file))[0] if file else "__main__"


def bundle_of(function: Function[..., Any]) -> Bundle:
    """Return the bundle with a Function's code: its script, its module, or what a notebook has defined so far."""
    module = function.spec.name.split(":", 1)[0]
    callable_module = getattr(function.callable, "__module__", "") or module
    if callable_module == "__main__" and import_name("__main__") == "__main__":
        return _notebook()
    module = import_name(callable_module)
    found = _cache.get(module)
    if found is None:
        found = _cache[module] = _of_module(module, callable_module)
    return found


def _of_module(module: str, loaded_as: str) -> Bundle:
    file = getattr(sys.modules.get(loaded_as), "__file__", None) or ""
    if loaded_as == "__main__":
        # What a Sandbox pickled under the import name is found in the running script.
        sys.modules.setdefault(module, sys.modules["__main__"])
    by_path = loaded_as == "__main__" and bool(_main_file())
    if not by_path and file:
        by_path = _importable_file(module) != os.path.abspath(file)
    digest = ""
    if file and os.path.isfile(file):
        with open(file, "rb") as source:
            digest = hashlib.sha256(source.read()).hexdigest()[:16]
    path = tuple(os.path.abspath(entry) if entry else os.getcwd() for entry in sys.path)
    return Bundle(module, os.path.abspath(file) if by_path else "", b"", path, os.getcwd(), digest)


def _importable_file(module: str) -> str:
    """Return the file that `import module` would find, or nothing."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return os.path.abspath(spec.origin) if spec is not None and spec.origin else ""


def _notebook() -> Bundle:
    """Pickle what the author has defined in `__main__`: all of it together, so that it keeps sharing its globals."""
    cloudpickle = importlib.import_module("cloudpickle")  # late: only notebooks need it
    functions = importlib.import_module("weftrun.sdk.function")  # late: it imports this module
    main = sys.modules["__main__"]
    own = {
        name: value
        for name, value in vars(main).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == "__main__"
        and not isinstance(value, functions.Function)
        and callable(value)
    }
    wrapped = {
        name: (found.callable, found.spec) for name, found in functions.registered("__main__:").items()
    }
    blob: bytes = cloudpickle.dumps((own, wrapped))
    code = repr(sorted((name, spec.version) for name, (_, spec) in wrapped.items()))
    path = tuple(os.path.abspath(entry) if entry else os.getcwd() for entry in sys.path)
    return Bundle("__main__", "", blob, path, os.getcwd(), hashlib.sha256(code.encode()).hexdigest()[:16])


def install(bundle: Bundle) -> ModuleType | None:
    """Import a bundle's code into this process, a zygote or a Sandbox. Raises whatever the author's module raises."""
    here.importing = bundle.file or bundle.module
    try:
        if bundle.blob:
            _install_notebook(bundle)
            return None
        loaded = load_file(bundle.file, bundle.module) if bundle.file else importlib.import_module(bundle.module)
        # What the author's process pickled as `__main__.Thing` is found in the script itself.
        sys.modules["__main__"] = loaded
        return loaded
    finally:
        here.importing = ""


def load_file(file: str, module: str) -> ModuleType:
    """Import a script by path under its import name; `__main__` is aliased to it, so that its pickles are found."""
    known = sys.modules.get(module)
    if known is not None and os.path.abspath(getattr(known, "__file__", "") or "") == file:
        return known
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} can't be loaded as Python code.")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        sys.modules.pop(module, None)
        raise
    return loaded


def _install_notebook(bundle: Bundle) -> None:
    functions = importlib.import_module("weftrun.sdk.function")  # late: it imports this module
    main: Any = sys.modules["__main__"]
    pickle = importlib.import_module("pickle")
    own, wrapped = pickle.loads(bundle.blob)
    vars(main).update(own)
    for name, (callable_, spec) in wrapped.items():
        found = functions.adopt(name, callable_, spec)
        vars(main)[spec.label] = found
