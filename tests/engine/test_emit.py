"""What Steps emit reaches its sink, once and in order, whatever becomes of the engine (E1, E2)."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import emitting as e
from tests.engine.conftest import until
from tests.engine.striking import freeze

import weftrun
from weftrun import sinks
from weftrun.assembly import decide_emit, open_reader
from weftrun.model.emits import DeliveryStatus, Emitted
from weftrun.sinks import Answer, Result, SinkMessage
from weftrun.testing.emitted import emitted
from weftrun.views.story import story

ENGINE = """
import sys, time
import weftrun
from weftrun import sinks
from tests.engine import emitting as e

class Slow(sinks.File):
    def deliver(self, messages, may_begin):
        print("sending", flush=True)
        if sys.argv[3] == "frozen":
            while may_begin():
                time.sleep(0.01)  # stopped somewhere in here
            print("may not begin", flush=True)
            return [sinks.Result(sinks.Answer.UNSENT)] * len(messages)
        if sys.argv[3] == "before":
            time.sleep(600)
        results = super().deliver(messages, may_begin)
        time.sleep(600)
        return results

engine = weftrun.open(sys.argv[1], sandboxes=2, lease_ttl_s=float(sys.argv[4]), sinks={"orders": Slow(sys.argv[2])})
engine.run(e.spread.options(id="spread"), 12)
time.sleep(600)
"""


@pytest.fixture
def sink() -> e.Watched:
    return e.Watched(math.inf)


@pytest.fixture
def engine(url: str, sink: e.Watched) -> Iterator[weftrun.Engine]:
    with weftrun.open(url, sandboxes=2, sinks={"orders": sink}) as opened:
        yield opened
    assert sink.closed
    assert_closed(url)


def of(url: str, id: str) -> list[Emitted]:
    """Return what a Run has emitted."""
    with contextlib.closing(open_reader(url)) as reader:
        info = reader.find(id)
        assert info is not None
        return reader.emitted(info.uid)


def told(url: str, id: str) -> str:
    with contextlib.closing(open_reader(url)) as reader:
        info = reader.find(id)
        assert info is not None
        rows, trace = reader.load(info.uid), reader.trace(info.uid)
        return "\n".join(one.text for one in story(rows, trace, emitted=reader.emitted(info.uid)))


def test_a_run_of_one_step(engine: weftrun.Engine, sink: e.Watched, url: str) -> None:
    run = engine.start(e.order.options(id="one"), 7)
    key = run.result(30)
    until(lambda: of(url, "one")[0].delivery_status is DeliveryStatus.DELIVERED)
    (message,) = sink.handed
    assert (message.key, message.payload, message.type) == (key, b'{"number":7}', "application/json")
    assert (message.run, message.step, message.order_by) == ("one", "order", None)
    text = told(url, "one")
    assert f"order emitted to orders, with the key {key}." in text
    assert f"{key} was delivered to orders." in text


def test_the_items_of_a_map_emit_each_for_itself(engine: weftrun.Engine, sink: e.Watched, url: str) -> None:
    """What is emitted has a record, whatever `checkpoint` says."""
    assert engine.start(e.orders.options(id="map"), 10).result(30) == list(range(10))
    wanted = {(f"maybe[0].{number}", n) for number in range(10) for n in range(number % 3)}
    until(lambda: len(sink.handed) == len(wanted))
    assert {(m.step, json.loads(m.payload)["n"]) for m in sink.handed} == wanted
    assert len({m.key for m in sink.handed}) == len(wanted)
    places = [emit.key for emit in of(url, "map")]
    assert [m.key for m in sink.handed] == places


def test_what_failed_attempts_emit_vanishes(engine: weftrun.Engine, sink: e.Watched, tmp_path: Path, url: str) -> None:
    assert engine.run(e.third_time, str(tmp_path / "tries")) == 3
    run = engine.start(e.orders.options(id="fails"), 14)
    with pytest.raises(ValueError, match="unlucky"):
        run.result(30)
    until(lambda: all(emit.delivery_status is DeliveryStatus.DELIVERED for emit in of(url, "fails")))
    assert b'{"attempt":3}' in sink.payloads
    assert not any(b'"attempt":1' in payload or b'"number":13' in payload for payload in sink.payloads)


def test_an_async_function_emits(engine: weftrun.Engine, sink: e.Watched) -> None:
    assert engine.run(e.in_async, 3) == 3
    until(lambda: sink.payloads == [b'{"number":3}'])


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (e.from_a_body, weftrun.UsageError, "Emit from a Function that it calls"),
        (e.too_large, weftrun.LimitExceeded, r"262,145 bytes .* emit_bytes_max is 262,144"),
        (e.too_many, weftrun.LimitExceeded, r"More than 256 calls .* emits_max"),
        (e.no_json, weftrun.NotSerializable, "emitted to 'orders' is no JSON"),
        (e.no_name, weftrun.UsageError, "sink='' .* 1 to 256 bytes of printable text"),
        (e.spread.options(durable=False), weftrun.UsageError, "was started with durable=False: it keeps no records"),
        (e.orders.options(durable=False), weftrun.UsageError, "was started with durable=False: it keeps no records"),
    ],
)
def test_what_can_not_be_emitted(
    engine: weftrun.Engine, sink: e.Watched, function: weftrun.Function[..., object], error: type, text: str
) -> None:
    with pytest.raises(error, match=text):
        engine.run(function, *([5] if function.spec.label in ("spread", "orders") else []))
    assert sink.handed == []


def test_what_is_emitted_after_its_attempt_is_told(engine: weftrun.Engine, sink: e.Watched) -> None:
    run = engine.start(e.late)
    run.result(30)
    engine.run(e.wait_a_moment)
    assert sink.handed == []


def test_a_sink_that_is_not_here_is_waited_for(url: str) -> None:
    """Nothing is lost, and the story says what is wrong."""
    here = e.Watched(math.inf)
    with weftrun.open(url, sandboxes=2, sinks={"mails": here}) as engine:
        engine.start(e.order.options(id="elsewhere"), 1).result(30)
    assert "no sink of that name (it has mails)" in told(url, "elsewhere")
    refused = pytest.raises(weftrun.UsageError, match=r"1 of the emits of Run elsewhere is not delivered")
    with contextlib.closing(open_reader(url)) as reader, refused:
        reader.delete("elsewhere", forget=False)
    there = e.Watched(math.inf)
    with weftrun.open(url, sinks={"orders": there}):
        until(lambda: there.payloads == [b'{"number":1}'])
    assert here.handed == []


def test_a_sink_that_fails_is_tried_again_and_holds_up_its_key_only(url: str) -> None:
    failed: list[str] = []

    def fate(message: SinkMessage) -> Result:
        if message.order_by == "key 1" and len(failed) < 3:
            failed.append(message.key)
            return Result(Answer.FAILED, "down")
        return Result(
            Answer.UNSENT if failed and message.order_by == "key 1" and message.key != failed[0] else Answer.DELIVERED
        )

    sink = e.Watched(60.0, fate)
    with weftrun.open(url, sandboxes=2, sinks={"orders": sink}) as engine:
        engine.start(e.spread.options(id="spread"), 9).result(30)
        until(lambda: len(failed) >= 1)
    left = [emit for emit in of(url, "spread") if emit.delivery_status is DeliveryStatus.WAITING]
    assert {emit.order_by for emit in left} <= {"key 1"}


def test_what_is_not_known_is_told_and_not_repeated(url: str) -> None:
    sink = e.Watched(0.0, lambda message: Result(Answer.UNSURE, "the line broke"))
    with weftrun.open(url, sandboxes=2, sinks={"orders": sink}) as engine:
        key = engine.start(e.order.options(id="unsure"), 1, "k").result(30)
        until(lambda: of(url, "unsure")[0].delivery_status is DeliveryStatus.UNKNOWN)
        engine.run(e.order, 2, "k")
        engine.run(e.order, 3)
        until(lambda: len(sink.handed) == 2)
        time.sleep(0.3)
    assert sink.payloads == [b'{"number":1}', b'{"number":3}'], "what is behind it waits"
    assert "may have been delivered to orders (the line broke): look there" in told(url, "unsure")
    good = e.Watched(0.0)
    assert decide_emit(url, key, send=True)
    with weftrun.open(url, sinks={"orders": good}):
        until(lambda: good.payloads == [b'{"number":1}', b'{"number":2}'])


@contextlib.contextmanager
def another(url: str, lines: Path, moment: str, ttl_s: float = 10.0) -> Iterator[subprocess.Popen[str]]:
    """Start an engine of another process that sends what it has emitted, and stops at a moment."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ENGINE, url, str(lines), moment, str(ttl_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_engine_that_is_frozen_past_its_lease_while_it_sends(url: str, tmp_path: Path) -> None:
    """Another one takes its sink over; when it wakes, it begins nothing more and notes nothing."""
    lines = tmp_path / "orders.jsonl"
    with another(url, lines, "frozen", 0.6) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "sending"
        freeze(process, url)
        with weftrun.open(url, sandboxes=2, sinks={"orders": sinks.File(lines)}, lease_ttl_s=0.6) as engine:
            assert len(engine.get("spread").result(60)) == 12
            until(lambda: [emit.delivery_status for emit in of(url, "spread")] == [DeliveryStatus.DELIVERED] * 12)
            process.send_signal(signal.SIGCONT)
            assert process.stdout.readline().strip() == "may not begin"
            engine.run(e.wait_a_moment)
    assert [emit.delivery_status for emit in of(url, "spread")] == [DeliveryStatus.DELIVERED] * 12
    assert len(lines.read_text().splitlines()) == 12


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_engine_that_is_killed_while_it_sends(url: str, tmp_path: Path, moment: str) -> None:
    """The next one sends what it did not note; the sink drops what it has already."""
    lines = tmp_path / "orders.jsonl"
    with another(url, lines, moment) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "sending"
        if moment == "after":
            until(lambda: lines.exists() and lines.stat().st_size > 0)
        process.send_signal(signal.SIGKILL)
    with weftrun.open(url, sandboxes=2, sinks={"orders": sinks.File(lines)}) as engine:
        keys = engine.get("spread").result(60)
        until(lambda: [emit.delivery_status for emit in of(url, "spread")] == [DeliveryStatus.DELIVERED] * 12)
    assert [emit.key for emit in sorted(of(url, "spread"), key=lambda emit: keys.index(emit.key))] == keys
    numbers = [json.loads(line)["number"] for line in lines.read_text().splitlines()]
    assert sorted(numbers) == list(range(12))


def test_a_sink_that_hangs_keeps_no_engine_from_closing(url: str) -> None:
    release = threading.Event()

    def hang(message: SinkMessage) -> Result:
        release.wait(60)
        return Result(Answer.DELIVERED)

    sink = e.Watched(math.inf, hang)
    with weftrun.open(url, sandboxes=1, sinks={"orders": sink}) as engine:
        engine.start(e.order.options(id="hangs"), 1).result(30)
        until(lambda: len(sink.handed) == 1)
        engine.close(drain_s=0.1)
    assert of(url, "hangs")[0].delivery_status is DeliveryStatus.WAITING
    release.set()


def test_a_unit_test_sees_what_is_emitted() -> None:
    with emitted() as seen:
        e.order(5, "k")
        assert [(emit.sink, emit.payload, emit.order_by) for emit in seen] == [("orders", b'{"number":5}', "k")]
        e.spread(2)
        assert [emit.payload for emit in seen[1:]] == [b'{"number":0}', b'{"number":1}']
        with pytest.raises(ValueError, match="unlucky"):
            e.orders(14)
        assert not any(b'"number":13' in emit.payload for emit in seen)
