"""Whether spans are exported, and where to: what `weftrun.open` is told, or OpenTelemetry's own variables."""

from __future__ import annotations

import importlib
import logging
import os
from typing import Any

from weftrun.model.errors import Unsupported, UsageError
from weftrun.ports.spans import Spans

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def spans_of(telemetry: Any) -> Spans | None:
    """Return where spans go; None for nowhere.

    Args:
        telemetry: `none`, `console`, `otlp`, or an exporter of OpenTelemetry's SDK; None asks the environment.

    Raises:
        UsageError: it is none of these.
        Unsupported: the extra `otel` is not installed, and it was asked for here.
    """
    if telemetry is None:
        return _by_environment()
    if isinstance(telemetry, str):
        if telemetry not in ("none", "console", "otlp"):
            raise UsageError(
                f"telemetry={telemetry!r} is not known: it takes 'none', 'console', 'otlp', or an exporter of spans."
            )
        return _made(telemetry) if telemetry != "none" else None
    if not callable(getattr(telemetry, "export", None)):
        raise UsageError(f"telemetry={telemetry!r} is no exporter of spans: it has no method `export`.")
    return _made(telemetry)


def _by_environment() -> Spans | None:
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    asked = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if not asked and any(os.environ.get(name) for name in _ENDPOINTS):
        asked = "otlp"
    if asked in ("", "none"):
        return None
    log = logging.getLogger("weftrun")
    if asked not in ("console", "otlp"):
        log.warning(
            "OTEL_TRACES_EXPORTER=%s is not known here: it takes none, console or otlp. No spans are sent.", asked
        )
        return None
    try:
        return _made(asked)
    except Unsupported as error:
        log.warning("%s No spans are sent.", error)
        return None


def _made(exporter: Any) -> Spans:
    try:
        made: Spans = importlib.import_module("weftrun.adapters.otel").OtelSpans(exporter)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("weftrun"):
            raise
        raise Unsupported(
            f"Telemetry needs the extra `otel` ({error.name} is missing): pip install 'weftrun[otel]'."
        ) from None
    return made
