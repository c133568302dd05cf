"""Modules in files, and a storage role for each file of tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weftrun.adapters.wasm.host import linked
from weftrun.adapters.wasm.runner import load
from weftrun.entrypoints.http.roles import StorageRole

Kept = Callable[[bytes], str]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled modules go where no other run of the tests sees them; the compiler's own libraries are built once."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZIG_GLOBAL_CACHE_DIR", os.environ.get("ZIG_GLOBAL_CACHE_DIR", f"{caches}/zig"))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Modules of a file of tests, and what they hold open, are gone after it."""
    yield
    linked.cache_clear()
    load.cache_clear()
    gc.collect()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Return what writes a module into a file and returns its path."""

    def keep(content: bytes) -> str:
        path = tmp_path / "module.wasm"
        path.write_bytes(content)
        return str(path)

    return keep


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageRole]:
    """A storage role, as a process."""
    role = StorageRole(tmp_path_factory.mktemp("storage"), "127.0.0.1", 0)
    yield role
    role.close()
