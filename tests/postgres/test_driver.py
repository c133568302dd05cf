"""Whether the other tests of this folder can be run."""

from __future__ import annotations

import pytest


def test_the_driver_is_there() -> None:
    pytest.importorskip("psycopg", reason="no PostgreSQL: the extra `postgres` (psycopg) is not installed")
