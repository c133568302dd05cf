"""On PostgreSQL too the kernel tells that an engine of the same host has come, so that its death is seen at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.engine.conftest import until
from tests.engine.test_many_engines import Process, entries
from tests.postgres.server import Server
from tests.postgres.test_hints import TTL_S, journal, let_listen, nobody_looks, opened, status

__all__ = ["journal", "nobody_looks"]


@pytest.mark.usefixtures("nobody_looks")
def test_an_engine_of_this_host_is_seen_when_it_comes_so_that_its_death_is(
    journal: str, server: Server, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    with opened(journal) as other:
        let_listen(other, server)
        killed = Process(journal, TTL_S, "one", 20, 0.01, ledger)
        try:
            until(lambda: len(entries(ledger)) > 0)
            killed.signal(signal.SIGKILL)
            until(lambda: status(journal, "one") == "succeeded")
        finally:
            killed.close()
