"""Tracebacks for people: the author's frames only, causes and contexts included."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from weftrun.model.telling import name_of, text_of, writable
from weftrun.sdk.chain import cut_short, trace_of

if TYPE_CHECKING:
    from traceback import TracebackException
    from types import TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHONS = ("<frozen importlib", "<frozen runpy")


def authors_traceback(error: BaseException) -> str:
    """Return the traceback of an error that was caught: the author's frames only, and of a long chain its beginning."""
    traceback = importlib.import_module("traceback")  # late: only errors need it, and it brings the tokenizer
    try:
        with cut_short(error):
            shown: TracebackException = traceback.TracebackException(
                type(error), error, skip_ours(trace_of(error)), compact=True
            )
        return writable("".join(_without_ours(traceback, shown).format()))
    except BaseException:  # noqa: BLE001  # attributes and texts of errors are the author's code, which may raise anything
        return _plain(traceback, error)


def _without_ours(traceback: Any, shown: TracebackException) -> TracebackException:
    link: TracebackException | None = shown
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = [frame for frame in link.stack if not is_ours(frame.filename)]
        link.stack = traceback.StackSummary.from_list(frames)
        link = link.__cause__ or link.__context__
    return shown


def _plain(traceback: Any, error: BaseException) -> str:
    """Return the frames and the name of an error that can't even be looked at."""
    frames = [frame for frame in traceback.extract_tb(trace_of(error)) if not is_ours(frame.filename)]
    head = ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    return writable("".join(head) + f"{name_of(type(error))}: {text_of(error)}\n")


def is_ours(filename: str) -> bool:
    """Say whether a frame of this file is none of the author's."""
    return filename.startswith((_OURS, *_PYTHONS))


def skip_ours(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the author's first frame on."""
    while trace is not None and is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace
