"""Waiting for a Run on the command line: progress, result, errors, Ctrl-C."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from weftrun.assembly import Reader, made_sentence, place_of
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.interrupts import Interrupted, Interrupts
from weftrun.entrypoints.cli.live import Watch
from weftrun.entrypoints.cli.options import again, reading
from weftrun.entrypoints.cli.output import print_json, print_json_text
from weftrun.entrypoints.cli.terminal import shown_text
from weftrun.model.errors import InternalError, JournalError
from weftrun.model.telling import asked, notes_of, short_name_of, text_of, writable
from weftrun.sdk.failure import IN_SANDBOX
from weftrun.sdk.handles import Engine, Run
from weftrun.sdk.json_values import value_as_json
from weftrun.sdk.tracebacks import authors_traceback
from weftrun.views.emits import left_sentence

_DRAIN_S = 5.0
_OVER = ("succeeded", "failed", "cancelled")


def attend(
    open_engine: Callable[[], Engine],
    start: Callable[[Engine], Run[Any]],
    *,
    db: str | None,
    as_json: bool,
    announce: Callable[[str], None],
    options: Sequence[str] = (),
    retried: bool = False,
    note: str = "",
) -> Exit:
    """Open an engine, start or find a Run, tell its id, and wait for its end.

    `db` and `options` are what was named, to be named again by `resume`. `retried` says that `start` begins
    the Run again. `note` is said on stderr below the id.

    The first Ctrl-C or SIGTERM starts nothing more and gives what runs five seconds; the second ends at once.
    """
    engine: Engine | None = None
    run: Run[Any] | None = None
    begun_at = Reader.now()
    place = place_of(db)
    is_new = place.is_missing
    with Interrupts() as interrupts:
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                engine = open_engine()
                run = start(engine)
            interrupts.last_words = again("resume", run.id, db, options) + "\n"
            announce(run.id)
            for warning in warned:  # only now: the first line is the id's
                print(f"weftrun: {warning.message}", file=sys.stderr)
            if note:
                print(note, file=sys.stderr)
            if is_new:
                print(f"weftrun: {made_sentence(place)}", file=sys.stderr)
            code = _wait(run, begun_at, db=db, options=options, as_json=as_json, retried=retried)
            interrupts.over(code)
        except Interrupted:
            print(f"Stopping: what runs has {_DRAIN_S:.0f} s to end. Once more ends it at once.", file=sys.stderr)
            if engine is not None:
                engine.close(_DRAIN_S)
            if run is not None and run.status in _OVER:
                interrupts.over(Exit.INTERRUPTED)
                code = _show_end(open_engine, run.id, run.status, db, options, as_json=as_json)
            else:
                print(interrupts.last_words, end="", file=sys.stderr)
                code = Exit.INTERRUPTED
        else:
            engine.close()
            _tell_undelivered(run.id, db)
        finally:
            if engine is not None:
                engine.close()
    return code


def _show_end(
    open_engine: Callable[[], Engine], id: str, status: str, db: str | None, options: Sequence[str], *, as_json: bool
) -> Exit:
    """Print what became of a Run that ended while its engine was being closed: from the Journal, by another engine."""
    print(f"Run {id} has ended meanwhile: {status}.", file=sys.stderr)
    with open_engine() as engine:
        try:
            value = engine.get(id).result()
        except BaseException as error:  # noqa: BLE001  # the author's error, of whatever type
            shown = _Shown(id, status, is_old=False, db=db, options=options)
            return _show_error(shown, error, as_json=as_json)
    show_value(id, value, as_json=as_json)
    return Exit.SUCCEEDED


def _tell_undelivered(id: str, db: str | None) -> None:
    """Say what of a Run's emits is left when its engine has delivered what it could."""
    try:
        with reading(db) as reader:
            info = reader.find(id)
            left = reader.emits_left([info.uid]).get(info.uid) if info is not None else None
    except JournalError:
        return  # the Run has ended, and its result is told: a Journal that went away since changes neither
    if left:
        print(left_sentence(left), file=sys.stderr)


def announce_on_stderr(id: str) -> None:
    """Print the id of a Run as the first line of stderr."""
    print(id, file=sys.stderr, flush=True)


def announce_to(descriptor: int) -> Callable[[str], None]:
    """Return what tells the id to the command that detached this one, and then releases its terminal."""

    def announce(id: str) -> None:
        os.write(descriptor, id.encode())
        os.close(descriptor)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.close(nowhere)

    return announce


