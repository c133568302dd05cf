"""The program that reads long Runs beside the gateway: `python -m weftrun.entrypoints.http.long_look`.

It gets the URL of the Journal, then questions (`LookAsked`), each as a frame on its input, and writes an answer for
each in order. It ends when its input does, thus with the gateway, however that ended.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import IO, Final

import msgspec
from msgspec import Struct

from weftrun.assembly import Reader, open_reader
from weftrun.entrypoints.http.looks import LookAsked, told
from weftrun.entrypoints.http.problems import Problem, Refusal, refusal_of
from weftrun.model.errors import JournalError, WeftrunError

TOLD: Final = b"t"
REFUSED: Final = b"r"
_HEAD: Final = struct.Struct("<cQ")
_NICE: Final = 5
"""Whoever looks on comes after those who work."""


class LookRefused(Struct, frozen=True):
    """An answer that is none: a problem, with the headers that go with it."""

    problem: Problem
    headers: dict[str, str]


def main() -> None:
    """Answer until the input ends."""
    os.nice(_NICE)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    looking = Looking(read_frame(source)[1].decode())
    while True:
        try:
            asked = read_frame(source)
        except EOFError:
            return
        is_told, answer = looking.answer(msgspec.msgpack.decode(asked[1], type=LookAsked))
        write_frame(target, answer, TOLD if is_told else REFUSED)


class Looking:
    """Answers from a Journal, which is opened again where it could not be read."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._reader: Reader | None = None

    def answer(self, asked: LookAsked) -> tuple[bool, bytes]:
        """Return whether there is an answer, and it, or why there is none."""
        try:
            self._reader = self._reader or open_reader(self._url)
            return True, told(self._reader, asked)
        except (Refusal, WeftrunError) as error:
            if isinstance(error, JournalError) and self._reader is not None:
                self._reader.close()
                self._reader = None
            refusal = refusal_of(error)
            return False, msgspec.msgpack.encode(LookRefused(refusal.problem, refusal.headers))


def write_frame(target: IO[bytes], body: bytes, kind: bytes = TOLD) -> None:
    """Write bytes with their kind and length before them."""
    target.write(_HEAD.pack(kind, len(body)))
    target.write(body)
    target.flush()


def read_frame(source: IO[bytes]) -> tuple[bytes, bytes]:
    """Return kind and bytes as `write_frame` wrote them.

    Raises:
        EOFError: the stream has ended.
    """
    head = source.read(_HEAD.size)
    kind, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 1)
    body = source.read(length)
    if len(body) < length:
        raise EOFError("the stream has ended")
    return kind, body


if __name__ == "__main__":
    main()
