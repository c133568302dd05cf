"""Sandboxes that wait, in an engine: kept before anything is called, ended for memory, and told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.engine import warmed
from tests.waiting import until

import weftrun
from weftrun.assembly.warming import checked_count
from weftrun.entrypoints.cli import main


@pytest.mark.sweep
def test_a_call_finds_the_sandbox_that_is_kept_and_others_see_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/j.db"
    with weftrun.open(url, sandboxes=2, warm=weftrun.Warm(bytes_max=1 << 40)) as engine:
        core: Any = engine._core
        engine.keep_warm(warmed.where, 2)
        engine.keep_warm(warmed.both)
        until(lambda: core.warm.waiting == 3)
        until(lambda: core.warm.held_bytes > 0)
        assert engine.run(warmed.where) != engine.run(warmed.apart)
        assert (core.batches.warm_starts, core.batches.cold_starts) == (1, 1)
        core.flush_trace()
        assert main(["top", "--once", "--db", url]) == 0
        assert "made ahead: 3 kept" in capsys.readouterr().out
        assert main(["top", "--json", "--db", url]) == 0
        assert json.loads(capsys.readouterr().out)["warm"].popitem()[1]["bytes_max"] == 1 << 40
        main(["doctor", "--db", url])
        assert "of 1.0 TiB" in capsys.readouterr().out.replace("\n", " ")
        engine.keep_warm(warmed.where, 0)


@pytest.mark.sweep
def test_without_memory_for_them_no_sandbox_waits(tmp_path: Path) -> None:
    with weftrun.open(f"sqlite:///{tmp_path}/j.db", sandboxes=1, warm=weftrun.Warm(bytes_max=0)) as engine:
        core: Any = engine._core
        first = engine.run(warmed.where)
        until(lambda: core.warm.waiting == 0 and core.warm.busy == 0 and core.warm.ended == {"memory": 1})
        assert engine.run(warmed.where) != first
        assert dict(core.batches.cold_whys) == {"first": 1, "memory": 1}


def test_with_memory_for_them_other_code_takes_no_sandbox_away(tmp_path: Path) -> None:
    with weftrun.open(f"sqlite:///{tmp_path}/j.db", sandboxes=1, warm=weftrun.Warm(bytes_max=1 << 40)) as engine:
        first = engine.run(warmed.both)
        assert engine.run(warmed.both) == first
        assert dict(engine._core.batches.cold_whys) == {"first": 2}  # type: ignore[attr-defined]


def test_what_can_not_be_is_refused(tmp_path: Path) -> None:
    for warm, told in (
        (weftrun.Warm(bytes_max="1GB"), "Warm(bytes_max='1GB'): it takes a whole number of bytes"),  # type: ignore[arg-type]
        (weftrun.Warm(bytes_max=-1), "it takes a whole number of bytes from 0, or None"),
        (weftrun.Warm(ahead="yes"), "Warm(ahead='yes', is_measured=False): they take True or False"),  # type: ignore[arg-type]
        (weftrun.Warm(keep_alive_s=0), "Warm(keep_alive_s=0): it takes 0.1 to 1,000,000 seconds"),
        (weftrun.Warm(keep_alive_s=float("nan")), "Warm(keep_alive_s=nan)"),
        ({"bytes_max": 1}, "warm={'bytes_max': 1} is not known: it takes a weftrun.Warm(...)"),
    ):
        with pytest.raises(weftrun.UsageError) as raised:
            weftrun.open(f"sqlite:///{tmp_path}/j.db", warm=warm)  # type: ignore[arg-type]
        assert told in str(raised.value)
    with pytest.raises(weftrun.UsageError, match="is not a number of Sandboxes to keep warm"):
        checked_count(1.5)
    engine = weftrun.Engine(None)  # type: ignore[arg-type]
    with pytest.raises(weftrun.UsageError, match="is not a Function"):
        engine.keep_warm(print)  # type: ignore[arg-type]
