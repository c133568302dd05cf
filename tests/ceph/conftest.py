"""Without Ceph's `rados` nothing here can be imported; `make test-ceph` runs these, or says what is missing."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("rados") is None:
    collect_ignore_glob = ["test_*.py"]
