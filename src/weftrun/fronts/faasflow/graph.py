"""Which node stands before which."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from weftrun.fronts.faasflow.reading import Document


class Graph:
    """A directed graph of names, which are ordered as they are given where the graph leaves it open."""

    def __init__(self, document: Document, names: Iterable[str]) -> None:
        """Begin with no edge."""
        self._document = document
        self._places = {name: place for place, name in enumerate(names)}
        self._before: dict[str, dict[str, None]] = {name: {} for name in self._places}
        self._behind: dict[str, dict[str, None]] = {name: {} for name in self._places}
        self._ancestors: dict[str, int] = {}
        self._order: list[str] = []

    def connect(self, one: str, other: str) -> None:
        """Add an edge; the same one again is none."""
        self._before[other][one] = None
        self._behind[one][other] = None

    def before(self, name: str) -> list[str]:
        """Return the nodes with an edge to this one."""
        return list(self._before[name])

    def order(self, line: Callable[[str], int]) -> list[str]:
        """Return all nodes, each behind those before it, else in the order in which they were given.

        A cycle is noted as a problem of the document, in the `line` of its first node; its nodes are left out.
        """
        left = {name: len(before) for name, before in self._before.items()}
        ready = [self._places[name] for name, count in left.items() if not count]
        names = list(self._places)
        heapq.heapify(ready)
        self._order = []
        while ready:
            name = names[heapq.heappop(ready)]
            self._order.append(name)
            for target in self._behind[name]:
                left[target] -= 1
                if not left[target]:
                    heapq.heappush(ready, self._places[target])
        if len(self._order) < len(names):
            cycle = self._cycle()
            self.refuse(line(cycle[0]), f"there is a cycle: {' → '.join([*cycle, cycle[0]])}.")
        for place, name in enumerate(self._order):
            before = 0
            for each in self._before[name]:
                before |= self._ancestors.get(each, 0)
            self._ancestors[name] = before | (1 << place)
        return self._order

    def refuse(self, line: int, text: str) -> None:
        """Note that something is wrong with the graph."""
        self._document.problem(line, text)

    def ancestors(self, name: str) -> list[str]:
        """Return all nodes from which there is a way to this one, in order. After `order` only."""
        mask = self._ancestors[name]
        found = []
        while mask:
            low = mask & -mask
            found.append(self._order[low.bit_length() - 1])
            mask ^= low
        return [each for each in found if each != name]

    def _cycle(self) -> list[str]:
        """Return the nodes of one cycle, in order."""
        done = set(self._order)
        name = next(name for name in self._places if name not in done)
        seen: dict[str, None] = {}
        while name not in seen:
            seen[name] = None
            name = next(before for before in self._before[name] if before not in done)
        nodes = list(seen)
        cycle = nodes[nodes.index(name) :][::-1]
        first = min(range(len(cycle)), key=lambda place: self._places[cycle[place]])
        return cycle[first:] + cycle[:first]
