"""What the library does not tell of a module: which variables it has that nobody outside can read.

Source: WebAssembly Core Specification 2.0, chapter 5 (binary format).
"""

from __future__ import annotations

from typing import Final

_IMPORT: Final = 2
_GLOBAL: Final = 6
_EXPORT: Final = 7
_OF_A_GLOBAL: Final = 3
_END: Final = 0x0B
_ONE_NUMBER: Final = frozenset({0x41, 0x42, 0x23, 0xD2, 0xD0})
"""Opcodes of constant expressions that are followed by one number: constants, another global, references."""


class _Bytes:
    """A module's bytes, read from the front."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """Read a number in LEB128; the sign of a signed one does not matter here."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def skip_name(self) -> None:
        length = self.number()
        self.at += length

    def skip_limits(self) -> None:
        flags = self.byte()
        self.number()
        if flags & 1:
            self.number()

    def skip_constant(self) -> None:
        """Skip an expression that gives the first value of a variable."""
        while (code := self.byte()) != _END:
            if code in _ONE_NUMBER:
                self.number()
            elif code == 0x43:
                self.at += 4
            elif code == 0x44:
                self.at += 8
            elif code == 0xFD:  # v128.const
                self.number()
                self.at += 16


def unexported_variables(module: bytes) -> int:
    """Return how many globals of a valid module may change and are not exported."""
    sections: dict[int, _Bytes] = {}
    at = _Bytes(module, 8)
    while at.at < len(module):
        kind, length = at.byte(), at.number()
        sections.setdefault(kind, _Bytes(module, at.at))
        at.at += length
    imported = _imported_globals(sections[_IMPORT]) if _IMPORT in sections else 0
    variables = _variables(sections[_GLOBAL], imported) if _GLOBAL in sections else set()
    return len(variables - (_exported_globals(sections[_EXPORT]) if _EXPORT in sections else set()))


def _imported_globals(at: _Bytes) -> int:
    count = 0
    for _ in range(at.number()):
        at.skip_name()
        at.skip_name()
        kind = at.byte()
        if kind == 0:
            at.number()
        elif kind == 1:
            at.byte()
            at.skip_limits()
        elif kind == 2:
            at.skip_limits()
        elif kind == _OF_A_GLOBAL:
            at.at += 2
            count += 1
        else:
            at.byte()
            at.number()
    return count


def _variables(at: _Bytes, first: int) -> set[int]:
    found = set()
    for index in range(first, first + at.number()):
        at.byte()
        if at.byte():
            found.add(index)
        at.skip_constant()
    return found


def _exported_globals(at: _Bytes) -> set[int]:
    found = set()
    for _ in range(at.number()):
        at.skip_name()
        kind, index = at.byte(), at.number()
        if kind == _OF_A_GLOBAL:
            found.add(index)
    return found
