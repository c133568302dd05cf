"""What views need of a row of the trace. Stated here by shape, because views do not see ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from weftrun.model.events import Handed
from weftrun.model.ids import StepId, item_step

_decode_handed = msgspec.json.Decoder(Handed).decode


class Traced(Protocol):
    """A row of the trace; `views.story` says what its facts mean."""

    @property
    def kind(self) -> str:
        """Return `text`, `batch`, `call`, `sandbox`, `unrecorded`, `moved`, `takes` or `note`."""

    @property
    def at(self) -> float:
        """Return when it was written, in seconds since the epoch."""

    @property
    def step(self) -> StepId:
        """Return the Step it concerns; empty for the whole Run."""

    @property
    def attempt(self) -> int:
        """Return the Attempt it concerns; 0 for none."""

    @property
    def text(self) -> str:
        """Return what was printed, or a sentence."""

    @property
    def facts(self) -> Mapping[str, str | int | float]:
        """Return facts by key."""


class TextView(Struct, frozen=True):
    """What one Attempt printed. `at` is in seconds since the epoch."""

    at: float
    step: StepId
    attempt: int
    text: str


def texts(trace: Sequence[Traced], step: str | None = None) -> list[TextView]:
    """Return what the Attempts of a Run printed, in the order in which it was told, by item where it is known.

    What a replayed body printed again is left out. `step` keeps one Step with its items, one item, or the calls of one
    Workflow's Step.
    """
    told: dict[tuple[StepId, int], int] = {}
    found = []
    for row in trace:
        if row.kind == "text" and row.text:
            found += [text for text in _pieces(row, told) if step is None or is_part(text.step, step)]
    return found


def _pieces(row: Traced, told: dict[tuple[StepId, int], int]) -> Iterator[TextView]:
    """Yield what a row tells: of a body what is new, of a map what each item printed, then what nobody knows whose."""
    at = 0
    if "from" in row.facts:
        begins, known = int(number(row, "from")), told.get((row.step, row.attempt), 0)
        told[row.step, row.attempt] = max(known, begins + len(row.text))
        at = max(0, known - begins)
    for item in str(row.facts.get("items", "")).split():
        index, _, length = item.partition(":")
        text = row.text[at : at + int(length)]
        at += int(length)
        if text:
            yield TextView(row.at, item_step(row.step, int(index)), row.attempt, text)
    if at < len(row.text):
        yield TextView(row.at, row.step, row.attempt, row.text[at:])


def is_part(step: str, whole: str) -> bool:
    """Say whether `step` is `whole`, an item of it, or a call that its body made."""
    return step == whole or step.startswith((whole + ".", whole + "/"))


class SignalAwaited(Struct, frozen=True):
    """A signal that a Run stands still for.

    Attributes:
        schema: JSON Schema of the type that the workflow reads it as; None where it takes anything, or nobody knows.
    """

    name: str
    schema: dict[str, Any] | None = None


def awaited_names(waiting_for: str | None) -> list[str]:
    """Return the names of the signals that a Run waits for."""
    kind, _, names = (waiting_for or "").partition(" ")
    return names.split(", ") if kind in ("signal", "signals") else []


def told_types(name: str, trace: Sequence[Traced]) -> list[dict[str, Any]]:
    """Return the types, as JSON Schemas, of which a Run has awaited signals of a name; the one of now is the last."""
    told = (row.text for row in trace if row.kind == "takes" and row.facts["signal"] == name)
    return [msgspec.json.decode(schema) for schema in dict.fromkeys(told)]


def awaited_signals(waiting_for: str | None, trace: Sequence[Traced]) -> list[SignalAwaited]:
    """Return the signals that a Run waits for, with the types that its body named last as far as the trace tells."""
    names = awaited_names(waiting_for)
    types = {str(row.facts["signal"]): row.text for row in trace if row.kind == "takes"} if names else {}
    return [SignalAwaited(n, msgspec.json.decode(types[n]) if n in types else None) for n in names]


def handed_of(row: Traced) -> Handed:
    """Return the call of which a row `call` tells."""
    return _decode_handed(str(row.facts["call"]))


def number(row: Traced, key: str) -> float:
    """Return a fact that is a number; 0 where the row does not tell it."""
    fact = row.facts.get(key, 0)
    return 0.0 if isinstance(fact, str) else float(fact)
