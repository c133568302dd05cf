"""When a failed Attempt is followed by another: the pure rule, and the due times that a Run keeps through crashes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from weftrun.machines.retry import attempts_allowed, attempts_for, may_repeat, retry_delay_s
from weftrun.machines.run import RunMachine
from weftrun.model.commands import Append, End, Invoke, WakeAt
from weftrun.model.events import AttemptsEnded, Committed, Resumed, TimeCame
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Reason
from weftrun.model.policy import Bundle, Choice, FunctionSpec, RetryPolicy
from weftrun.model.records import AttemptFailed, Ended, Row, Started
from weftrun.model.values import Inline, Payload

LIMITS = Limits()
UID = RunUid("0" * 32)
STEP = StepId("f")
FINAL = (Reason.UNREADABLE, Reason.MISUSE, Reason.DIVERGED, Reason.UNLOADABLE, Reason.CANCELLED)
COUNTED = (Reason.RAISED, Reason.TIMEOUT, Reason.MEMORY)

policies = st.builds(
    RetryPolicy,
    times=st.integers(0, 5),
    delay_s=st.floats(0.0, 100.0),
    factor=st.floats(1.0, 10.0),
    delay_max_s=st.floats(0.0, 1000.0),
    jitter=st.floats(0.0, 1.0),
)
functions = st.builds(
    FunctionSpec,
    name=st.just("m:f"),
    label=st.just("f"),
    effects=st.sampled_from(("visible", "none")),
    retry=st.none() | policies,
)


def failed(reason: Reason) -> Failure:
    return Failure(reason, "E", "failed")


# ---------------------------------------------------------------------- the rule


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("effects", ["visible", "none"])
@pytest.mark.parametrize("times", [None, 0, 1, 7])
def test_how_many_attempts(reason: Reason, effects: str, times: int | None) -> None:
    """One counter for all; an error is final unless asked, a loss is tried again twice unless that was refused."""
    function = FunctionSpec("m:f", "f", effects=effects, retry=None if times is None else RetryPolicy(times))
    asked = 1 if times is None else 1 + times
    if reason in FINAL:
        allowed = 1
    elif reason in COUNTED:
        allowed = asked
    elif effects == "visible" and times == 0:
        allowed = 1
    else:
        allowed = max(asked, LIMITS.losses_max)
    assert attempts_allowed(function, reason, LIMITS) == allowed
    assert may_repeat(function) == (attempts_allowed(function, Reason.LOST, LIMITS) > 1)


@given(functions, st.sampled_from(Reason), st.integers(1, 10), st.text(min_size=1, max_size=5))
def test_how_long_to_wait(function: FunctionSpec, reason: Reason, attempt: int, step: str) -> None:
    """Exponential up to the longest wait, less a share that the Step and the Attempt alone decide."""
    delay_s = retry_delay_s(function, failed(reason), StepId(step), attempt, LIMITS)
    assert delay_s == retry_delay_s(function, failed(reason), StepId(step), attempt, LIMITS)
    if attempt >= attempts_allowed(function, reason, LIMITS):
        assert delay_s is None
    elif function.retry is None:
        assert delay_s == 0.0, "only losses are tried again unasked, and at once"
    else:
        retry = function.retry
        full_s = min(retry.delay_s * retry.factor ** (attempt - 1), retry.delay_max_s)
        assert delay_s is not None
        assert full_s * (1.0 - retry.jitter) <= delay_s <= full_s


def test_steps_that_failed_together_spread_out() -> None:
    function = FunctionSpec("m:f", "f", retry=RetryPolicy(1, delay_s=1.0, jitter=0.5))
    delays = [retry_delay_s(function, failed(Reason.RAISED), StepId(f"f[{n}]"), 1, LIMITS) for n in range(100)]
    found = {round(delay_s, 2) for delay_s in delays if delay_s is not None}
    assert len(found) > 30


def test_a_very_late_attempt_waits_no_longer_than_the_longest_wait() -> None:
    function = FunctionSpec("m:f", "f", retry=RetryPolicy(999, delay_s=1.0, factor=10.0, delay_max_s=60.0, jitter=0.0))
    assert retry_delay_s(function, failed(Reason.RAISED), STEP, 998, LIMITS) == 60.0


def test_no_factor_is_too_large_for_a_late_attempt() -> None:
    function = FunctionSpec("m:f", "f", retry=RetryPolicy(999, delay_s=1.0, factor=1e8, delay_max_s=60.0, jitter=0.0))
    assert [retry_delay_s(function, failed(Reason.RAISED), STEP, n, LIMITS) for n in (1, 2, 998)] == [1.0, 60.0, 60.0]


TIMEOUTS = ("weftrun.model.errors:StepTimedOut", "weftrun.model.errors:StepFailed", "builtins:TimeoutError")


@pytest.mark.parametrize(
    ("reason", "told", "choice", "again"),
    [
        (Reason.RAISED, 4, Choice(0.0, on=("builtins:OSError",)), True),
        (Reason.RAISED, 1, Choice(0.0, on=("builtins:OSError",)), False),
        (Reason.RAISED, 1, Choice(0.0, but_not=("m:is_final()",)), False),
        (Reason.RAISED, 1, 0.0, True),
        *((Reason.TIMEOUT, 1, Choice(0.0, on=(name,)), True) for name in TIMEOUTS),
        *((Reason.TIMEOUT, 1, Choice(0.0, but_not=(name,)), False) for name in TIMEOUTS),
        (Reason.TIMEOUT, 1, Choice(0.0, on=("builtins:ValueError", "m:is_busy()")), False),
        (Reason.MEMORY, 1, Choice(0.0, on=("builtins:MemoryError",)), True),
        (Reason.MEMORY, 4, Choice(0.0, on=("builtins:ValueError",)), False),
        (Reason.LOST, 1, Choice(0.0, on=("builtins:ValueError",)), True),
        (Reason.LOST, 1, Choice(0.0, but_not=("builtins:Exception",)), True),
        (Reason.MISUSE, 4, Choice(0.0, on=("builtins:ValueError",)), False),
    ],
)
def test_what_a_policy_leaves_out_is_final(reason: Reason, told: int, choice: Choice | float, *, again: bool) -> None:
    """Of what was raised the Sandbox has asked the policy; the engine knows what the rest is; a loss is no error."""
    function = FunctionSpec("m:f", "f", retry=RetryPolicy(3, delay_s=1.0, jitter=choice))
    failure = Failure(reason, "E", "failed", attempts=told)
    assert (retry_delay_s(function, failure, STEP, 1, LIMITS) is not None) is again
    assert (attempts_for(function, failure, 1, LIMITS) > 1) is again


# ---------------------------------------------------------------------- through crashes


class RetriesOfARun(RuleBasedStateMachine):
    """One Step that fails again and again while engines die; what is durable must hold in every one of them."""

    @initialize(function=functions)
    def start(self, function: FunctionSpec) -> None:
        self.function = function
        self.now = 1000.0
        self.rows: list[Row] = []
        self.committed = 0
        self.attempt = 0
        self.ended = False
        started = Started(RunId("r"), function, Bundle("m"), Payload(Inline(b"args")))
        self.live(RunMachine.new(1, UID, started, LIMITS))

    def live(self, machine: RunMachine) -> None:
        self.machine = machine
        self.running = 0
        self.wake_at = 0.0
        self.tell(Resumed(self.now))

    def tell(self, event: object) -> None:
        for command in self.machine.handle(event):
            match command:
                case Append():
                    self.rows.append(Row(UID, command.seq, command.at, 1, command.records))
                case Invoke():
                    (invocation,) = command.invocations
                    failures = self.failures(self.rows)
                    assert not self.running, "two Attempts at once"
                    assert invocation.attempt == len(failures) + 1, "an Attempt is not counted, or counted twice"
                    assert not failures or self.now >= failures[-1].due_at, "the next Attempt goes before its time"
                    self.running = invocation.attempt
                case WakeAt():
                    self.wake_at = command.at
                case End():
                    self.ended = True

    def failures(self, rows: list[Row]) -> list[AttemptFailed]:
        return [record for row in rows for record in row.records if isinstance(record, AttemptFailed)]

    @precondition(lambda self: self.running)
    @rule(reason=st.sampled_from((Reason.RAISED, Reason.RAISED, Reason.LOST, Reason.TIMEOUT, *FINAL)))
    def the_attempt_fails(self, reason: Reason) -> None:
        attempt, self.running = self.running, 0
        before = len(self.failures(self.rows))
        self.tell(AttemptsEnded(self.now, (Outcome(0, attempt, None, failed(reason), NOT_RUN),)))
        expected_s = retry_delay_s(self.function, failed(reason), STEP, attempt, LIMITS)
        recorded = self.failures(self.rows)[before:]
        if expected_s is None:
            assert not recorded
            last = self.rows[-1].records[-1]
            assert isinstance(last, Ended)
            assert last.failure is not None
            assert (last.failure.attempt, last.failure.attempts) == (
                attempt,
                attempts_allowed(self.function, reason, LIMITS),
            )
        else:
            (record,) = recorded
            assert (record.attempt, record.due_at) == (attempt, self.now + expected_s)

    @precondition(lambda self: self.running)
    @rule()
    def an_old_outcome_comes_again(self) -> None:
        rows = len(self.rows)
        late = Outcome(0, self.running - 1, None, failed(Reason.RAISED), NOT_RUN)
        self.tell(AttemptsEnded(self.now, (late,)))
        assert len(self.rows) == rows

    @precondition(lambda self: self.committed < len(self.rows))
    @rule()
    def rows_commit(self) -> None:
        self.committed = len(self.rows)
        self.tell(Committed(self.now, self.committed))

    @precondition(lambda self: not self.ended)
    @rule(seconds=st.sampled_from((0.01, 1.0, 50.0)))
    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds
        if self.wake_at and self.wake_at <= self.now:
            self.wake_at = 0.0
            self.tell(TimeCame(self.now))

    @precondition(lambda self: self.committed and not self.ended)
    @rule(away_s=st.sampled_from((0.0, 5.0, 500.0)))
    def the_engine_dies(self, away_s: float) -> None:
        """What was durable is kept: the count, and the due time, however long nobody was there."""
        self.now += away_s
        del self.rows[self.committed :]
        if isinstance(self.rows[-1].records[-1], Ended):
            self.ended = True
            return
        self.live(RunMachine.resume(2, UID, self.rows, LIMITS))
        failures = self.failures(self.rows)
        if failures and failures[-1].due_at > self.now:
            assert not self.running
            assert self.wake_at == failures[-1].due_at, "the recorded due time is kept"

    @precondition(lambda self: self.ended)
    @rule()
    def it_rests(self) -> None:
        assert self.machine.handle(TimeCame(self.now + 1e6)) == []

    @invariant()
    def something_will_happen(self) -> None:
        """A Run that has not ended runs an Attempt, waits for a time it asked for, or for the disk."""
        if hasattr(self, "machine"):
            assert self.ended or self.running or self.wake_at or self.committed < len(self.rows)

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        for _ in range(20):
            if self.ended:
                break
            if self.committed < len(self.rows):
                self.rows_commit()
            elif self.running:
                self.tell(AttemptsEnded(self.now, (Outcome(0, self.running, Inline(b"v"), None, NOT_RUN),)))
                self.running = 0
            else:
                self.time_goes_on(max(0.0, self.wake_at - self.now))
        assert self.ended
        last = self.rows[-1].records[-1]
        assert isinstance(last, Ended)
        assert last.attempt == len(self.failures(self.rows)) + 1


RetriesOfARun.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestRetries = RetriesOfARun.TestCase
