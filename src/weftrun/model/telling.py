"""What is told of the objects of others: names, texts and notes, whatever their code does when it is asked.

All that an author's object says for people passes through here, so that a record, a message and a terminal can hold it:
an object that raises, lies or answers with what is no text is told by the name of its type, a lone surrogate (a byte of
a file name that is no UTF-8) by its escape, and much text by its beginning and its end.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

_CUT = "\n… (cut) …\n"
_BUILT_IN = ("builtins", "__main__")
_qualname_of: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module_of: Callable[[type], object] = type.__dict__["__module__"].__get__
_attributes_of: Callable[[BaseException], dict[str, object]] = BaseException.__dict__["__dict__"].__get__


def asked(ask: Callable[[], T], otherwise: T) -> T:
    """Return what `ask` gives, or `otherwise` where the author's code raises anything at all, SystemExit included."""
    try:
        return ask()
    except BaseException:  # noqa: BLE001  # the author's code runs here, and a look at an object must end nothing
        return otherwise


def writable(text: str) -> str:
    """Return text that UTF-8 can say: a lone surrogate as its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return " Did you mean emails?" for a name that nothing has, by names that are near to it; empty where none is."""
    difflib = importlib.import_module("difflib")  # late: only errors need it
    near = difflib.get_close_matches(name, list(known), most)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def bounded(text: str, bytes_max: int) -> str:
    """Return writable text of at most so many bytes; of more, the beginning and the end."""
    if len(text) > 2 * bytes_max:
        text = text[:bytes_max] + text[-bytes_max:]
        raw = text.encode("utf-8", "backslashreplace")
    else:
        raw = text.encode("utf-8", "backslashreplace")
        if len(raw) <= bytes_max:
            return raw.decode("utf-8")
    half = max(0, bytes_max // 2 - 20)
    end = raw[len(raw) - half :].decode("utf-8", "ignore")
    return raw[:half].decode("utf-8", "ignore") + _CUT + end


def name_of(kind: type) -> str:
    """Return the name of a class as an error's first line has it: `ValueError`, `app.Refused`."""
    module = asked(lambda: _module_of(kind), None)
    name = short_name_of(kind)
    return f"{writable(module)}.{name}" if type(module) is str and module not in (*_BUILT_IN, "") else name


def short_name_of(kind: type) -> str:
    """Return the name of a class without its module, asking no code of its metaclass."""
    name: str = _qualname_of(kind)
    return writable(name)


def text_of(error: BaseException) -> str:
    """Return the text of an error, as long as it is; where it has none, say so."""
    text = asked(lambda: str.__str__(str(error)), None)
    return text if text is not None else f"<{short_name_of(type(error))} whose text can't be made>"


def notes_of(error: BaseException) -> list[object]:
    """Return the notes of an error as they are; none where the author put there what is no list."""
    notes = asked(lambda: getattr(error, "__notes__", None), None)
    return notes if type(notes) is list else []


def set_notes(error: BaseException, notes: list[object]) -> None:
    """Put a list in place of an error's notes, also where its class takes no attributes; not every error has some."""

    def put() -> None:
        try:
            error.__notes__ = notes  # type: ignore[assignment]
        except AttributeError:  # as that of a frozen dataclass is
            _attributes_of(error)["__notes__"] = notes

    asked(put, None)


def add_note(error: BaseException, note: str) -> None:
    """Add a note, in place of what is no list of notes; an error that takes none stays without."""

    def add() -> None:
        notes = getattr(error, "__notes__", [])
        if type(notes) is list:
            set_notes(error, [*notes, note])
        else:
            set_notes(error, [note])

    asked(add, None)
