"""Where the author's code is found: by a Sandbox, by another process, after a restart.

A script is known by its import name (the stem of its file), also while it runs as `__main__`; what a notebook or a
REPL has defined travels as one blob, so that its Functions keep sharing their globals.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pickle
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from weftrun.model.errors import NotSerializable, UsageError
from weftrun.model.policy import Bundle
from weftrun.model.telling import writable
from weftrun.sdk.place import importing

if TYPE_CHECKING:
    from weftrun.sdk.function import Function

_MAIN = "__main__"
_bundles: dict[str, Bundle] = {}
_scripts: set[str] = set()
"""Modules that were loaded by path."""
_notebooks: dict[tuple[tuple[str, int], ...], tuple[Bundle, list[object]]] = {}


def import_name(module: str) -> str:
    """Return the name under which others import a module; `__main__` stays for a notebook, a REPL or `python -c`."""
    if module != _MAIN:
        return module
    main = sys.modules[_MAIN]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != _MAIN:
        return str(spec.name.removesuffix("." + _MAIN))
    file = getattr(main, "__file__", None)
    if not file or not os.path.isfile(file):
        return _MAIN
    return str(os.path.splitext(os.path.basename(file))[0])


def bundle_of(function: Function[..., Any]) -> Bundle:
    """Return the bundle with a Function's code: its script, its module, or what a notebook has defined so far.

    Raises:
        NotSerializable: something that a notebook's Functions use can't be pickled.
    """
    home = function.home
    found = _bundles.get(home)
    if found is None:
        module = import_name(home)
        if module == _MAIN:
            return _notebook()
        found = _bundles[home] = _writable(_of_module(module, home))
    return found


def _writable(bundle: Bundle) -> Bundle:
    """Return a bundle that a record can hold.

    Raises:
        UsageError: one of its names is no Unicode text.
    """
    for name in (bundle.module, bundle.file, bundle.cwd, *bundle.path):
        if writable(name) != name:
            raise UsageError(
                f"The name {name!r}, by which a Sandbox is to find the program, is no UTF-8: rename that file or "
                "folder, or take it out of sys.path."
            )
    return bundle


def _of_module(module: str, loaded_as: str) -> Bundle:
    loaded = sys.modules.get(loaded_as)
    file = getattr(loaded, "__file__", None) or ""
    if loaded is not None and loaded_as == _MAIN:
        # What a Sandbox pickled under the import name is found in the running script.
        sys.modules.setdefault(module, loaded)
    by_path = bool(file) and (module in _scripts or _importable_file(module, loaded_as) != os.path.abspath(file))
    digest = ""
    if file and os.path.isfile(file):
        with open(file, "rb") as source:
            digest = hashlib.sha256(source.read()).hexdigest()[:16]
    return Bundle(module, os.path.abspath(file) if by_path else "", b"", search_path(), os.getcwd(), digest)


def search_path() -> tuple[str, ...]:
    """Return this process's `sys.path`, as another one finds it from whatever folder."""
    return tuple(os.path.abspath(entry) for entry in sys.path)


def _importable_file(module: str, loaded_as: str) -> str:
    """Return the file that `import module` would find in a fresh process, or nothing.

    A script is always loaded by its path, whatever else has its name.
    """
    if loaded_as == _MAIN and getattr(sys.modules[_MAIN], "__spec__", None) is None:
        return ""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return ""
    return os.path.abspath(spec.origin) if spec is not None and spec.origin else ""


# ---------------------------------------------------------------------- notebooks


def _notebook() -> Bundle:
    """Pickle what the author has defined in `__main__`, all of it together, once for each state of it."""
    registry = importlib.import_module("weftrun.sdk.registry")  # late: it imports this module
    made = registry.registered(_MAIN)
    own = {name: value for name, value in vars(sys.modules[_MAIN]).items() if _is_own(name, value)}
    wrapped = {name: (found.callable, found.spec) for name, found in made.items()}
    state = tuple((name, id(value)) for name, value in [*own.items(), *((n, f.callable) for n, f in made.items())])
    known = _notebooks.get(state)
    if known is None:
        bundle = Bundle(_MAIN, "", _blob(own, wrapped), search_path(), os.getcwd(), _digest(own, wrapped))
        # What it was made of is kept alive, so that no id in `state` can come to mean something else.
        known = _notebooks[state] = (bundle, [own, wrapped])
    return known[0]


def forget_notebooks() -> None:
    """Let go of what bundles of a notebook were made of; the next one is made anew."""
    _notebooks.clear()


def _is_own(name: str, value: object) -> bool:
    """Say whether a name of `__main__` is a function or a class that was written there."""
    return (
        not name.startswith("__")
        and isinstance(value, FunctionType | type)
        and getattr(value, "__module__", None) == _MAIN
    )


def _blob(own: dict[str, Any], wrapped: dict[str, Any]) -> bytes:
    cloudpickle = importlib.import_module("cloudpickle")  # late: only notebooks need it
    try:
        blob: bytes = cloudpickle.dumps((own, wrapped))
    except UsageError:
        raise
    except Exception as error:  # pickling runs the author's code, which may raise anything
        raise NotSerializable(
            f"What was defined in this session can't be sent to a Sandbox ({error}): a function or a class of it uses "
            "something that can't be pickled. Make that inside the function, or write a module."
        ) from error
    return blob


def _digest(own: dict[str, Any], wrapped: dict[str, Any]) -> str:
    functions = importlib.import_module("weftrun.sdk.function")  # late: it imports this module
    code = [(name, functions.code_version(value)) for name, (value, _) in wrapped.items()]
    for name, value in own.items():
        parts = vars(value) if isinstance(value, type) else {"": value}
        code += [(f"{name}.{part}", functions.code_version(inner)) for part, inner in parts.items()]
    return hashlib.sha256(repr(sorted(code)).encode()).hexdigest()[:16]


# ---------------------------------------------------------------------- in a Sandbox


def install(bundle: Bundle) -> ModuleType | None:
    """Import a bundle's code into this process, a zygote or a Sandbox. Raises whatever the author's module raises.

    Returns:
        The entry module; None for what a notebook has defined.
    """
    importing.file = bundle.file or bundle.module
    try:
        if bundle.blob:
            _install_notebook(bundle)
            return None
        loaded = load_file(bundle.file, bundle.module) if bundle.file else importlib.import_module(bundle.module)
        # What the author's process pickled as `__main__.Thing` is found in the script itself.
        sys.modules[_MAIN] = loaded
        return loaded
    finally:
        importing.file = ""


def load_file(file: str, module: str) -> ModuleType:
    """Import a script by path under its import name.

    Raises:
        UsageError: it isn't Python code; and whatever the script raises.
    """
    known = sys.modules.get(module)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") == os.path.abspath(file):
        return known
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} can't be loaded as Python code: its name must end in .py.")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    _scripts.add(module)
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        sys.modules.pop(module, None)
        _scripts.discard(module)
        raise
    return loaded


def _install_notebook(bundle: Bundle) -> None:
    functions = importlib.import_module("weftrun.sdk.function")  # late: it imports this module
    names = vars(sys.modules[_MAIN])
    own, wrapped = pickle.loads(bundle.blob)
    names.update(own)
    for name, (callable, spec) in wrapped.items():
        found = functions.adopt(name, callable, spec)
        names[getattr(callable, "__name__", spec.label)] = found
