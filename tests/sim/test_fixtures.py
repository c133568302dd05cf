"""The public fixtures: a real engine, and a check of its records at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = 'pytest_plugins = ["weftrun.testing.fixtures"]'
PROGRAM = """
import weftrun

@weftrun.function(effects="none")
def double(x: int) -> int:
    return 2 * x

@weftrun.workflow
def twice(x: int) -> int:
    return double(double(x))
"""
TEST = """
from program import twice

def test_runs(weftrun_engine, weftrun_url):
    assert weftrun_engine.run(twice, 3) == 12
    assert weftrun_url.endswith("journal.db")
"""


def test_a_workflow_is_tested_on_a_real_engine(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(program=PROGRAM, test_it=TEST)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    result = pytester.runpytest_subprocess(*(f"-pno:{plugin}" for plugin in ("cacheprovider", "faker", "schemathesis")))
    result.assert_outcomes(passed=1)
