"""Whether the swarm finds what is planted, in worlds of a kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftrun.testing.sim.swarm import play_seed

_SEEDS = 400


def assert_found(text: str, folder: Path, **kind: bool) -> None:
    """Play seeds, half of them with several Workers, until a finding has this text; fail if none has."""
    texts: set[str] = set()
    for seed in range(_SEEDS):
        _, broken = play_seed(seed, folder, workers=seed % 2 == 1, **kind)
        texts.update(broken.findings if broken is not None else ())
        if any(text in found for found in texts):
            return
    pytest.fail(f"nothing says {text!r}: {sorted(texts)[:10]}")
