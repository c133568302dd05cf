"""Runs workflows of other systems in an engine that a file of tests shares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import weftrun
from weftrun.fronts.faasflow.opening import read_plan, start
from weftrun.fronts.faasflow.plan import Missing


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder; return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def ran(engine: weftrun.Engine, file: Path, missing: Missing = "error", **inputs: object) -> Mapping[str, Any]:
    """Run a file and return its result."""
    plan, _ = read_plan(file, missing)
    function, args = start(plan, inputs)
    result: Mapping[str, Any] = engine.start(function, *args).result(timeout_s=60)
    return result
