"""The files beside a workflow: `templates_info.yaml` of DataFlower, `function_info.yaml`, `node_info.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from weftrun.fronts.faasflow.reading import Document, Table, read
from weftrun.model.errors import UsageError

_TEMPLATES: Final = "templates_info.yaml"
_FUNCTIONS: Final = "function_info.yaml"


class Templates:
    """What `templates_info.yaml` says of templates.

    Attributes:
        file: its path.
    """

    def __init__(self, file: Path) -> None:
        """Read a file; raises UsageError for what is wrong in it."""
        self.file = file
        self._blocks: dict[str, list[str]] = {}
        self._collecting: set[str] = set()
        document = Document(file)
        top = read(document)
        top.only(("templates",))
        for table in top.tables("templates", "a template"):
            table.only(("image_name", "template_name", "blocks", "cpus", "gc"))
            name = table.text("template_name")
            if table.need("template_name") and name in self._blocks:
                table.problem("template_name", f"two templates are called {name!r}.")
            self._blocks[name] = list(table.table("blocks"))
            table.number("cpus")
            if table.truth("gc"):
                self._collecting.add(name)
        document.check()

    @classmethod
    def beside(cls, document: Document) -> Templates | None:
        """Read the file that stands beside a workflow's, or one folder above; None where there is none."""
        folder = document.file.resolve().parent
        found = next((path for path in (folder / _TEMPLATES, folder.parent / _TEMPLATES) if path.is_file()), None)
        return None if found is None else cls(found)

    def has(self, template: str, block: str | None = None) -> bool:
        """Say whether there is a template, and a block in it."""
        return template in self._blocks and (block is None or block in self._blocks[template])

    def collects(self, template: str) -> bool:
        """Say whether garbage is to be collected after each block of a template."""
        return template in self._collecting


def check_functions(document: Document, sources: Iterable[str]) -> None:
    """Hold the functions of a workflow against `function_info.yaml`, where that stands beside it or in `functions/`.

    What it says of containers bounds nothing here: `--sandboxes` does. A function that it does not have is warned of.

    Raises:
        UsageError: something in it is unknown, contradictory or missing.
    """
    folder = document.file.resolve().parent
    file = next((path for path in (folder / _FUNCTIONS, folder / "functions" / _FUNCTIONS) if path.is_file()), None)
    if file is None:
        return
    own = Document(file)
    top = read(own)
    top.only(("workflow", "max_containers", "functions"))
    top.number("max_containers")
    names = set()
    for table in top.tables("functions", "a function"):
        table.only(("name", "image", "qos_time", "qos_requirement"))
        table.need("name")
        name = table.text("name")
        if name in names:
            table.problem("name", f"two functions are called {name!r}.")
        names.add(name)
        table.number("qos_time")
        table.number("qos_requirement")
    own.check()
    absent = sorted(set(sources) - names)
    if absent:
        document.warnings.append(f"{file} does not have {', '.join(absent)}; it runs all the same.")


def nodes_of(file: str | Path) -> list[tuple[str, int]]:
    """Return the hosts that a `node_info.yaml` names: the address of each, and how many containers it is to hold.

    Raises:
        UsageError: something in it is unknown, contradictory or missing.
    """
    document = Document(Path(file))
    top = read(document)
    top.only(("nodes",))
    found = [_node(table) for table in top.tables("nodes", "a node")]
    document.check()
    if not found:
        raise UsageError(f"{file} names no nodes.")
    return found


def cluster_of(given: str) -> str:
    """Return a cluster as `weftrun.open` takes it: for a `node_info.yaml`, as many Workers as that names hosts.

    Raises:
        UsageError: see `nodes_of`.
    """
    return f"local:{len(nodes_of(given))}" if given.endswith((".yaml", ".yml")) else given


def _node(table: Table) -> tuple[str, int]:
    table.only(("worker_address", "scale_limit"))
    table.need("worker_address")
    return table.text("worker_address"), table.whole("scale_limit")
