"""The process in which `weftrun check APP --against JOURNAL` replays Runs; what became of them goes out as JSON.

The app is imported here, and the bodies of its workflows run here on recorded results.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from weftrun.assembly import Reader, open_reader
from weftrun.assembly.replaying import Replayed, replay
from weftrun.entrypoints.cli.target import load_app
from weftrun.model.errors import JournalError, PolicyError, UsageError
from weftrun.ports.journal import RunInfo
from weftrun.sdk.function import Function
from weftrun.sdk.home import RUN_AS
from weftrun.views.trace import handed_of


class Against(Struct, frozen=True):
    """What came of all Runs.

    Attributes:
        refusal: why nothing could be replayed; empty where it could.
        is_journals: whether that is the Journal's fault.
        passed_by: how many Runs are of Functions that are none of the app.
        unread: Runs that can't be read, with the reason.
    """

    refusal: str = ""
    is_journals: bool = False
    replayed: tuple[Replayed, ...] = ()
    passed_by: int = 0
    unread: tuple[tuple[str, str], ...] = ()


def replay_all(target: str, url: str, ended: int) -> Against:
    """Import an app and replay all open Runs of it, and the last `ended` ones that have ended."""
    try:
        module = load_app(target)
    except (UsageError, PolicyError) as error:
        return Against(refusal=str(error))
    modules = {name.partition(":")[0] for name in _names()}
    if not modules:
        return Against(refusal=f"There is no Function in {target}: nothing was replayed.")
    sys.modules.update(dict.fromkeys(RUN_AS, module))  # as a Sandbox finds what a program pickled
    try:
        reader = open_reader(url)
    except JournalError as error:
        return Against(refusal=str(error), is_journals=True)
    replayed: list[Replayed] = []
    unread: list[tuple[str, str]] = []
    passed_by = 0
    try:
        for info in (*_open(reader), *_ended(reader, modules, ended)):
            if info.function.partition(":")[0] not in modules:
                passed_by += 1
                continue
            try:
                replayed.append(_replayed(reader, info))
            except JournalError as error:
                unread.append((info.id, str(error)))
    finally:
        reader.close()
    return Against("", False, tuple(replayed), passed_by, tuple(unread))


def _replayed(reader: Reader, info: RunInfo) -> Replayed:
    handed = [handed_of(row) for row in reader.trace(info.uid) if row.kind == "call"]
    return replay(info.uid, reader.load(info.uid), handed, reader.read)


def _names() -> Iterator[str]:
    """Yield the names of the Functions that stand in modules."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "weftrun":
            for found in list(getattr(module, "__dict__", {}).values()):
                if isinstance(found, Function):
                    yield found.spec.name


def _open(reader: Reader) -> Iterator[RunInfo]:
    """Yield all Runs that have not ended, newest first."""
    before = None
    while page := reader.runs(status="running", before=before):
        yield from page
        before = page[-1].place


def _ended(reader: Reader, modules: set[str], count: int) -> Iterator[RunInfo]:
    """Yield the newest Runs of the app that have ended."""
    before = None
    while count > 0 and (page := reader.runs(before=before)):
        for info in page:
            has_ended = info.ended_at is not None and not info.deleted
            if count > 0 and has_ended and info.function.partition(":")[0] in modules:
                count -= 1
                yield info
        before = page[-1].place


def main() -> None:
    """Write what came of it to the descriptor that the command line names."""
    descriptor, target, url, ended = sys.argv[1:]
    sys.argv = [target]
    try:
        told = replay_all(target, url, int(ended))
    except UsageError as error:
        told = Against(refusal=str(error))
    with os.fdopen(int(descriptor), "wb") as out:
        out.write(msgspec.json.encode(told))
    sys.stdout.flush()
    os._exit(0)  # threads that the app has started are not waited for


if __name__ == "__main__":
    main()
