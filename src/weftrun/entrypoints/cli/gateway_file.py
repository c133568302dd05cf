"""The file of a gateway, for commands that make tokens and quotas or look at them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weftrun.adapters.sqlite.gateway import GatewayFile
from weftrun.assembly import place_of


@contextmanager
def gateway_file(db: str | None, *, makes: bool) -> Iterator[GatewayFile | None]:
    """Open what a gateway keeps beside a Journal, for as long as the block lasts; None where there is nothing.

    Args:
        makes: whether it is made where it is not there: looking makes nothing.

    Raises:
        UsageError: the folder of the Journal is not there.
    """
    place = place_of(db)
    path = place.folder / "gateway.db"
    if not makes and not path.exists():
        yield None
        return
    place.check_folder()
    place.folder.mkdir(parents=True, exist_ok=True)
    file = GatewayFile(path)
    try:
        yield file
    finally:
        file.close()
