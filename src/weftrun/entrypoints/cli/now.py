"""Sentences on what runs now, what is due later, and who has a Run."""

from __future__ import annotations

from weftrun.entrypoints.cli.options import again
from weftrun.entrypoints.cli.output import clock
from weftrun.model.commands import UNTIL_TOLD
from weftrun.ports.journal import RunInfo
from weftrun.views.running import OwnerView, RunningView, engine_text, last_line, now_text
from weftrun.views.step import StepView
from weftrun.views.units import count_of, duration


def owner_sentence(info: RunInfo, owner: OwnerView | None, now: float, db: str | None = None) -> str:
    """Return who has an open Run, and how it goes on where nobody has; empty for one that has ended."""
    if info.ended_at is not None:
        return ""
    resume = again("resume", info.id, db)
    if owner is not None:
        engine = f"{engine_text(owner.pid)} on {'this' if owner.here else 'another'} host"
        if owner.lives:
            return f"{engine} has it" + (f", and it {_waits(info.waiting_for)}" if info.waiting_for else "")
        return f"{engine} had it and has ended: the next one that opens this Journal goes on with it, or {resume}"
    if info.is_queued:
        return f"no engine has it yet: it waits in the {info.waiting_for}, or is delayed; see `weftrun queue list`"
    if info.is_parked:
        return "no engine has it: it is parked until there is code that fits it"
    waits = _waits(info.waiting_for)
    if info.due_at >= UNTIL_TOLD:
        return f"no engine has it, since it only {waits}: `weftrun signal` sends it"
    if info.due_at > now and info.waiting_for is not None:
        return f"no engine has it, since it only {waits}, until {due_text(info.due_at, now)}"
    if info.due_at > now:
        when = due_text(info.due_at, now)
        return f"no engine has it, since it only waits: it is due {when}, in an engine that is open then, or {resume}"
    return f"no engine has it: the next one that opens this Journal goes on with it, or {resume}"


def _waits(what: str | None) -> str:
    return f"waits for {'its ' if what == 'sleep' else 'the '}{what}"


def due_text(at: float, now: float) -> str:
    """Return a time that is to come, and how long it is until then."""
    return f"{clock(at)} (in {duration(at - now)})" if at > now else f"{clock(at)} (now)"


def doing(view: StepView, now: float, owner: OwnerView | None) -> str:
    """Return what a Step does now or waits for: since when, where, and what it has printed; empty for neither.

    `owner` is the engine that has its Run.
    """
    running = view.running
    if view.is_map and running:
        oldest = running[0]
        many = f"{count_of(len(running), 'item')} seen, {oldest.step} " if len(running) > 1 else f"{oldest.step} "
        return many + _running(oldest, now)
    if running:
        return _running(running[0], now)
    if view.due_at is not None and view.status in ("pending", "running"):
        return f"Attempt {view.attempts + 1} is due {due_text(view.due_at, now)}"
    if view.given_at is not None:
        ago = duration(max(0.0, now - view.given_at))
        if owner is not None and owner.lives:
            return f"in Sandbox {view.sandbox} for {ago}"
        return f"was given to Sandbox {view.sandbox} {ago} ago, and how it ended is not known: it may have happened"
    return ""


def _running(view: RunningView, now: float) -> str:
    line = last_line(view.printed)
    return f"{now_text(view, now)}: {line}" if line else now_text(view, now)
