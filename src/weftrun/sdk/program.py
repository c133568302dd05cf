"""What this program was started with: its arguments, and the options of its interpreter."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from weftrun.model.policy import Program
from weftrun.model.telling import writable
from weftrun.sdk.clock import seconds

_LETTERS = (
    ("debug", "d"),
    ("optimize", "O"),
    ("dont_write_bytecode", "B"),
    ("no_user_site", "s"),
    ("no_site", "S"),
    ("ignore_environment", "E"),
    ("safe_path", "P"),
    ("bytes_warning", "b"),
    ("verbose", "v"),
    ("quiet", "q"),
)
"""Names in `sys.flags`, and the letters of the command line. `-i` asks for a terminal, which a guest has not."""


def cwd_here() -> str:
    """Return the working directory; empty where it was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


BEGAN_AT = seconds()
"""When weftrun was imported, in seconds since the epoch: the author's modules were read around then or later."""
STARTED_IN = cwd_here()
"""The working directory when weftrun was imported: names of files that the program was given are relative to it."""


def _given() -> tuple[bytes, ...]:
    return tuple(os.fsencode(argument) for argument in getattr(sys, "argv", ()))


_argv = _given()


def argv_here() -> tuple[bytes, ...]:
    """Return `sys.argv` as it was before the program took arguments out of it.

    Another first argument is another program: whoever runs a script inside this process (`cProfile`, `runpy`, the
    command line) has said what it is called with.
    """
    global _argv
    now = _given()
    if now[:1] != _argv[:1]:
        _argv = now
    return _argv


def program_here() -> Program:
    """Return what the author's program in this process was started with."""
    return Program(cwd_here(), _argv, interpreter_options())


@contextlib.contextmanager
def arguments(argv: Sequence[bytes]) -> Iterator[None]:
    """Let a program find these arguments while it is imported here."""
    before = sys.argv
    sys.argv = [os.fsdecode(argument) for argument in argv]
    try:
        yield
    finally:
        sys.argv = before


def interpreter_options() -> tuple[str, ...]:
    """Return the options by which another interpreter has the flags, warnings and `-X` options of this one."""
    flags, warnings = sys.flags, list(sys.warnoptions)
    found = ["-" + letter * min(3, int(getattr(flags, name, 0))) for name, letter in _LETTERS]
    implied = {"default"} if flags.dev_mode else set()
    if flags.bytes_warning:
        implied.add("error::BytesWarning" if flags.bytes_warning > 1 else "default::BytesWarning")
    found += [f"-W{warning}" for warning in warnings if warning not in implied]
    extra = dict(sys._xoptions)
    for name, is_on in (("dev", flags.dev_mode), ("utf8", flags.utf8_mode)):
        if is_on:
            extra.setdefault(name, True)
    found += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in extra.items()]
    return tuple(writable(option) for option in found if option != "-")
