"""Who gets which chunk of a stream when, and which generator waits: examples, and random histories with an oracle."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import msgspec
import pytest

from weftrun.machines.streams import AnswerOfStream, StreamsMachine
from weftrun.model.ids import SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import OfStream, StreamAnswer, StreamChunk, StreamOver, StreamWanted
from weftrun.model.work import AttemptAt
from weftrun.testing.sim.chance import Chance

RUN = 7
LIMITS = Limits(stream_chunks_max=3, stream_bytes_max=100)


def at(step: int, attempt: int = 1) -> AttemptAt:
    return AttemptAt(SandboxId(step), 0, 0, RUN, step, StepId(f"s[{step}]"), attempt, 0)


def chunk(
    machine: StreamsMachine, number: int, data: bytes = b"x", step: int = 1, attempt: int = 1
) -> list[AnswerOfStream]:
    return machine.said(at(step, attempt), StreamChunk(0, 0, number, data))


def want(machine: StreamsMachine, reader: int, first: int, step: int = 1, attempt: int = 1) -> list[AnswerOfStream]:
    return machine.said(at(reader), StreamWanted(0, 0, step, attempt, first))


def told(answered: list[AnswerOfStream]) -> dict[int, StreamAnswer]:
    return {each.at.step: each.answer for each in answered}


GO_ON = StreamAnswer(0, 0)


def test_each_reader_gets_all_chunks_whenever_it_comes() -> None:
    machine = StreamsMachine(LIMITS)
    assert told(chunk(machine, 0, b"a")) == {1: GO_ON}
    assert told(want(machine, 2, 0)) == {2: StreamAnswer(0, 0, (b"a",))}
    assert want(machine, 2, 1) == [], "it waits"
    assert told(chunk(machine, 1, b"b")) == {2: StreamAnswer(0, 0, (b"b",)), 1: GO_ON}
    assert told(machine.said(at(1), StreamOver(0, 0, 2))) == {1: GO_ON}
    assert told(want(machine, 2, 2)) == {2: StreamAnswer(0, 0, (), is_over=True)}
    assert told(want(machine, 3, 0)) == {3: StreamAnswer(0, 0, (b"a", b"b"), is_over=True)}


def test_a_generator_waits_for_its_fastest_reader() -> None:
    machine = StreamsMachine(LIMITS)
    want(machine, 2, 0)
    assert told(chunk(machine, 0)).keys() == {1, 2}
    assert [1 in told(chunk(machine, number)) for number in (1, 2, 3)] == [True, True, False]
    assert told(want(machine, 3, 0)).keys() == {1, 3}, "another one is faster now"


def test_a_generator_waits_for_bytes_too() -> None:
    machine = StreamsMachine(LIMITS)
    want(machine, 2, 0)
    assert told(chunk(machine, 0, bytes(100))).keys() == {1, 2}
    assert chunk(machine, 1, bytes(100)) == []


def test_a_generator_does_not_wait_for_who_has_not_begun_or_is_gone() -> None:
    machine = StreamsMachine(LIMITS)
    for number in range(9):
        assert told(chunk(machine, number)) == {1: GO_ON}
    want(machine, 2, 0)
    for number in range(9, 12):
        chunk(machine, number)
    assert machine.ended(RUN, [(5, 1), (2, 2)]) == []
    assert told(machine.ended(RUN, [(2, 1)])) == {1: GO_ON}


def test_each_attempt_has_a_stream_of_its_own() -> None:
    machine = StreamsMachine(LIMITS)
    chunk(machine, 0, b"old")
    chunk(machine, 0, b"new", attempt=2)
    assert told(want(machine, 2, 0, attempt=2)) == {2: StreamAnswer(0, 0, (b"new",))}


def test_a_body_that_begins_again_as_the_same_attempt_begins_its_stream_anew() -> None:
    machine = StreamsMachine(LIMITS)
    chunk(machine, 0, b"old")
    machine.said(at(1), StreamOver(0, 0, 1))
    chunk(machine, 0, b"new")
    assert told(want(machine, 2, 0)) == {2: StreamAnswer(0, 0, (b"new",))}


def test_a_run_that_is_over_leaves_nothing() -> None:
    machine = StreamsMachine(LIMITS)
    chunk(machine, 0)
    machine.run_closed(RUN)
    assert not machine.streams


# ---------------------------------------------------------------------- histories


@dataclass
class StreamActor:
    """A Step that reads streams of Steps before it, perhaps not to their end, and yields.

    Attributes:
        reads: of which Steps, with how many chunks at a time, and how many in all.
        seen: what the Attempt that runs has read, by Step.
    """

    step: int
    reads: list[tuple[int, int, int]]
    yields: int
    attempt: int = 1
    body: Generator[OfStream, StreamAnswer, None] | None = None
    says: OfStream | None = None
    is_over: bool = False
    seen: dict[int, list[bytes]] = field(default_factory=dict)


class StreamHistory:
    """Steps on a few Sandboxes, which say things in any order; some Attempts fail, and their readers begin again."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(seed, "streams")
        self.machine = StreamsMachine(msgspec.structs.replace(LIMITS, stream_chunks_max=1 + self.chance.below(4)))
        self.places = 1 + self.chance.below(4)
        self.failures = self.chance.below(4)
        self.late: list[tuple[int, int]] = []
        self.actors: list[StreamActor] = []
        for step in range(2 + self.chance.below(4)):
            before = [n for n in range(step) if self.chance.happens(0.6)]
            reads = [(n, 1 + self.chance.below(5), self.chance.one_of((3, 1_000, 1_000))) for n in before]
            self.actors.append(StreamActor(step, reads, self.chance.below(12)))

    def play(self) -> None:
        """Play until all has ended; what was revoked may be told to have ended much later.

        Raises AssertionError if nobody can go on, or if a reader has seen what no Attempt has yielded."""
        for _ in range(20_000):
            if all(actor.is_over for actor in self.actors):
                return
            self._move()
        raise AssertionError("it does not come to an end")

    def _move(self) -> None:
        may_begin = [actor for actor in self.actors if actor.body is None and not actor.is_over and self._may(actor)]
        runs = [actor for actor in self.actors if actor.body is not None]
        may_say = [actor for actor in runs if actor.says is not None]
        can = may_say + (may_begin if len(runs) < self.places else [])
        assert can, "nobody can go on"
        actor = self.chance.one_of(can)
        if actor.body is None:
            actor.body = self._body(actor)
            actor.says = next(actor.body, None)
            self._note_end(actor)
        elif self.late and self.chance.happens(0.2):
            self._answer(self.machine.ended(RUN, [self.late.pop()]))
        elif self.failures and self.chance.happens(0.05):
            self.failures -= 1
            self._fail(actor)
        else:
            said, actor.says = actor.says, None
            assert said is not None
            self._answer(self.machine.said(at(actor.step, actor.attempt), said))

    def _may(self, actor: StreamActor) -> bool:
        return all(self.actors[n].body is not None or self.actors[n].is_over for n, _, _ in actor.reads)

    def _answer(self, answered: list[AnswerOfStream]) -> None:
        for to, answer in answered:
            actor = self.actors[to.step]
            if actor.body is None or actor.attempt != to.attempt:
                continue
            try:
                actor.says = actor.body.send(answer)
            except StopIteration:
                self._note_end(actor)

    def _note_end(self, actor: StreamActor) -> None:
        if actor.says is None:
            actor.body, actor.is_over = None, True
            for step, seen in actor.seen.items():
                limit = next(most for n, _, most in actor.reads if n == step)
                made = self._made(self.actors[step])
                assert seen == made[: len(seen)], "it has seen what one Attempt has yielded, once, and in order"
                assert len(seen) >= min(limit, len(made)), "it has seen all of it"
            self._answer(self.machine.ended(RUN, [(actor.step, actor.attempt)]))

    def _made(self, actor: StreamActor) -> list[bytes]:
        return [b"%d %d %d" % (actor.step, actor.attempt, number) for number in range(actor.yields)]

    def _body(self, actor: StreamActor) -> Generator[OfStream, StreamAnswer, None]:
        actor.seen = {}
        left = [[step, size, most, 0] for step, size, most in actor.reads]
        chunks = self._made(actor)
        made = 0
        attempts = {step: self.actors[step].attempt for step, _, _ in actor.reads}
        while left or made < len(chunks):
            turn = self.chance.below(len(left) + (made < len(chunks)))
            if turn == len(left):
                yield StreamChunk(0, 0, made, chunks[made])
                made += 1
                continue
            reading = left[turn]
            answer = yield StreamWanted(0, 0, reading[0], attempts[reading[0]], reading[3])
            actor.seen.setdefault(reading[0], []).extend(answer.chunks)
            reading[3] += len(answer.chunks)
            if answer.is_over or reading[3] >= reading[2]:
                left.remove(reading)
        yield StreamOver(0, 0, made)

    def _fail(self, actor: StreamActor) -> None:
        """An Attempt has failed: those who read it are revoked, and those who read them; all begin again."""
        gone = {actor.step}
        for each in self.actors[actor.step :]:
            if any(step in gone for step, _, _ in each.reads) and (each.body is not None or each.is_over):
                gone.add(each.step)
        self._answer(self.machine.revoked(RUN, gone))
        for step in gone:
            again = self.actors[step]
            self.late.append((step, again.attempt))
            again.body, again.says, again.is_over = None, None, False
            again.attempt += 1


