"""What routes are given: name a parameter `gateway: GatewayHere`, or `caller: CallerHere`."""

from __future__ import annotations

from litestar.di import NamedDependency

from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.gateway import Gateway

GatewayHere = NamedDependency[Gateway]
"""The gateway that is asked."""
CallerHere = NamedDependency[Caller]
"""Who asks."""
