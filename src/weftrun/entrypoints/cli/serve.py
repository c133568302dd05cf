"""`weftrun serve`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from weftrun.assembly import place_of
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.model.errors import Unsupported, UsageError


@click.command("serve")
@click.argument("apps", metavar="[APP.py]...", nargs=-1, type=click.Path(path_type=Path))
@journal_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8_420, show_default=True, help="Port; 0 for a free one."
)
@click.option("--sandboxes", type=click.IntRange(1), help="Sandboxes that run Functions at once; default: processors.")
@click.option("--tokens", is_flag=True, help="Ask callers for tokens; hosts other than loopback always do.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate, in PEM; with --tls-key.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Its private key, in PEM.")
def command(
    apps: tuple[Path, ...],
    db: str | None,
    as_json: bool,
    host: str,
    port: int,
    sandboxes: int | None,
    tokens: bool,
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """Serve the Runs of a Journal, and the Functions of APPs, over HTTP, until Ctrl-C or SIGTERM.

    APPs are imported by processes of their own, from where they lie. The API is under /api/v1, its OpenAPI in
    /openapi.json. It needs the extra `serve`.
    """
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together: one names the certificate, the other its key.")
    for app in apps:
        if not app.is_file():
            raise UsageError(f"There is no file {app}.")
    try:
        server = importlib.import_module("weftrun.entrypoints.http.server")  # late: it needs an extra
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("weftrun"):
            raise
        raise Unsupported(
            f"weftrun serve needs the extra `serve` ({error.name} is missing): pip install 'weftrun[serve]'."
        ) from error

    def announce(url: str) -> None:
        if as_json:
            print_json({"url": url})
        else:
            print(f"weftrun serves {url}/api/v1, and tells of it in {url}/openapi.json. Ctrl-C ends it.")
        sys.stdout.flush()

    settings = server.Settings(
        place=place_of(db),
        files=apps,
        host=host,
        port=port,
        sandboxes=sandboxes,
        asks_for_tokens=tokens,
        tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
    )
    server.serve(settings, announce=announce)
