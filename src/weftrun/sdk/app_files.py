"""The files of the author's own that an entry module needs: itself and what it imports, read off the code.

Nothing is run. What is imported by a name that is made while the program runs is not seen.
"""

from __future__ import annotations

import modulefinder
import os
from collections.abc import Iterator
from pathlib import Path

from weftrun.model.errors import UsageError

_PASSED_BY = {"__pycache__", "node_modules", "venv"}


def imported(file: Path, folder: Path, module: str = "") -> Iterator[Path]:
    """Yield the files below a folder that a Python file imports, and itself.

    Args:
        file: the script, or where `module` is found.
        module: import name of the file below the folder, where it is no script.

    Raises:
        UsageError: it can't be read as Python.
    """
    finder = modulefinder.ModuleFinder([str(folder)])
    try:
        if module:
            finder.import_hook(module)
        else:
            finder.run_script(str(file))
    except (SyntaxError, ValueError, ImportError) as error:
        raise UsageError(f"{file.name} can't be read as Python: {error}.") from error
    yield file
    for found in finder.modules.values():
        path = Path(found.__file__).resolve() if found.__file__ else None  # type: ignore[attr-defined]
        if path is not None and path != file and path.is_relative_to(folder):
            yield path


def with_packages(files: Iterator[Path], folder: Path) -> list[Path]:
    """Return files with all that lies in the packages that they are of: programs read templates and data there."""
    found: set[Path] = set()
    for file in files:
        inside = file.relative_to(folder).parts
        package = folder / inside[0]
        if len(inside) > 1 and (package / "__init__.py").is_file():
            if package not in found:
                found.add(package)
                found.update(all_files(package))
        else:
            found.add(file)
    return sorted(path for path in found if path.is_file())


def all_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, but for hidden ones, links and what is made by machines."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in _PASSED_BY or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from all_files(entry)
        elif entry.is_file() and os.access(entry, os.R_OK):
            yield entry