def test_histories() -> None:
    for seed in range(300):
        StreamHistory(seed).play()


def a_stream_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that comes back is given what it has had."""
    serve = StreamsMachine._serve

    def again(self, stream):
        for key in stream.waiting:
            stream.readers[key] = max(0, stream.readers[key] - 1)
        return serve(self, stream)

    monkeypatch.setattr(StreamsMachine, "_serve", again)


def attempts_are_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed Attempt has yielded stays, before what the next one yields: they have not agreed on it."""
    said = StreamsMachine.said

    def mixed(self, attempt, message):
        if isinstance(message, StreamWanted):
            return said(self, attempt, msgspec.structs.replace(message, attempt=1))
        first = msgspec.structs.replace(attempt, attempt=1)
        there = self.streams.get((RUN, attempt.step, 1))
        if isinstance(message, StreamChunk) and there is not None and message.number < len(there.chunks):
            there.chunks[message.number] = message.chunk
            return [AnswerOfStream(attempt, GO_ON)]
        answered = said(self, first, message)
        return [AnswerOfStream(attempt if each.at.step == attempt.step else each.at, each.answer) for each in answered]

    monkeypatch.setattr(StreamsMachine, "said", mixed)


def the_slowest_reader_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that waits for what another one makes of the same stream holds up both."""

    def slow(self, stream):
        if stream.held is None:
            return []
        if stream.readers and len(stream.chunks) - min(stream.readers.values()) >= self._chunks_max:
            return []
        attempt, stream.held = stream.held, None
        return [AnswerOfStream(attempt, GO_ON)]

    monkeypatch.setattr(StreamsMachine, "_let_go_on", slow)


def a_reader_that_is_gone_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read three chunks, and ended."""
    monkeypatch.setattr(StreamsMachine, "ended", lambda *_: [])


def what_is_told_late_is_taken_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Attempt that was revoked has ended, and the next one, which reads already, is forgotten."""
    revoked = StreamsMachine.revoked
    monkeypatch.setattr(
        StreamsMachine, "ended", lambda self, run, attempts: revoked(self, run, [s for s, _ in attempts])
    )


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (a_stream_is_read_twice, "it has seen what one Attempt has yielded"),
        (attempts_are_mixed, "it has seen"),
        (the_slowest_reader_is_waited_for, "nobody can go on"),
        (a_reader_that_is_gone_is_waited_for, "nobody can go on"),
        (what_is_told_late_is_taken_for_news, "nobody can go on"),
    ],
)
def test_a_planted_bug_is_found(plant, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    texts = set()
    for seed in range(300):
        try:
            StreamHistory(seed).play()
        except AssertionError as error:
            texts.add(str(error).partition("\n")[0])
    assert any(says in text for text in texts), texts
