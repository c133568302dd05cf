"""`weftrun deploy`."""

from __future__ import annotations

from pathlib import Path

import click

from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.remote import bundle_at, connected, gateway_options


@click.command("deploy")
@click.argument("app", metavar="APP", type=click.Path(path_type=Path))
@gateway_options
@click.option("--name", help="Of the app; by default that of the file or of the folder.")
@click.option("--entry", metavar="FILE.py", help="Of a folder: the file with the Functions; default: app.py.")
def command(app: Path, url: str, token: str | None, as_json: bool, name: str | None, entry: str | None) -> None:
    """Deploy an app to a gateway: new Runs get this version at once, and open ones stay on theirs.

    APP is a file, which goes along with the modules beside it that it imports, or a folder with all that is in it.
    What its requirements.txt names is installed there for it alone.
    """
    bundle, file = bundle_at(app)
    with connected(url, token) as client:
        told = client.deploy(name or app.resolve().stem, bundle, entry=entry or file)
    if as_json:
        print_json(told)
        return
    print(f"{told['name']} is deployed in version {told['version']}. It has:")
    for function in told["functions"]:
        print(f"  {function['kind']:8}  {function['name']}  {function['description']}".rstrip())
