"""Options of commands that talk to a gateway, and the bundle that is sent to one."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from weftrun.model.errors import Unsupported, UsageError
from weftrun.sdk.app_files import all_files, imported

_Command = TypeVar("_Command", bound=Callable[..., Any])


def gateway_options(command: _Command) -> _Command:
    """Add `--url`, `--token` and `--json` to a command."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    command = click.option(
        "--token",
        envvar="WEFTRUN_TOKEN",
        metavar="TOKEN",
        help="Where the gateway asks for one; default: $WEFTRUN_TOKEN.",
    )(command)
    return click.option(
        "--url",
        envvar="WEFTRUN_URL",
        default="http://127.0.0.1:8420",
        show_default=True,
        help="Of the gateway; $WEFTRUN_URL says the same.",
    )(command)


def connected(url: str, token: str | None) -> Any:
    """Return a client of a gateway.

    Raises:
        Unsupported: the extra `http` is not installed.
    """
    try:
        client = importlib.import_module("weftrun.client")  # late: it needs an extra
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("weftrun"):
            raise
        raise Unsupported(
            f"It needs the extra `http` ({error.name} is missing): pip install 'weftrun[http]'."
        ) from error
    return client.Client(url, token)


def bundle_at(source: Path) -> tuple[bytes, str | None]:
    """Return the files of an app as a tar, and the one to be imported: of a folder all, of a file what it imports too.

    What a file imports is read off its code; nothing is run. Of modules, only those beside it go along, and a
    requirements.txt.

    Raises:
        UsageError: there is nothing, or a file that can't be read.
    """
    if source.is_dir():
        return _packed(source, sorted(all_files(source))), None
    if not source.is_file():
        raise UsageError(f"There is no file and no folder {source}.")
    file = source.resolve()
    files = set(imported(file, file.parent))
    if (file.parent / "requirements.txt").is_file():
        files.add(file.parent / "requirements.txt")
    return _packed(file.parent, sorted(files)), source.name


def _packed(folder: Path, files: list[Path]) -> bytes:
    if not files:
        raise UsageError(f"There is no file in {folder}.")
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for file in files:
            entry = tarfile.TarInfo(os.fspath(file.relative_to(folder)))
            try:
                content = file.read_bytes()
            except OSError as error:
                raise UsageError(f"{file} can't be read: {error.strerror}.") from error
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
