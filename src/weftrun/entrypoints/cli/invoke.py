"""`weftrun invoke`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.output import print_json, print_json_text
from weftrun.entrypoints.cli.remote import connected, gateway_options
from weftrun.model.errors import UsageError


@click.command("invoke")
@click.argument("name", metavar="[APP/]NAME")
@click.argument("arguments", metavar="[NAME=VALUE]...", nargs=-1)
@gateway_options
@click.option("--id", "run_id", metavar="ID", help="Id of the Run; the same id again is the same Run. Default: fresh.")
@click.option("--detach", is_flag=True, help="Print the id of the Run and don't wait.")
@click.option("--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Wait so long; the Run goes on after it.")
def command(
    name: str,
    arguments: tuple[str, ...],
    url: str,
    token: str | None,
    as_json: bool,
    run_id: str | None,
    detach: bool,
    timeout: float | None,
) -> int:
    """Start a Run of a Workflow or a Function of a gateway, and print its result as JSON.

    A str parameter takes VALUE as it is, any other takes JSON; NAME=@FILE takes what a file holds.
    """
    app, _, function = name.rpartition("/")
    with connected(url, token) as client:
        args = _arguments(client, app, function, arguments)
        run = client.start(function, args, id=run_id, app=app or None)
        if detach:
            if as_json:
                print_json({"id": run.id})
            else:
                print(run.id)
            return Exit.SUCCEEDED
        print(run.id, file=sys.stderr, flush=True)
        try:
            value = run.result(timeout)
        except TimeoutError as error:
            print(f"weftrun: {error} The same command with --id {run.id} waits for it again.", file=sys.stderr)
            return Exit.FAILED
    if isinstance(value, bytes):
        sys.stdout.buffer.write(value)
    elif as_json:
        print_json({"id": run.id, "status": "succeeded", "result": value})
    else:
        print_json_text(json.dumps(value, ensure_ascii=False))
    return Exit.SUCCEEDED


def _arguments(client: Any, app: str, function: str, words: tuple[str, ...]) -> dict[str, Any]:
    """Return arguments by name; what the parameter's schema says is a string is taken as it is."""
    schema = _schema(client, app, function) if words else {}
    given: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{word!r} is not name=value.")
        if text.startswith("@"):
            try:
                text = text[1:] if text.startswith("@@") else Path(text[1:]).read_text(encoding="utf-8")
            except (OSError, UnicodeError) as error:
                raise UsageError(f"{word}: the file can't be read: {error}.") from error
        given[name] = _value(text, schema.get(name, {}))
    return given


def _schema(client: Any, app: str, function: str) -> dict[str, Any]:
    for one in client.request("GET", "/apps"):
        for told in one["functions"]:
            if told["name"] == function and app in ("", one["name"]):
                properties: dict[str, Any] = told["parameters"].get("properties", {})
                return properties
    return {}


def _value(text: str, schema: dict[str, Any]) -> Any:
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", []))}
    if "string" in kinds:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
