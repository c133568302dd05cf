"""From `FILE.py[:WORKFLOW]` or `module:WORKFLOW` to the Function, loaded under the name that Sandboxes use too."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from weftrun.assembly import checked_sinks
from weftrun.model.errors import UsageError
from weftrun.model.policy import Bundle, Kind, Program
from weftrun.ports.sinks import Sink
from weftrun.sdk.bundle import load_file, search_path
from weftrun.sdk.function import Function
from weftrun.sdk.home import container_of, script_name
from weftrun.sdk.place import importing
from weftrun.sdk.program import arguments, cwd_here, interpreter_options
from weftrun.sdk.tracebacks import authors_traceback


def load(target: str) -> Function[..., Any]:
    """Import the author's code and return the Function that `target` names.

    Raises:
        UsageError: there is no such file, module or Function, or its import fails.
    """
    where, name = _split(target, "workflow")
    module = _imported(where)
    return _named(module, name, where) if name else _only(module, where)


def load_app(target: str) -> ModuleType:
    """Import the author's code, whatever Functions it has; a name after a colon is left out of account.

    Raises:
        UsageError: there is no such file or module, or its import fails; `PolicyError` where a policy is wrong.
    """
    return _imported(_split(target, "workflow")[0])


def load_sinks(target: str) -> Mapping[str, Sink]:
    """Import the author's code and return the sinks that `target` names: a dict, or a function that returns one.

    Raises:
        UsageError: there is no such file, module or name, it fails, or it gives something else.
    """
    where, name = _split(target, "sinks")
    if not name:
        raise _names_none(target, "sinks")
    module = _imported(where)
    found = vars(module).get(name)
    if found is None:
        raise UsageError(f"There is no {name} in {where}.")
    if callable(found):
        try:
            found = found()
        except UsageError:
            raise
        except Exception as error:  # the author's code, which may raise anything
            raise UsageError(f"{name}() in {where} failed.\n{authors_traceback(error).rstrip()}") from error
    return checked_sinks(found)


def bundle_at(target: str) -> Bundle:
    """Return where Sandboxes find the code of `FILE.py[:WORKFLOW]` or `module[:WORKFLOW]`, importing nothing here.

    Raises:
        UsageError: there is no such file.
    """
    where = target if os.path.isfile(target) else target.rpartition(":")[0] or target
    if not _is_file(where):
        _first_on_path(os.getcwd())
        return Bundle(
            where, path=search_path(), started=Program(cwd_here(), (os.fsencode(where),), interpreter_options())
        )
    file, folder = _found(os.path.abspath(where))
    _first_on_path(folder)
    started = Program(cwd_here(), (os.fsencode(file),), interpreter_options())
    return Bundle(script_name(file), file, path=search_path(), started=started)


def _found(file: str) -> tuple[str, str]:
    """Return the path of a script, of a zipapp that of its main module, and the folder that is first on its path.

    Raises:
        UsageError: there is none.
    """
    if zipfile.is_zipfile(file):
        file = os.path.join(file, "__main__.py")
    held = container_of(file)
    if not held:
        raise UsageError(f"There is no file {file}.")
    return file, os.path.dirname(os.path.realpath(file)) if held == file else held


def _imported(where: str) -> ModuleType:
    if _is_file(where):
        return script(os.path.abspath(where))
    _first_on_path(os.getcwd())
    return importable(where)


def script(file: str, module: str = "", argv: Sequence[bytes] = ()) -> ModuleType:
    """Import a script as `python FILE` would, but under its own name, with its folder first on the path.

    It finds the arguments `argv` in `sys.argv`, those of a Run that is gone on with; by default none.

    Raises:
        UsageError: it is not there, has the name of another loaded module, or its import fails.
    """
    file, folder = _found(file)
    name = module or script_name(file)
    loaded = sys.modules.get(name)
    if loaded is not None and os.path.abspath(getattr(loaded, "__file__", None) or "") != file:
        raise UsageError(f"{file} has the name of a module that is loaded already ({name}): give it another name.")
    _first_on_path(folder)
    try:
        with _marked(file), arguments(argv or [os.fsencode(file)]):
            return load_file(file, name)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # importing runs the author's code, which may raise anything
        raise _import_failed(file, error) from error


def importable(name: str, argv: Sequence[bytes] = ()) -> ModuleType:
    """Import a module by name, with the arguments `argv` in `sys.argv`; by default none.

    Raises:
        UsageError: it is not there, or its import fails.
    """
    try:
        with _marked(name), arguments(argv or [os.fsencode(name)]):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(f"There is neither a file nor a module {name!r}.") from error
        raise _import_failed(name, error) from error
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # importing runs the author's code, which may raise anything
        raise _import_failed(name, error) from error


@contextlib.contextmanager
def _marked(what: str) -> Iterator[None]:
    """Let `weftrun.open` know that it is not the author's program that runs, but its import."""
    importing.file, importing.by = what, "the command line"
    try:
        yield
    finally:
        importing.file, importing.by = "", "a Sandbox"


