"""Spans of Runs and Attempts: their tree, their contexts in and out, and that nothing is traced unless asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk")
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags
from tests.http.serving import serving
from tests.otel import traced

import weftrun
from weftrun.assembly.telemetry import spans_of
from weftrun.model.ids import RunUid, StepId
from weftrun.model.spans import parent_of, span_of_attempt, span_of_run, trace_of, traceparent_of

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def engine(exporter: InMemorySpanExporter, tmp_path: Path) -> Iterator[weftrun.Engine]:
    with weftrun.open(f"sqlite:///{tmp_path}/j.db", sandboxes=2, telemetry=exporter) as opened:
        yield opened


def spans(engine: weftrun.Engine, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    engine.close()
    return list(exporter.get_finished_spans())


def context(span: ReadableSpan) -> str:
    found = span.get_span_context()
    assert found is not None
    return traceparent_of(f"{found.trace_id:032x}", f"{found.span_id:016x}")


def test_a_run_is_a_tree_and_its_bodies_know_their_spans(
    engine: weftrun.Engine, exporter: InMemorySpanExporter
) -> None:
    run = engine.start(traced.all_of_them.options(id="tree"))
    of_body, of_told, of_second, of_shared = run.result(60)
    found = spans(engine, exporter)
    of_run = next(span for span in found if "weftrun.status" in (span.attributes or {}))
    assert of_run.parent is None and of_run.name == "all_of_them"
    assert all(
        span.parent is not None and f"{span.parent.span_id:016x}" in context(of_run)
        for span in found
        if span is not of_run
    )
    by_context = {context(span): span for span in found}
    assert len(by_context) == len(found) == 6
    assert [by_context[one].name for one in (of_body, of_told, of_second, of_shared)] == [
        *("all_of_them", "told", "second", "shared")
    ]
    attempts = sorted(
        (span.attributes["weftrun.attempt"], span.status.status_code, span.status.description)
        for span in found
        if span.attributes and span.name == "second"
    )
    assert attempts == [(1, StatusCode.ERROR, "ValueError: not yet"), (2, StatusCode.UNSET, None)]
    for span in found:
        assert span.start_time and span.end_time and of_run.start_time and of_run.end_time
        assert of_run.start_time <= span.start_time <= span.end_time <= of_run.end_time
        assert span.attributes and span.attributes["weftrun.run"] == "tree"


def test_items_of_a_map_are_told_together(engine: weftrun.Engine, exporter: InMemorySpanExporter) -> None:
    contexts = set(engine.run(traced.mapped, list(range(20))))
    found = spans(engine, exporter)
    items = [
        span.attributes["weftrun.items"] for span in found if span.attributes and "weftrun.items" in span.attributes
    ]
    assert sum(count for count in items if isinstance(count, int)) == 20
    of_run = next(span for span in found if "weftrun.status" in (span.attributes or {}))
    assert contexts == {context(of_run)}


def test_a_run_goes_on_with_the_trace_of_its_caller(engine: weftrun.Engine, exporter: InMemorySpanExporter) -> None:
    there = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(there)):
        said = engine.run(traced.told, 1)
    found = spans(engine, exporter)
    assert said.startswith(f"00-{0xABC:032x}-") and said in {context(span) for span in found}
    of_run = next(span for span in found if "weftrun.status" in (span.attributes or {}))
    assert of_run.parent is not None and of_run.parent.span_id == 0xDEF


def test_a_context_comes_in_over_http(tmp_path: Path) -> None:
    with serving(tmp_path, Path(traced.__file__), OTEL_TRACES_EXPORTER="none") as server:
        body = {"function": "told", "args": [1], "wait_s": 30}
        assert server.http.post("/runs", json=body, headers={"traceparent": CALLER}).json()["result"] == CALLER
        assert server.http.post("/runs", json=body, headers={"traceparent": "00-0-0"}).json()["result"] == ""


def test_nothing_is_traced_unless_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert spans_of(None) is None and spans_of("none") is None
    with weftrun.open(f"sqlite:///{tmp_path}/j.db", sandboxes=1) as engine:
        assert engine.run(traced.told, 1) == ""
    with pytest.raises(weftrun.UsageError, match="telemetry='jaeger' is not known"):
        weftrun.open(f"sqlite:///{tmp_path}/j.db", telemetry="jaeger")  # type: ignore[arg-type]
    with pytest.raises(weftrun.UsageError, match="is no exporter of spans"):
        weftrun.open(f"sqlite:///{tmp_path}/j.db", telemetry=1)  # type: ignore[arg-type]
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert spans_of(None) is None
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    asked = spans_of(None)
    assert asked is not None
    asked.close()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jaeger")
    assert spans_of(None) is None


def test_a_program_that_does_not_trace_loads_nothing_of_it(tmp_path: Path) -> None:
    code = (
        f"import sys, weftrun; weftrun.open('sqlite:///{tmp_path}/j.db', sandboxes=1).close(); "
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": "/usr/bin"}, timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", CALLER[:-1], CALLER + "-more", CALLER.replace("00-4", "ff-4")),
        *(CALLER.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), CALLER.replace("00f067aa0ba902b7", "0" * 16)),
    ],
)
def test_what_is_no_context_is_passed_by(text: str) -> None:
    assert parent_of(text) is None
    assert trace_of(RunUid("a" * 32), text) == "a" * 32


def test_contexts_are_read_as_w3c_has_them() -> None:
    assert parent_of(CALLER) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert parent_of(CALLER.replace("00-4", "01-4") + "-more") is not None
    uid, step = RunUid("a" * 32), StepId("f")
    ids = {span_of_run(uid), span_of_attempt(uid, step, 1), span_of_attempt(uid, step, 2)}
    assert len(ids) == 3 and all(len(one) == 16 for one in ids)
