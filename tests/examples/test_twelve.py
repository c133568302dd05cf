"""The applications of FaaSFlow and DataFlower: each file and its twin in Python give the same."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import weftrun
from weftrun.entrypoints.cli.target import load
from weftrun.fronts.faasflow.opening import read_plan, start

FOLDER = Path(__file__).parents[2] / "examples/faasflow"
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg: apt install ffmpeg")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    """One engine for all; loading a file puts its folder into the path."""
    path, modules = list(sys.path), set(sys.modules)
    with weftrun.open(f"sqlite:///{tmp_path_factory.mktemp('twelve')}/journal.db", sandboxes=2) as engine:
        yield engine
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def of_file(engine: weftrun.Engine, file: str, **inputs: object) -> Any:
    """Run a workflow's file and return its result."""
    plan, warnings = read_plan(FOLDER / file)
    assert warnings == []
    function, args = start(plan, inputs)
    return engine.start(function, *args).result(timeout_s=100)


def of_python(engine: weftrun.Engine, target: str, *args: object, **kwargs: object) -> Any:
    """Run a twin in Python and return its result."""
    function = load(str(FOLDER / target))
    return engine.start(function, *args, **kwargs).result(timeout_s=100)


@pytest.mark.parametrize(
    "file",
    [file.relative_to(FOLDER) for kind in ("flat_workflow", "workflow_info") for file in FOLDER.glob(f"*/{kind}.yaml")],
)
def test_a_file_is_read_without_a_warning(file: Path) -> None:
    plan, warnings = read_plan(FOLDER / file)
    assert (warnings, plan.optional) == ([], ())


def test_word_count(engine: weftrun.Engine) -> None:
    counted = of_file(engine, "wordcount/flat_workflow.yaml")
    assert counted["words"] > 1_000 and "self" in counted["most"]
    assert of_python(engine, "wordcount/wordcount.py:wordcount") == counted
    assert of_file(engine, "wordcount/workflow_info.yaml", start=1) == {"res": counted["words"]}


def test_file_processing(engine: weftrun.Engine) -> None:
    uploaded = of_file(engine, "fileprocessing/flat_workflow.yaml")
    assert uploaded["uploaded"]["bytes"] > 50_000
    assert of_python(engine, "fileprocessing/fileprocessing.py:fileprocessing") == uploaded


def test_svd(engine: weftrun.Engine) -> None:
    found = of_file(engine, "svd/workflow_info.yaml", start=512)
    assert len(found["res"]) == 5
    assert of_python(engine, "svd/svd.py:svd", 512) == found
    matrices = sys.modules["matrices"]
    assert matrices.largest(matrices.blocks(512)) == found["res"], "the values are those of the whole matrix"


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("digits", "is_mosaic", "text"),
    [
        ("1730", True, "one seven three zero"),
        ("8120", True, None),
        ("1230", False, "one two three zero"),
    ],
)
def test_recognizer(engine: weftrun.Engine, digits: str, is_mosaic: bool, text: str | None) -> None:
    pytest.importorskip("sklearn")
    found = of_file(engine, "recognizer/flat_workflow.yaml", digits=digits)
    assert (found["mosaic"] is not None, found["text"]) == (is_mosaic, text)
    assert of_python(engine, "recognizer/recognizer.py:recognizer", digits) == found
    assert of_file(engine, "recognizer/workflow_info.yaml", digits=digits) == {
        name: value for name, value in found.items() if value is not None
    }


@needs_ffmpeg
@pytest.mark.sweep
@pytest.mark.parametrize(("seconds", "pieces"), [(5, 3), (0, 1)])
def test_video(engine: weftrun.Engine, seconds: int, pieces: int) -> None:
    done = {"seconds": 12.0, "pieces": pieces}
    assert list(of_file(engine, "video/flat_workflow.yaml", segment_time=seconds).values()) == [done]
    assert of_file(engine, "video/workflow_info.yaml", segment_time=seconds) == {"done": done}
    assert of_python(engine, "video/video.py:video", seconds) == {"done": done}


@pytest.mark.parametrize(
    "name", ["epigenomics", *(pytest.param(name, marks=pytest.mark.sweep) for name in ("genome", "soykb", "cycles"))]
)
def test_science(engine: weftrun.Engine, tmp_path: Path, name: str) -> None:
    science = load(str(FOLDER / "science_flows.py:science"))
    sys.modules["science"].write(tmp_path, 0.002, 0.01)
    plan, _ = read_plan(tmp_path / name / "flat_workflow.yaml")
    function, args = start(plan, {})
    found = engine.start(function, *args).result(timeout_s=100)
    assert engine.start(science, name, 0.002, 0.01).result(timeout_s=100) == found
