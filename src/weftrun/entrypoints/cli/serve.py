"""`weftrun serve`."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from weftrun.assembly import place_of
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.model.errors import Unsupported, UsageError
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.warm import Warm
from weftrun.model.wasm import WasmLimits

_PORT = 8_420
_PORT_OF_FAASM = 8_080


_OF_FAASM = ("storage", "store", "storage_port", "wasm_time_s")


def _check(
    apps: tuple[Path, ...], tls_cert: str | None, tls_key: str | None, compat: str | None, *, page: bool
) -> None:
    source_of = click.get_current_context().get_parameter_source
    for name in _OF_FAASM:
        if compat != "faasm" and source_of(name) is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"--{name.replace('_', '-')} means nothing without --compat faasm: add that, or leave it out."
            )
    if compat == "faasm" and page:
        raise UsageError(
            "--page can't be shown with --compat faasm: serve the page by another `weftrun serve` or `ui`."
        )
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together: one names the certificate, the other its key.")
    for app in apps:
        if not app.is_file():
            raise UsageError(f"There is no file {app}.")


@click.command("serve")
@click.argument("apps", metavar="[APP.py]...", nargs=-1, type=click.Path(path_type=Path))
@journal_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Port; 0 for a free one. Default: 8420, with --compat faasm 8080."
)
@click.option("--sandboxes", type=click.IntRange(1), help="Sandboxes that run Functions at once; default: processors.")
@click.option(
    "--keep-alive-s", type=click.FloatRange(0.1, 1e6), default=DEFAULT_LIMITS.sandbox_idle_s, show_default=True,
    help="An idle Sandbox is ended after so many seconds; when all are, no app takes memory but for its zygote.",
)  # fmt: skip
@click.option(
    "--keep-warm", type=click.IntRange(0, 1_000), default=0, show_default=True,
    help="Sandboxes of each app that are there before anything calls it, within --sandboxes or --warm-bytes.",
)  # fmt: skip
@click.option(
    "--warm-bytes", type=click.IntRange(0), metavar="BYTES",
    help="What Sandboxes that wait may hold together, of all apps; those worth least are ended. With it they don't "
    "count in --sandboxes. Default: no bound.",
)  # fmt: skip
@click.option(
    "--prewarm", is_flag=True, help="Make Sandboxes shortly before calls that are expected, by the pauses between them."
)
@click.option(
    "--runs-at-once",
    type=click.IntRange(1),
    help="Open Runs that were started here; beyond it starts wait, and come in by fair shares of tenants.",
)
@click.option(
    "--strategy",
    default="adaptive",
    show_default=True,
    help="By what rule calls get their Sandboxes: adaptive, vanilla, sfs, kraken, faasbatch, with settings such as "
    "kraken:slo_s=0.5,window_s=0.2; to compare with.",
)
@click.option("--tokens", is_flag=True, help="Ask callers for tokens; hosts other than loopback always do.")
@click.option(
    "--page", is_flag=True, help="Also show the page of `weftrun ui`, at /; it asks for a token, if callers do."
)
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate, in PEM; with --tls-key.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Its private key, in PEM.")
@click.option(
    "--compat", type=click.Choice(["faasm", "faasflow", "faasbatch"]), help="Also serve the doors of another system."
)
@click.option("--storage", metavar="URL", help="With --compat faasm: a storage role; default: one is started.")
@click.option(
    "--store",
    default="",
    metavar="URL",
    help="With --compat faasm: where the storage role keeps values, s3://BUCKET/PREFIX or postgresql://...",
)
@click.option(
    "--storage-port", type=click.IntRange(0, 65_535), default=8_003, show_default=True,
    help="With --compat faasm: port of the storage role that is started.",
)  # fmt: skip
@click.option(
    "--wasm-time-s", type=click.FloatRange(0.001), default=60.0, show_default=True,
    help="With --compat faasm: longest time of a call, in seconds.",
)  # fmt: skip
def command(
    apps: tuple[Path, ...],
    db: str | None,
    as_json: bool,
    host: str,
    port: int | None,
    sandboxes: int | None,
    keep_alive_s: float,
    keep_warm: int,
    warm_bytes: int | None,
    prewarm: bool,
    runs_at_once: int | None,
    strategy: str,
    tokens: bool,
    page: bool,
    tls_cert: str | None,
    tls_key: str | None,
    compat: str | None,
    storage: str | None,
    store: str,
    storage_port: int,
    wasm_time_s: float,
) -> None:
    """Serve the Runs of a Journal, and the Functions of APPs, over HTTP, until Ctrl-C or SIGTERM.

    APPs are imported by processes of their own, from where they lie. The API is under /api/v1, its OpenAPI in
    /openapi.json. It needs the extra `serve`; `--compat faasm` needs `wasm`, too: WebAssembly functions are uploaded
    and called there as in Faasm, and a storage role beside it keeps their keys. `--compat faasflow` and
    `faasbatch` also answer /run, /clear and /info.
    """
    _check(apps, tls_cert, tls_key, compat, page=page)
    server = _module("server", "serve")
    default = _PORT_OF_FAASM if compat == "faasm" else _PORT
    settings = server.ServerSettings(
        place=place_of(db),
        files=apps,
        host=host,
        port=default if port is None else port,
        sandboxes=sandboxes,
        keep_alive_s=keep_alive_s,
        keep_warm=keep_warm,
        warm=Warm(bytes_max=warm_bytes, ahead=prewarm, is_measured=True),
        asks_for_tokens=tokens,
        runs_at_once=runs_at_once,
        strategy=strategy,
        tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
    )
    if compat != "faasm":
        routers = [_module("originals", "serve").originals_router()] if compat is not None else []
        server.serve(settings, announce=partial(_announce, as_json=as_json), **_with_page(routers, page=page))
        return
    _module("roles", "serve,wasm").serve_faasm(
        settings,
        storage=storage,
        storage_port=storage_port,
        store=store,
        limits=WasmLimits(time_s_max=wasm_time_s),
        announce=partial(_announce_both, as_json=as_json),
    )


def _with_page(routers: list[Any], *, page: bool) -> dict[str, Any]:
    """Return what is served beside the API."""
    if not page:
        return {"routers": routers}
    door, session = (importlib.import_module(f"weftrun.entrypoints.ui.{name}") for name in ("door", "session"))
    return {"routers": [*routers, session.session_router()], "pages": door.PAGES, "middleware": [door.secured]}


def _announce(url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url})
    else:
        print(f"weftrun serves {url}/api/v1, and tells of it in {url}/openapi.json. Ctrl-C ends it.")
    sys.stdout.flush()


def _announce_both(url: str, keys: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url, "storage": keys})
    else:
        print(f"weftrun serves {url}/f/ as Faasm does, with the storage role {keys}. Ctrl-C ends it.")
    sys.stdout.flush()


def _module(name: str, extras: str) -> Any:
    """Import a server, which needs extras.

    Raises:
        Unsupported: one of them is missing.
    """
    try:
        return importlib.import_module(f"weftrun.entrypoints.http.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("weftrun"):
            raise
        raise Unsupported(
            f"weftrun serve needs the extra `{extras}` ({error.name} is missing): pip install 'weftrun[{extras}]'."
        ) from error