def _import_failed(what: str, error: BaseException) -> UsageError:
    return UsageError(f"{what} can't be imported.{_hint(what, error)}\n{authors_traceback(error).rstrip()}")


def _hint(what: str, error: BaseException) -> str:
    """Return what to do about an import that failed, where its error tells that; after a space."""
    if isinstance(error, SystemExit):
        return (
            " It ended the program: put what reads the command line, such as parse_args(), under "
            '`if __name__ == "__main__":`, or give it defaults there.'
        )
    if isinstance(error, ImportError) and "relative import" in str(error) and os.path.isfile(what):
        module = _module_of(what)
        return f" It is a part of a package: name it as a module, {module} or {module}:NAME." if module else ""
    return ""


def _module_of(file: str) -> str:
    """Return the name by which a file of a package is imported from above the package; nothing if it is of none."""
    parts, folder = [os.path.splitext(os.path.basename(file))[0]], os.path.dirname(os.path.abspath(file))
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        parts.insert(0, os.path.basename(folder))
        folder = os.path.dirname(folder)
    return ".".join(parts) if len(parts) > 1 else ""


def _split(target: str, what: str) -> tuple[str, str]:
    """Return file or module, and the name in it, which may be left out of a file."""
    if os.path.isfile(target):
        return target, ""
    where, colon, name = target.rpartition(":")
    if not colon:
        where, name = target, ""
    if not where or (colon and not name):
        raise _names_none(target, what)
    return where, name


def _names_none(target: str, what: str) -> UsageError:
    return UsageError(f"{target!r} names no {what}: write FILE.py:{what.upper()} or module:{what.upper()}.")


def _is_file(where: str) -> bool:
    return where.endswith(".py") or os.path.isfile(where) or os.sep in where


def _first_on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _named(module: ModuleType, name: str, where: str) -> Function[..., Any]:
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Function):
        return found
    if found is not None:
        raise UsageError(f"{name} in {where} is not a Function: decorate it with @workflow or @function.")
    names = _functions(module)
    near = difflib.get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]}?" if near else f" It has {', '.join(names)}." if names else ""
    raise UsageError(f"There is no {name} in {where}.{hint}")


def _only(module: ModuleType, where: str) -> Function[..., Any]:
    """Return the one workflow of a file, or the one Function of a file without workflows."""
    functions = _functions(module)
    workflows = {name: found for name, found in functions.items() if found.spec.kind is not Kind.FUNCTION}
    choice = workflows or functions
    if len(choice) == 1:
        return next(iter(choice.values()))
    if not choice:
        raise UsageError(f"There is no workflow in {where}: decorate a function with @workflow.")
    raise UsageError(f"{where} has several: {', '.join(choice)}. Say which: {where}:{next(iter(choice))}")


def _functions(module: ModuleType) -> dict[str, Function[..., Any]]:
    """Return the Functions that a module defines itself; those it imports are other modules' own."""
    return {
        name: found
        for name, found in vars(module).items()
        if isinstance(found, Function) and getattr(found.callable, "__module__", None) == module.__name__
    }
