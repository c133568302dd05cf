"""`/metrics`, as Prometheus reads it: what was asked, how long it took, and how the engine stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from litestar import Response, get
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Send
from litestar.types import Scope as AsgiScope
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import Refusal, problems
from weftrun.model.warm import WarmCounts

_CLIENTS = ("made", "used", "failed", "evicted", "closed")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """What is counted of one app.

    Attributes:
        registry: of all.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "weftrun_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "weftrun_http_request_seconds",
            "From a request to the last byte of its answer, waiting for a Run included.",
            ("method", "route"),
            registry=self.registry,
            buckets=_SECONDS,
        )

    def watch(self, gateway: Gateway) -> None:
        """Tell of a gateway's engine, too."""
        self.registry.register(_EngineCollector(gateway))

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Return an ASGI app that counts what another one answers."""

        async def counted(scope: AsgiScope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            gateway: Gateway = scope["litestar_app"].state.gateway
            began, status = gateway.loop.time(), "aborted"

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, noting)
            except Refusal as refused:  # of another middleware: what is answered goes not through here
                status = str(refused.problem.status)
                raise
            finally:
                route = str(cast(dict[str, Any], scope).get("path_template") or "none")
                method = str(scope["method"])
                self._requests.labels(method, route, status).inc()
                self._seconds.labels(method, route).observe(gateway.loop.time() - began)

        return counted


class _EngineCollector(Collector):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield how the engine stands now."""
        gateway = self._gateway
        yield GaugeMetricFamily("weftrun_runs_open", "Open Runs that this engine has.", gateway.core.owned())
        yield CounterMetricFamily(
            "weftrun_commits", "Transactions that this engine has committed.", gateway.core.commits
        )
        batches = gateway.core.batches
        yield CounterMetricFamily("weftrun_batches", "Batches that were given to Sandboxes.", batches.batches)
        yield CounterMetricFamily("weftrun_attempts", "Bodies in these Batches.", batches.attempts)
        cold = CounterMetricFamily(
            "weftrun_cold_starts",
            "Sandboxes that were made for what waited, by why: first of its code, all others busy, or the last one "
            "ended idle, for want of room, for memory, or lost.",
            labels=("why",),
        )
        for why, count in batches.cold_whys:
            cold.add_metric((why,), count)
        yield cold
        clients = CounterMetricFamily(
            "weftrun_shared_clients", "What weftrun.shared did in Sandboxes.", labels=("what",)
        )
        for what, count in zip(_CLIENTS, batches.clients, strict=True):
            clients.add_metric((what,), count)
        yield clients
        yield from _warm(gateway.core.warm, batches.warm_starts)
        yield CounterMetricFamily(
            "weftrun_cold_start_seconds", "How long these took to be made, in all.", batches.cold_start_s
        )
        yield CounterMetricFamily("weftrun_runs_started", "Runs that were started or joined here.", gateway.starts)
        admission = gateway.admitting.admission
        yield GaugeMetricFamily("weftrun_starts_waiting", "Starts that wait for room.", admission.waiting)
        refused = CounterMetricFamily("weftrun_starts_refused", "Starts beyond a quota.", labels=("quota",))
        for kind, count in sorted(admission.refused.items()):
            refused.add_metric((kind,), count)
        yield refused
        yield GaugeMetricFamily("weftrun_streams_open", "Streams of events that are open.", gateway.streams)
        yield GaugeMetricFamily("weftrun_apps", "Apps that are served.", len(gateway.apps))


def _warm(counts: WarmCounts | None, warm_starts: int) -> Iterator[Metric]:
    """Yield what there is to tell of Sandboxes that wait for work."""
    yield CounterMetricFamily(
        "weftrun_warm_starts", "Sandboxes that were there before what they got first waited for one.", warm_starts
    )
    if counts is None:
        return
    boxes = GaugeMetricFamily("weftrun_sandboxes", "Sandboxes, by whether they wait for work.", labels=("state",))
    boxes.add_metric(("waiting",), counts.waiting)
    boxes.add_metric(("busy",), counts.busy)
    yield boxes
    yield GaugeMetricFamily(
        "weftrun_warm_bytes", "What would be free if those that wait were ended.", counts.held_bytes
    )
    if counts.bytes_max is not None:
        yield GaugeMetricFamily("weftrun_warm_bytes_max", "What these may hold.", counts.bytes_max)
    ended = CounterMetricFamily(
        "weftrun_sandboxes_ended",
        "Sandboxes that were ended while they waited, by why: idle for long, for memory, to make room.",
        labels=("why",),
    )
    made = CounterMetricFamily(
        "weftrun_sandboxes_made_ahead", "Sandboxes that were made though nothing waited for them, by why.",
        labels=("why",),
    )  # fmt: skip
    for family, by_why in ((ended, counts.ended), (made, counts.made)):
        for why, count in by_why.items():
            family.add_metric((why,), count)
        yield family


@get("/metrics", summary="Tell Prometheus", responses=problems(403), media_type="text/plain")
async def show_metrics(gateway: GatewayHere, caller: CallerHere) -> Response[bytes]:
    """Return all that is counted; they are the whole server's, and so for no tenant."""
    if caller.tenant:
        raise Refusal(403, "not-a-tenants", "Metrics are the whole server's: a token without a tenant may see them.")
    return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)


ROUTES: list[Any] = [show_metrics]
"""All of this module, under `/`."""
