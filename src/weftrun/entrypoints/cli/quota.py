"""`weftrun quota`."""

from __future__ import annotations

import click
from msgspec.structs import asdict, replace

from weftrun.adapters.sqlite.gateway import Audited
from weftrun.adapters.system.clock import WallClock
from weftrun.entrypoints.cli.gateway_file import gateway_file
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.entrypoints.cli.token import check_tenant
from weftrun.model.errors import UsageError
from weftrun.model.quotas import FREE, Quota
from weftrun.model.telling import did_you_mean
from weftrun.views.units import size

_COLUMNS = (
    Column("tenant"), Column("runs at once"), Column("memory"), Column("queue"), Column("starts/s"), Column("burst"),
    Column("share"),
)  # fmt: skip


@click.command("quota")
@click.argument("tenant", metavar="[TENANT]", required=False)
@journal_options
@click.option("--runs-at-once", type=click.IntRange(1), help="Runs of it that may be open.")
@click.option(
    "--memory-bytes", type=click.IntRange(1), help="Sum of their Functions' memory_bytes_max (64 MiB if unsaid)."
)
@click.option("--queue", type=click.IntRange(0), help="Starts that may wait for room; default: 100.")
@click.option("--rate", type=click.FloatRange(0.001), help="Starts a second.")
@click.option("--burst", type=click.IntRange(1), help="Starts at once under --rate; default: those of a second.")
@click.option("--share", type=click.FloatRange(0.001), help="Of what all tenants want; default: 1.")
@click.option("--remove", is_flag=True, help="Let it take as much as there is.")
def command(
    tenant: str | None,
    db: str | None,
    as_json: bool,
    runs_at_once: int | None,
    memory_bytes: int | None,
    queue: int | None,
    rate: float | None,
    burst: int | None,
    share: float | None,
    remove: bool,
) -> None:
    """Say how much of a gateway on a Journal a TENANT may take; without TENANT, list what was said.

    What is not said here stays as it was. A gateway that runs sees it with the next start.
    """
    asked = {
        "runs_at_once": runs_at_once, "memory_bytes": memory_bytes, "queue": queue, "rate": rate, "burst": burst,
        "share": share,
    }  # fmt: skip
    said = {name: value for name, value in asked.items() if value is not None}
    if tenant is None and (said or remove):
        raise UsageError("Whose quota is it? Name the tenant: `weftrun quota TENANT --rate 10`.")
    if remove and said:
        raise UsageError("--remove takes away all that was said: give no number beside it.")
    check_tenant(tenant or "")
    with gateway_file(db, makes=bool(said)) as file:
        if tenant is not None and remove and (file is None or not file.drop_quota(tenant)):
            hint = did_you_mean(tenant, file.quotas() if file is not None else ())
            raise UsageError(f"There is no quota of the tenant {tenant!r}: `weftrun quota` lists them.{hint}")
        if file is not None and tenant is not None and said:
            file.put_quota(tenant, replace(file.quotas().get(tenant, FREE), **said))
        if file is not None and tenant is not None and (said or remove):
            told = ", ".join(f"{name}={value:g}" for name, value in said.items()) or "removed"
            file.put_audit([Audited(WallClock().now(), tenant, "", "quota set", told, 0)])
        _show(file.quotas() if file is not None else {}, tenant, as_json=as_json)


def _show(quotas: dict[str, Quota], tenant: str | None, *, as_json: bool) -> None:
    shown = {name: quota for name, quota in quotas.items() if tenant in (None, name)}
    if as_json:
        print_json([{"tenant": name, **asdict(quota)} for name, quota in shown.items()])
    elif not shown and tenant is not None:
        print(f"The tenant {tenant} may take as much as there is.")
    else:
        print_table(_COLUMNS, [_row(name, quota) for name, quota in shown.items()])


def _row(tenant: str, quota: Quota) -> tuple[str, ...]:
    memory = size(quota.memory_bytes) if quota.memory_bytes is not None else ""
    numbers = (quota.runs_at_once, memory, quota.queue, quota.rate, quota.burst, f"{quota.share:g}")
    return (tenant, *("" if number is None else str(number) for number in numbers))
