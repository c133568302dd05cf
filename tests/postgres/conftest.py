"""Without the driver nothing here can even be imported: then one test says so, and the others are passed by."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("psycopg") is None:
    collect_ignore_glob = ["test_[!d]*.py"]
else:
    from tests.postgres.fixtures import emptied, opened, reopening, server, url

    __all__ = ["emptied", "opened", "reopening", "server", "url"]
