"""The machine of a part: what one Worker decides of a Run that several share."""

from __future__ import annotations

from weftrun.machines.share.adopt import ask, loaded
from weftrun.machines.share.bodies import calls_made
from weftrun.machines.share.keeping import append, append_came, load
from weftrun.machines.share.state import PartState
from weftrun.machines.share.steps import look, step_ended
from weftrun.machines.share.telling import came, learn, say, take, wake
from weftrun.model.events import TimeCame
from weftrun.model.ids import RunUid, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.share import (
    Adopted,
    Answered,
    AppendCame,
    CallsMade,
    Heard,
    Loaded,
    Offer,
    Over,
    PartCommand,
    PartEvent,
    PlanTold,
    Say,
    ShareMessage,
    StepEnded,
    Stored,
    TellOwner,
    Took,
)


class PartMachine:
    """One Worker's part of a Run: one event in, commands out.

    It begins when it is told of a plan. Messages may be lost, doubled, late and out of order; what must come is said
    again until it has. Of what was abandoned nothing more is told.

    Args:
        me: the Worker. A process that is started again is another one.
        resend_s: after so long something that was said is said again, in seconds.
    """

    def __init__(self, me: WorkerId, uid: RunUid, limits: Limits, resend_s: float = 0.2) -> None:
        self.state = PartState(me, uid, limits, resend_s)

    def handle(self, event: PartEvent) -> list[PartCommand]:
        """Take one event and return what is to be done because of it, in order."""
        part = self.state
        part.now = max(part.now, event.now)
        if not part.over:
            self._take(event)
            self._follow()
        elif isinstance(event, Heard) and isinstance(event.message, Offer | Answered):
            part.commands.append(Say(event.message.sender, Over(part.epoch)))
        commands, part.commands = part.commands, []
        return commands

    def _take(self, event: PartEvent) -> None:
        part = self.state
        match event:
            case Heard():
                self._hear(event.message)
            case Loaded():
                loaded(part, event)
            case StepEnded():
                step_ended(part, event)
            case CallsMade():
                calls_made(part, event)
            case AppendCame():
                append_came(part, event)
            case Stored():
                part.storing.discard(event.sha256)
                part.stored.add(event.sha256)
            case TimeCame():
                part.wake_at = 0.0
                part.change([step for step, here in part.here.items() if here.due and here.due <= part.now])
                if part.load_at and part.load_at <= part.now:
                    load(part)

    def _hear(self, message: ShareMessage) -> None:
        """Take in a message of the plan that this part goes by; another one is passed by."""
        part = self.state
        if isinstance(message, Over):
            load(part)
            return
        ask(part, message.epoch)
        if part.plan is None or message.epoch != part.epoch:
            return
        match message:
            case Offer():
                taken = [h.name for h in message.held if take(part, h, fixed=h.name in message.fixed)]
                for node in message.nodes:
                    learn(part, node)
                nodes = tuple(node.id for node in message.nodes)
                part.commands.append(Say(message.sender, Took(part.epoch, part.me, tuple(taken), nodes)))
            case Answered():
                taken = [h.name for h in message.held if take(part, h, fixed=h.name in message.fixed)]
                part.answered.add(message.sender)
                part.change(list(part.here))
                part.commands.append(Say(message.sender, Took(part.epoch, part.me, tuple(taken), answer=True)))
            case Took():
                came(part, message)
            case PlanTold():
                part.commands.append(TellOwner(Adopted(part.epoch, part.me)))
            case _:
                pass

    def _follow(self) -> None:
        """Draw all consequences, then write and say what is due."""
        part = self.state
        while part.changed and not part.over:
            for step in sorted(part.changed):
                part.changed.discard(step)
                look(part, step)
        if part.over:
            return
        append(part)
        say(part)
        wake(part)
