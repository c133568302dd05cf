"""Generators of random numbers that were not given a seed: every Sandbox draws numbers of its own.

The author's import makes them once, in the zygote, and a fork copies where they stand. Which ones got a seed can't be
seen afterwards, so it is watched while the import runs: one that did is left as the import left it.
"""

from __future__ import annotations

import contextlib
import gc
import random
import secrets
import sys
from collections.abc import Iterator
from typing import Any, Final

_MARK: Final = "_weftrun_unseeded"
_SEED_MAX: Final = 1 << 96
"""What numpy draws as a seed has 128 bits; hardly anybody writes one that large."""


_found: list[Generators] = []
"""What the imports of this process have found, for forks that are made later."""


def draw_afresh_again() -> None:
    """Let a fork draw other numbers than the process that it is a copy of."""
    random.seed()
    for generators in _found:
        generators.draw_afresh()


class Generators:
    """What an import made without a seed, wherever it is kept."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._python: list[random.Random] = []
        self._numpy: list[Any] = []
        self._drawn: set[int] = set()

    @contextlib.contextmanager
    def watched(self, *, copies: bool) -> Iterator[None]:
        """Watch an import, and find afterwards what it has made.

        `copies`: what comes are copies of a notebook's generators, of which nobody knows how they began.
        """
        seed, setstate, randbits = random.Random.seed, random.Random.setstate, secrets.randbits
        drawn: set[int] | None = self._drawn

        def watched_seed(self: random.Random, a: Any = None, *more: Any, **named: Any) -> None:
            seed(self, a, *more, **named)
            if a is None:
                vars(self)[_MARK] = True
            else:
                vars(self).pop(_MARK, None)

        def watched_setstate(self: random.Random, state: Any) -> None:
            setstate(self, state)
            if not copies:
                vars(self).pop(_MARK, None)

        def watched_randbits(k: int) -> int:
            value = randbits(k)
            if drawn is not None:
                drawn.add(value)
            return value

        changed: Any = random.Random
        changed.seed, changed.setstate = watched_seed, watched_setstate
        secrets.randbits = watched_randbits  # numpy draws by it what seeds a generator that gets no seed
        try:
            yield
        finally:
            drawn = None
            changed.seed, changed.setstate = seed, setstate
            secrets.randbits = randbits
            self._find(copies=copies)
            _found.append(self)

    def _find(self, *, copies: bool) -> None:
        numpy_random: Any = sys.modules.get("numpy.random")
        numpys = (numpy_random.BitGenerator, numpy_random.SeedSequence) if numpy_random is not None else ()
        kinds: dict[type, int] = {}
        for found in gc.get_objects():
            kind = kinds.get(type(found))
            if kind is None:
                kind = kinds[type(found)] = _kind(type(found), numpys)
            if kind == 1 and vars(found).pop(_MARK, False):
                self._python.append(found)
            elif kind == 2 and self._is_unseeded(found, copies=copies):
                self._numpy.append(found)
        self._drawn.clear()

    def _is_unseeded(self, found: Any, *, copies: bool) -> bool:
        """Say whether its seed is one that numpy drew by itself; of a copy, whether it looks like that."""
        entropy = getattr(getattr(found, "_seed_seq", found), "entropy", None)
        return isinstance(entropy, int) and (entropy in self._drawn or (copies and entropy > _SEED_MAX))

    def draw_afresh(self) -> None:
        """Let all that has no seed draw other numbers from now on, and so the two generators that are everybody's.

        Those of `random` and `numpy.random` are seeded afresh also where the import seeded them: Python does so in
        every fork, and a Sandbox should not differ by how it was made.
        """
        random.seed()
        for found in self._python:
            random.Random.seed(found)
        for generator in self._numpy:
            with contextlib.suppress(Exception):  # another library's kind of generator stays as it is
                generator.__init__()  # in place: it takes a new seed from the system
        numpy_random: Any = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()


def _kind(type_of: type, numpys: tuple[type, ...]) -> int:
    """Return 1 for generators of `random`, 2 for what numpy's rest on, 0 for anything else."""
    if issubclass(type_of, random.Random):
        return 0 if issubclass(type_of, random.SystemRandom) else 1
    return 2 if numpys and issubclass(type_of, numpys) else 0
