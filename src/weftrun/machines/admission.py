"""Which starts a gateway lets in, of tenants with quotas: at once, in turn, or not at all.

Rates are token buckets. Whoever waits for room is let in by fair shares: next comes the tenant that has the least, for
its share, of what is in (max-min fairness, as weighted fair queueing has it); within a tenant the one that came first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from msgspec import Struct, field

from weftrun.model.quotas import FREE, Quota, QuotaRefused, QuotaUsed

_QUEUE_RETRY_S = 1.0


class _Tenant(Struct, eq=False):
    """What a tenant has in, and who waits of it, in order, each with its memory and when it came."""

    running: int = 0
    memory_bytes: int = 0
    waiting: deque[tuple[int, int, int]] = field(default_factory=deque)
    level: float | None = None
    at: float = 0.0


class Admission:
    """Decides on starts, each of which its caller gives a number.

    Args:
        quotas: by tenant.
        at_once: Runs of all tenants together that may be in; None for no bound.

    Attributes:
        refused: how many starts were refused, by kind.
    """

    def __init__(self, quotas: Mapping[str, Quota] | None = None, at_once: int | None = None) -> None:
        self._quotas = dict(quotas or {})
        self._at_once = at_once
        self._tenants: dict[str, _Tenant] = {}
        self._in: dict[int, tuple[str, int]] = {}
        self._waits: dict[int, str] = {}
        self._came = 0
        self.refused: dict[str, int] = {}

    @property
    def is_on(self) -> bool:
        """Whether any start could be refused or wait."""
        return self._at_once is not None or bool(self._quotas) or bool(self._waits)

    @property
    def waiting(self) -> int:
        """How many starts wait."""
        return len(self._waits)

    @property
    def running(self) -> int:
        """How many Runs are in."""
        return len(self._in)

    @property
    def at_once(self) -> int | None:
        """Runs of all tenants together that may be in; None for no bound."""
        return self._at_once

    def tenants(self) -> set[str]:
        """Return the tenants that have something in, or wait."""
        return {name for name, tenant in self._tenants.items() if tenant.running or tenant.waiting}

    def used(self, tenant: str) -> QuotaUsed:
        """Return what a tenant takes now."""
        state = self._tenants.get(tenant)
        return QuotaUsed() if state is None else QuotaUsed(state.running, state.memory_bytes, len(state.waiting))

    def change(self, quotas: Mapping[str, Quota]) -> list[int]:
        """Take other quotas; return the starts that are let in now."""
        if quotas == self._quotas:
            return []
        self._quotas = dict(quotas)
        for tenant in self._tenants.values():
            tenant.level = None
        return self._fill()

    def ask(self, number: int, tenant: str, memory_bytes: int, now: float) -> QuotaRefused | bool:
        """Ask for a start: True where it is let in at once, False where it waits.

        Args:
            memory_bytes: what the Run counts with.
            now: in seconds; only differences count.
        """
        quota = self._quotas.get(tenant, FREE)
        state = self._tenants.setdefault(tenant, _Tenant())
        refused = self._refusal(tenant, state, quota, memory_bytes, now)
        if refused is not None:
            self.refused[refused.kind] = self.refused.get(refused.kind, 0) + 1
            self._forget(tenant, quota)
            return refused
        if state.level is not None:
            state.level -= 1
        self._came += 1
        state.waiting.append((number, memory_bytes, self._came))
        self._waits[number] = tenant
        return number in self._fill()

    def _refusal(self, tenant: str, state: _Tenant, quota: Quota, memory_bytes: int, now: float) -> QuotaRefused | None:
        whose = f"The tenant {tenant!r}" if tenant else "Whoever has no tenant"
        if quota.memory_bytes is not None and memory_bytes > quota.memory_bytes:
            return QuotaRefused(
                "memory",
                f"{whose} may have {quota.memory_bytes:,} bytes of memory in Runs, and this one counts with "
                f"{memory_bytes:,}: lower its memory_bytes_max, or have the quota raised.",
                0.0,
            )
        short_s = _refill(state, quota, now)
        if short_s > 0:
            return QuotaRefused(
                "rate",
                f"{whose} may start {quota.rate:g} Runs a second, and has started more: ask again later.",
                short_s,
            )
        would_wait = bool(state.waiting) or not self._fits(state, quota, memory_bytes)
        if would_wait and len(state.waiting) >= quota.queue:
            what = f"{len(state.waiting)} starts of it wait already" if quota.queue else "none of its starts may wait"
            return QuotaRefused("queue", f"{whose} has no room for one more Run, and {what}.", _QUEUE_RETRY_S)
        return None

    def _fits(self, state: _Tenant, quota: Quota, memory_bytes: int) -> bool:
        return (
            (self._at_once is None or len(self._in) < self._at_once)
            and (quota.runs_at_once is None or state.running < quota.runs_at_once)
            and (quota.memory_bytes is None or state.memory_bytes + memory_bytes <= quota.memory_bytes)
        )

    def end(self, number: int) -> list[int]:
        """A Run has ended, or whoever waits has gone; return the starts that are let in now. Idempotent."""
        tenant = self._waits.pop(number, None)
        if tenant is not None:
            state = self._tenants[tenant]
            state.waiting = deque(entry for entry in state.waiting if entry[0] != number)
        elif number in self._in:
            tenant, memory_bytes = self._in.pop(number)
            state = self._tenants[tenant]
            state.running -= 1
            state.memory_bytes -= memory_bytes
        else:
            return []
        let_in = self._fill()
        self._forget(tenant, self._quotas.get(tenant, FREE))
        return let_in

    def _forget(self, tenant: str, quota: Quota) -> None:
        state = self._tenants[tenant]
        if not state.running and not state.waiting and quota.rate is None:
            del self._tenants[tenant]

    def _fill(self) -> list[int]:
        """Let in whom there is room for, the tenant with the least for its share first."""
        let_in: list[int] = []
        while self._at_once is None or len(self._in) < self._at_once:
            best: tuple[float, int, str] | None = None
            for tenant in dict.fromkeys(self._waits.values()):
                state, quota = self._tenants[tenant], self._quotas.get(tenant, FREE)
                _, memory_bytes, came = state.waiting[0]
                if self._fits(state, quota, memory_bytes):
                    rank = ((state.running + 1) / quota.share, came, tenant)
                    best = rank if best is None or rank < best else best
            if best is None:
                break
            state = self._tenants[best[2]]
            number, memory_bytes, _ = state.waiting.popleft()
            del self._waits[number]
            self._in[number] = best[2], memory_bytes
            state.running += 1
            state.memory_bytes += memory_bytes
            let_in.append(number)
        return let_in


def _refill(state: _Tenant, quota: Quota, now: float) -> float:
    """Fill a tenant's bucket up to now; return how long it must wait for one more, in seconds."""
    if quota.rate is None:
        state.level = None
        return 0.0
    burst = float(quota.burst if quota.burst is not None else max(1.0, quota.rate))
    filled = burst if state.level is None else state.level + max(0.0, now - state.at) * quota.rate
    state.level, state.at = min(burst, filled), now
    return max(0.0, (1 - state.level) / quota.rate)
