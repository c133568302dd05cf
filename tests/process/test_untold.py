"""A message that the encoder will not say: the guilty outcome is told as a failure, the others as they are."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from weftrun.guest.objects import Meter, ReceivedObjects, Speaker
from weftrun.guest.text import TextPipe
from weftrun.model.ids import StepId
from weftrun.model.messages import BodyCalled, BodyEnded, FromSandbox, ItemOutcomes, Outcomes, Ready
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Ran, Reason
from weftrun.model.values import Inline, Payload
from weftrun.wire.channel import Channel
from weftrun.wire.page import Page, make_page

NO_TEXT = "caf\udce9"
BYTES_MAX = 1_000_000


class Talk:
    """A speaker, and what is heard at the other end."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        page = make_page(1_024)
        reader, writer = os.pipe()
        self.page = Page(page, 1_024, writable=True)
        os.close(page)
        self.pipe, self.reader = TextPipe(writer), reader
        self.channel: Channel[FromSandbox] = Channel(ours, FromSandbox, frame_bytes_max=BYTES_MAX)
        self.heard: Channel[Any] = Channel(theirs, FromSandbox, frame_bytes_max=BYTES_MAX)
        self.speaker = Speaker(
            self.channel, ReceivedObjects(Meter(), reads=False), self.page, self.pipe, inline_bytes_max=10
        )  # type: ignore[arg-type]

    def say(self, message: FromSandbox) -> list[Any]:
        """Say it, and return what arrives."""
        self.speaker.say(message)
        self.speaker.say(Ready())
        messages: list[Any] = []
        while not messages or not isinstance(messages[-1], Ready):
            for received, descriptors in self.heard.receive() or ():
                messages.append(received)
                for descriptor in descriptors:
                    os.close(descriptor)
        return messages[:-1]

    def close(self) -> None:
        self.channel.close()
        self.heard.close()
        self.page.close()
        self.pipe.close()
        os.close(self.reader)


@pytest.fixture
def talk() -> Iterator[Talk]:
    made = Talk()
    yield made
    made.close()


def check(failure: Failure | None) -> None:
    assert failure is not None and failure.reason is Reason.UNREADABLE
    assert failure.message.startswith("its outcome can't be told to the engine: UnicodeEncodeError: ")


def test_outcomes(talk: Talk) -> None:
    value = Inline(b"\0v")
    told = talk.say(
        Outcomes(
            3,
            (
                Outcome(5, 1, value, None, NOT_RUN, index=0, text="text"),
                Outcome(6, 1, value, None, Ran(preview=NO_TEXT), index=1),
                Outcome(7, 1, None, Failure(Reason.RAISED, "E", NO_TEXT, origin=StepId("a[0]")), NOT_RUN, index=2),
                Outcome(8, 1, value, None, NOT_RUN, index=3),
            ),
        )
    )
    outcomes = {outcome.index: outcome for message in told for outcome in message.outcomes}
    assert sorted(outcomes) == [0, 1, 2, 3]
    assert outcomes[0].value == outcomes[3].value == value and outcomes[0].text == "text"
    check(outcomes[1].failure)
    check(outcomes[2].failure)
    assert outcomes[1].value is None


def test_items_of_a_map(talk: Talk) -> None:
    failures = ((4, Failure(Reason.RAISED, "E", "fine")), (5, Failure(Reason.RAISED, "E", NO_TEXT)))
    told = talk.say(ItemOutcomes(3, ((0, 2, Inline(b"\0v")),), failures, NOT_RUN))
    assert [value for message in told for value in message.values] == [(0, 2, Inline(b"\0v"))]
    failed = dict(failure for message in told for failure in message.failures)
    assert failed[4].message == "fine"
    check(failed[5])


def test_bodies(talk: Talk) -> None:
    (told,) = talk.say(BodyEnded(3, Payload(Inline(b"\0v")), None, Ran(preview=NO_TEXT)))
    assert told.body == 3 and told.answer is None
    check(told.failure)
    with pytest.raises(UnicodeEncodeError):
        talk.say(BodyCalled(3, (), (), (), (NO_TEXT,)))  # type: ignore[arg-type]
    assert talk.say(BodyCalled(3, (), (), (), (1,))) == [BodyCalled(3, (), (), (), (1,))]


def test_nothing_of_what_can_not_be_said_is_sent() -> None:
    ours, theirs = socket.socketpair()
    channel: Channel[Any] = Channel(ours, FromSandbox, frame_bytes_max=BYTES_MAX)
    heard: Channel[Any] = Channel(theirs, FromSandbox, frame_bytes_max=BYTES_MAX)
    with open("/dev/null", "rb") as file:
        for words in ((NO_TEXT,), ("x" * 2 * BYTES_MAX,)):
            with pytest.raises(Exception):  # noqa: B017, PT011
                channel.send(Ready(words), [file.fileno()] * 100)
    channel.send(Ready(("fine",)))
    assert heard.receive() == [(Ready(("fine",)), ())]
    channel.close()
    heard.close()