def _wait(
    run: Run[Any], begun_at: float, *, db: str | None, options: Sequence[str], as_json: bool, retried: bool
) -> Exit:
    """Wait for the end of a Run, show how it goes, and print its result or its error."""
    with reading(db) as reader:
        info = reader.find(run.id)
        if info is None:
            raise InternalError(f"Run {run.id} was started and is not in the Journal.")
        if run.joined and info.ended_at is None and (sentence := reader.changed_code(info.uid)):
            print(sentence, file=sys.stderr)
        ended_before = run.joined and info.ended_at is not None and info.ended_at < begun_at and not retried
        with Watch(reader, info.uid, joined=run.joined, retried=retried, ended_before=ended_before) as watch:
            error, value = _outcome(run, watch)
        status = run.status
        if error is not None and status not in _OVER:
            raise error
        run.logs()  # what the trace has gathered is written by then
        print(watch.last_line(status), file=sys.stderr)
    if error is not None:
        shown = _Shown(run.id, status, is_old=ended_before, db=db, options=options)
        return _show_error(shown, error, as_json=as_json)
    show_value(run.id, value, as_json=as_json)
    return Exit.SUCCEEDED


def _outcome(run: Run[Any], watch: Watch) -> tuple[BaseException | None, Any]:
    """Wait, with looks in between; return the Run's error, or its value."""
    while True:
        try:
            return None, run.result(timeout_s=0.0 if run.status in _OVER else watch.pause_s)
        except Interrupted:
            raise
        except TimeoutError as error:
            if run.status in _OVER:
                # Either it ended just now, or this is the author's own TimeoutError.
                if run.status == "succeeded":
                    continue
                return error, None
            watch.show(run.waiting_for)
        except BaseException as error:  # noqa: BLE001  # the author's error, of whatever type
            return error, None


def show_value(id: str | None, value: object, *, as_json: bool) -> None:
    """Print the value of a Run on stdout: JSON where nothing is lost by it, else its `repr`."""
    text, shown, name = value_as_json(value), "", short_name_of(type(value))
    if text is None:
        print(f"The result is a {name}, which has no JSON: this is its repr.", file=sys.stderr)
        shown = asked(lambda: writable(repr(value)), f"<{name}>")
    if as_json:
        result = {"result": msgspec.Raw(text.encode())} if text is not None else {"repr": shown}
        print_json({"id": id, "status": "succeeded", **result})
    elif text is not None:
        print_json_text(text)
    else:
        print(shown_text(shown))


class _Shown(NamedTuple):
    """A Run that did not give its value: what stands beside its error.

    Attributes:
        is_old: whether it had ended before; its error says so, and how to run it again.
    """

    id: str
    status: str
    is_old: bool
    db: str | None
    options: Sequence[str]


def _show_error(shown: _Shown, error: BaseException, *, as_json: bool) -> Exit:
    id, status = shown.id, shown.status
    if as_json:
        told = {"type": short_name_of(type(error)), "message": writable(text_of(error))}
        print_json({"id": id, "status": status, "error": told})
    if any(str(note).startswith(IN_SANDBOX) for note in notes_of(error)):  # it tells the causes, too: once is enough
        asked(lambda: _forget_chain(error), None)
    print(shown_text(authors_traceback(error).rstrip()), file=sys.stderr)
    if status == "succeeded":
        get = again("get", id, shown.db)
        print(f"Run {id} has succeeded, but its value can't be read here; `{get}` shows it.", file=sys.stderr)
        return Exit.FAILED
    if not shown.is_old or shown.db is not None:
        print(retry_sentence(id, status, shown.db, shown.options), file=sys.stderr)
    print(f"Run {id} {'was' if status == 'cancelled' else 'has'} {status}.", file=sys.stderr)
    return Exit.FAILED


def _forget_chain(error: BaseException) -> None:
    error.__cause__, error.__suppress_context__ = None, True


def retry_sentence(id: str, status: str, db: str | None, options: Sequence[str] = ()) -> str:
    """Return how what has not succeeded of a Run runs again, and what stands all the same."""
    begin = "What has not succeeded runs again" if status == "cancelled" else "Once its cause is mended, what has not "
    begin += "" if status == "cancelled" else "succeeded runs again"
    return f"{begin}, with the arguments that it was started with, by: {again('retry', id, db, options)}"
