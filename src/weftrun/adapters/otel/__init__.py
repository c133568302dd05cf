"""Spans to OpenTelemetry (the port `Spans`). It needs the extra `otel`."""

from weftrun.adapters.otel.spans import OtelSpans

__all__ = ["OtelSpans"]
