"""`weftrun ui`."""

from __future__ import annotations

import importlib
import sys
import webbrowser

import click

from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly import place_of
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.model.errors import Unsupported


@click.command("ui")
@journal_options
@click.option("--port", type=click.IntRange(0, 65_535), default=8_421, show_default=True, help="0 for a free one.")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
def command(db: str | None, as_json: bool, port: int, no_browser: bool) -> None:
    """Show the Runs of a Journal on a page, live, until Ctrl-C.

    Beside engines, or alone: this one goes on with no Run unless it is asked to on the page. It listens on this host
    only, and shows the page to the browser that opens the printed address first. It needs the extra `serve`.
    """
    try:
        server = importlib.import_module("weftrun.entrypoints.http.server")  # late: they need an extra
        door_of = importlib.import_module("weftrun.entrypoints.ui.door")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("weftrun"):
            raise
        raise Unsupported(
            f"weftrun ui needs the extra `serve` ({error.name} is missing): pip install 'weftrun[serve]'."
        ) from error
    door = door_of.Door(SystemEntropy())

    def announce(url: str) -> None:
        address = f"{url}/?token={door.token}"
        if as_json:
            print_json({"url": address})
        else:
            print(f"The page is at {address}\nIt is shown to one browser. Ctrl-C ends it.")
        sys.stdout.flush()
        if not no_browser:
            webbrowser.open(address)

    settings = server.ServerSettings(place=place_of(db), port=port, recover="none")
    server.serve(settings, announce=announce, pages=door_of.PAGES, middleware=[door])
