"""Spans of Runs and Attempts, handed to OpenTelemetry's SDK with the ids that they have already.

After the OpenTelemetry specification 1.x: the SDK's environment variables choose the exporter, the sampler and what the
service is called. Batches are exported by a thread of the SDK.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags

from weftrun.model.spans import SpanEnded, traceparent_of


class _GivenIds(IdGenerator):
    """Gives the ids of the span that is made next."""

    def __init__(self) -> None:
        self.trace = 0
        self.span = 0

    def generate_trace_id(self) -> int:
        """Return the trace id of a span without a parent."""
        return self.trace

    def generate_span_id(self) -> int:
        """Return the id of the span."""
        return self.span


class OtelSpans:
    """Makes spans of the SDK of those that are over.

    Args:
        exporter: `console`, `otlp` (over HTTP, as the SDK's environment variables say), or an exporter of the SDK.
    """

    def __init__(self, exporter: str | SpanExporter) -> None:
        self._ids = _GivenIds()
        service = Resource({SERVICE_NAME: "weftrun"})
        named = Resource.create()
        if str(named.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            named = named.merge(service)
        self._provider = TracerProvider(id_generator=self._ids, resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
        self._tracer = self._provider.get_tracer("weftrun")
        self._is_closed = False

    def ended(self, spans: Sequence[SpanEnded]) -> None:
        """Take these."""
        for told in spans:
            self._ids.trace, self._ids.span = int(told.trace, 16), int(told.span, 16)
            context = None
            if told.parent:
                parent = SpanContext(
                    int(told.trace, 16),
                    int(told.parent, 16),
                    is_remote=True,
                    trace_flags=TraceFlags(TraceFlags.SAMPLED),
                )
                context = trace.set_span_in_context(NonRecordingSpan(parent))
            span = self._tracer.start_span(
                told.name,
                context if context is not None else trace.set_span_in_context(trace.INVALID_SPAN),
                start_time=int(told.began_at * 1e9),
                attributes=dict(told.facts),
            )
            if told.error:
                span.set_status(StatusCode.ERROR, told.error)
            span.end(int(max(told.ended_at, told.began_at) * 1e9))

    def here(self) -> str:
        """Return the `traceparent` of what runs in the calling thread, by OpenTelemetry's context."""
        found = trace.get_current_span().get_span_context()
        return traceparent_of(f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else ""

    def close(self) -> None:
        """Export what was taken."""
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(
                Exception
            ):  # an exporter is somebody else's code, and the engine ends all the same
                self._provider.shutdown()


def _exporter(exporter: str | SpanExporter) -> SpanExporter:
    if exporter == "console":
        return ConsoleSpanExporter(formatter=_line)
    if exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # late: it is slow to load
            OTLPSpanExporter,
        )

        return OTLPSpanExporter()
    assert isinstance(exporter, SpanExporter)
    return exporter


def _line(span: Any) -> str:
    """Return a span as one line of JSON."""
    told: str = span.to_json(indent=None)
    return told + "\n"
