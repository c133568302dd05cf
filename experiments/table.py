"""A table of figures that an experiment returns: printed for people, written as CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

_WIDTH_OF_A_FILE = 200
"""Characters in a line where nobody has a terminal, so that no column is cut."""


@dataclass
class Table:
    """Figures in rows, with units in the columns' names.

    `name` names the CSV file; `title` says what was measured, on how many samples; `notes` what differs from the
    paper, and why.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    notes: str = ""

    def show(self) -> None:
        """Print the table on stdout; numbers stand to the right, with three digits that count."""
        grid = Grid(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            figures = bool(self.rows) and isinstance(self.rows[0][number], (int, float))
            grid.add_column(column, justify="right" if figures else "left")
        for row in self.rows:
            grid.add_row(*(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row))
        console = Console() if sys.stdout.isatty() else Console(width=_WIDTH_OF_A_FILE)
        console.print(grid)
        if self.notes:
            console.print(self.notes)

    def write(self, folder: Path) -> None:
        """Write `NAME.csv` to a folder, with all digits."""
        with (folder / f"{self.name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            writer.writerows(self.rows)
