"""Workflows of FaaSFlow run as their files say, and the same with one Worker and with several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import weftrun
from weftrun.fronts.faasflow.opening import read_plan, start
from weftrun.fronts.faasflow.plan import Missing

CUT = """\
def main():
    count = store.fetch(["count"])["count"]
    store.put({"parts": [f"p{n}" for n in range(count)], "body": "x" * 100_000}, {})
    store.put({f"p{n}": {"n": n} for n in range(count)}, {})
"""
WORK = """\
def main():
    part = store.fetch(["parts"])["parts"]
    value = store.fetch([part, "body"])
    store.put({"done_" + part: value[part]["n"] * len(value["body"])}, {})
"""
JOIN = """\
def main():
    parts = store.fetch(["parts"])["parts"]
    done = store.fetch(["done_" + part for part in parts])
    store.put({"sum": sum(done.values()), "raw": b"\\xff\\x00"}, {"raw": "application/octet-stream"})
"""
FOREACH = """\
functions:
- name: cut
  input: {count: {type: pass, value: {function: INPUT, parameter: count}, size: 8}}
  output: {parts: {type: keys, size: 8}, body: {type: normal, size: 100000}}
  next: {type: foreach, nodes: [work]}
- name: work
  input: {parts: {type: key, value: {function: cut, parameter: parts}, size: 8}}
  next: {type: pass, nodes: [join]}
- name: join
  input: {parts: {type: key, value: {function: cut, parameter: parts}, size: 8}}
  output: {sum: {type: normal, size: 8}, raw: {type: normal, size: 2}}
global_output:
  sum: {type: pass, value: {function: join, parameter: sum}}
  raw: {type: pass, value: {function: join, parameter: raw}}
"""
NAMED = 'def main():\n    store.put({store.function_name: store.fetch(["n"])["n"]}, {})\n'
LAST = """\
def main():
    found = {}
    for key in ("small", "large", "huge"):
        try:
            found[key] = store.fetch([key])[key]
        except LookupError:
            pass
    store.put({"found": found}, {})
"""
SWITCH = """\
functions:
- name: first
  source: named
  input: {n: {type: pass, value: {function: INPUT, parameter: n}, size: 8}}
  output: {first: {type: normal, size: 8}}
  next: {type: pass, nodes: [virtual1]}
- name: virtual1
  source: VIRTUAL
  next: {type: switch, conditions: [ROOT.first < 10, ROOT.first < 100, default], nodes: [small, large, virtual2]}
- {name: small, source: named, next: {nodes: [last]}}
- {name: large, source: named, next: {nodes: [last]}}
- name: virtual2
  source: VIRTUAL
  next: {type: switch, conditions: [ROOT.first < 1000], nodes: [huge]}
- {name: huge, source: named, next: {nodes: [last]}}
- {name: last, output: {found: {type: normal, size: 8}}}
global_output:
  found: {type: pass, value: {function: last, parameter: found}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two workflows and their functions."""
    folder = tmp_path_factory.mktemp("flows")
    files = {"cut.py": CUT, "work.py": WORK, "join.py": JOIN, "named.py": NAMED, "last.py": LAST}
    for name, text in {**files, "foreach.yaml": FOREACH, "switch.yaml": SWITCH}.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[weftrun.Engine]:
    """One engine for all, with one Worker."""
    with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=4) as engine:
        yield engine


def ran(engine: weftrun.Engine, file: Path, missing: Missing = "error", **inputs: object) -> Mapping[str, Any]:
    plan, _ = read_plan(file, missing)
    function, args = start(plan, inputs)
    result: Mapping[str, Any] = engine.start(function, *args).result(timeout_s=60)
    return result


@pytest.mark.parametrize(("count", "total"), [(5, 1_000_000), (1, 0), (0, 0)])
def test_a_foreach_runs_once_an_item_and_is_merged(engine, folder, count, total):
    assert ran(engine, folder / "foreach.yaml", count=count) == {"sum": total, "raw": b"\xff\x00"}


@pytest.mark.parametrize(("n", "found"), [(1, {"small": 1}), (20, {"large": 20}), (200, {"huge": 200}), (2000, None)])
def test_a_join_behind_a_switch_fires_once_one_branch_has_come(engine, folder, n, found):
    result = ran(engine, folder / "switch.yaml", n=n)
    assert result == {"found": found}


def test_steps_have_the_names_of_the_file(engine, folder):
    plan, _ = read_plan(folder / "foreach.yaml")
    function, args = start(plan, {"count": 3})
    run = engine.start(function, *args)
    run.result(timeout_s=60)
    assert {str(step.id).split("[")[0] for step in run.steps()} == {"foreach", "cut", "work", "join", "results"}


def test_data_that_nobody_has_put_is_an_error_that_names_it_or_the_marker(engine, folder):
    (folder / "lonely.py").write_text('def main():\n    store.put({"got": store.fetch(["nothing"])["nothing"]}, {})\n')
    file = folder / "missing.yaml"
    file.write_text("functions:\n- {name: lonely, output: {got: {type: normal, size: 8}}}\n")
    with pytest.raises(Exception, match=r"lonely fetches 'nothing' and nothing before it has put that"):
        ran(engine, file)
    assert ran(engine, file, missing="marker") == {"lonely.got": "no attachment"}


def test_each_call_has_a_folder_of_its_own_beside_its_files(engine, folder):
    own = folder / "worker"
    own.mkdir()
    (own / "table.txt").write_text("from the file")
    (own / "beside.py").write_text("WORD = 'imported'\n")
    (own / "main.py").write_text(
        "import os\nfrom beside import WORD\nfrom Store import Store\n"
        "store = Store(workflow_name, function_name, request_id, input, output, to, keys)\n"
        "def main():\n"
        "    fresh = os.listdir('work') == []\n"
        "    open('work/x', 'w').write('x')\n"
        "    store.put({'told': [fresh, open('table.txt').read(), WORD, os.getcwd()]}, {})\n"
    )
    file = folder / "folders.yaml"
    file.write_text(
        "functions:\n"
        "- {name: one, source: worker, next: {nodes: [two]}}\n"
        "- {name: two, source: worker, output: {told: {type: normal, size: 8}}}\n"
    )
    fresh, read, imported, cwd = ran(engine, file)["two.told"]
    assert (fresh, read, imported) == (True, "from the file", "imported")
    assert not Path(cwd).exists() and not (own / "work").exists()


def test_the_same_with_several_workers_and_both_controls(engine, folder):
    expected = [ran(engine, folder / "foreach.yaml", count=4), ran(engine, folder / "switch.yaml", n=20)]
    for control in ("worker", "master"):
        url = f"sqlite:///{folder}/{control}.db"
        with weftrun.open(url, cluster="local:2", sandboxes=2, control=control) as several:
            again = [ran(several, folder / "foreach.yaml", count=4), ran(several, folder / "switch.yaml", n=20)]
        assert again == expected
