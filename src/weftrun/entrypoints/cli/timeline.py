"""`weftrun timeline`."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import journal_options, look, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.terminal import shown_text
from weftrun.model.errors import Unsupported, UsageError
from weftrun.views.lanes import lanes, parts_of
from weftrun.views.page import page
from weftrun.views.picture import picture
from weftrun.views.timeline import Timeline, timeline

_STYLES = {
    "busy": "green",
    "failed": "bold red",
    "body": "dim",
    "running": "bold blue",
    "disk": "yellow",
    "crash": "bold red",
    "takeover": "bold yellow",
    "engine": "dim",
}


@click.command("timeline")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML file that needs no other."
)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write one SVG picture.")
@click.option(
    "--png", type=click.Path(dir_okay=False, path_type=Path), help="Write one PNG picture; it needs the extra `png`."
)
def command(run: str, db: str | None, as_json: bool, html: Path | None, svg: Path | None, png: Path | None) -> None:
    """Show when and where Steps ran, and where the time went."""
    with reading(db) as reader:
        seen = look(reader, run)
    line = timeline(seen.rows, seen.trace, seen.running)
    for file, drawn in ((html, _text_of(page)), (svg, _text_of(picture)), (png, _pixels)):
        if file is not None:
            try:
                file.write_bytes(drawn(line))
            except OSError as error:
                raise UsageError(f"{file} can't be written: {error.strerror}.") from error
            click.echo(f"The timeline of {run} is in {file}.", err=True)
    if as_json:
        print_json(line)
    elif html is None and svg is None and png is None:
        _print(lanes(line, shutil.get_terminal_size().columns))


def _text_of(drawn: Callable[[Timeline], str]) -> Callable[[Timeline], bytes]:
    return lambda line: drawn(line).encode()


def _pixels(line: Timeline) -> bytes:
    """Return the picture as PNG, twice as large so that it is sharp."""
    try:
        resvg = importlib.import_module("resvg_py")  # late: it needs an extra
    except ModuleNotFoundError as error:
        raise Unsupported("--png needs the extra `png`: pip install 'weftrun[png]'. --svg needs none.") from error
    return bytes(resvg.svg_to_bytes(svg_string=picture(line), zoom=2.0))


def _print(shown: list[str]) -> None:
    """Print lines, with colours on a terminal."""
    if not sys.stdout.isatty():
        print("\n".join(map(shown_text, shown)))
        return
    console = Console(highlight=False)
    for line in shown:
        text = Text()
        for part, kind in parts_of(shown_text(line)):
            text.append(part, _STYLES.get(kind, ""))
        console.print(text, soft_wrap=True)
