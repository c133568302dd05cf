"""`weftrun upload`."""

from __future__ import annotations

import http.client
import os
from pathlib import Path
from urllib.parse import quote, urlsplit

import click
import msgspec

from weftrun.entrypoints.cli.output import print_json
from weftrun.model.errors import Unsupported, UsageError

_URL = "http://127.0.0.1:8080"
_TIMEOUT_S = 120


@click.command("upload")
@click.argument("user")
@click.argument("function")
@click.argument("module", metavar="FILE.wasm", type=click.Path(path_type=Path))
@click.option("--to", "url", metavar="URL", help=f"Who serves it; default is $WEFTRUN_SERVER, else {_URL}.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(user: str, function: str, module: Path, url: str | None, as_json: bool) -> None:
    """Upload a WebAssembly module as USER's FUNCTION to a server (`weftrun serve --compat faasm`).

    A name that leads to this very module already is left as it is.
    """
    url = url or os.environ.get("WEFTRUN_SERVER") or _URL
    try:
        content = module.read_bytes()
    except OSError as error:
        raise UsageError(f"{module} can't be read: {error.strerror}.") from None
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"{url!r} is no address of a server; one is written as {_URL}.")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_TIMEOUT_S)
    try:
        connection.request("PUT", f"/f/{quote(user, safe='')}/{quote(function, safe='')}", content)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unsupported(f"The server at {url} can't be reached: {error}.") from None
    finally:
        connection.close()
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        said = {"detail": body.decode("utf-8", "replace")[:500]}
    if answer.status >= 300:
        raise UsageError(str(said.get("detail", said)))
    if as_json:
        print_json(said)
    else:
        print(f"{user}/{function}: version {said['version']}{'' if said['changed'] else ', as before'}")
