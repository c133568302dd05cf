"""Workflows of DataFlower run as their data say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fronts.flows import ran, write

import weftrun
from weftrun.fronts.faasflow.opening import read_plan
from weftrun.model.errors import UsageError

COUNTING = """\
workflow_name: counting
global_inputs: {$USER.texts: {type: NORMAL, dest: {cut: {main: {texts}}}}}
templates:
  cut:
    blocks:
      main:
        type: NORMAL
        input_datas: {texts: {type: NORMAL}}
        output_datas:
          part: {type: FOREACH, dest: {work: {main: {part}}}}
          side: {type: NORMAL, dest: {work: {main: {side}}}}
          VIRTUAL.CNT: {type: NORMAL, dest: {join: {main: {VIRTUAL.CNT}}}}
  work:
    blocks:
      main:
        type: NORMAL
        input_datas: {part: {type: NORMAL}, side: {type: NORMAL}}
        output_datas:
          res: {type: MERGE, dest: {join: {main: {all}}}}
  join:
    blocks:
      main:
        type: NORMAL
        input_datas: {VIRTUAL.CNT: {type: NORMAL}, all: {type: LIST}}
        output_datas: {out: {type: NORMAL, dest: {$USER}}, raw: {type: NORMAL, dest: $USER}}
"""
CUT = """\
import os
for text in store.fetch(['texts'])['texts']:
    store.post('part', text.encode(), datatype='octet')
store.post('side', {'by': 10})
assert os.listdir(ENV_WORKDIR) == [] and open('note').read() == 'beside the template'
store.post('later', 1, debug=True)
"""
WORK = """\
given = store.fetch(['part', 'side'])
store.post('res', [given['part'].decode(), len(given['part']) * given['side']['by']])
"""
JOIN = """\
got = store.fetch(['all', 'VIRTUAL.CNT'])
store.post('out', [got['VIRTUAL.CNT'], got['all']])
store.post('raw', b'\\xff', datatype='octet')
"""
DEEP = """\
workflow_name: deep
global_inputs: {$USER.rows: {type: NORMAL, dest: {outer: {b: {rows}}}}}
templates:
  outer:
    blocks:
      b:
        input_datas: {rows: {type: NORMAL}}
        output_datas: {row: {type: FOREACH, dest: {inner: {b: {row}}}}}
  inner:
    blocks:
      b:
        input_datas: {row: {type: NORMAL}}
        output_datas:
          cell: {type: FOREACH, dest: {leaf: {b: {cell}}}}
          name: {type: NORMAL, dest: {leaf: {b: {name}}}}
          VIRTUAL.CNT: {type: NORMAL, dest: {sum: {b: {VIRTUAL.CNT}}}}
  leaf:
    blocks:
      b:
        input_datas: {cell: {type: NORMAL}, name: {type: NORMAL}}
        output_datas: {done: {type: NORMAL, dest: {twice: {b: {done}}}}}
  twice:
    blocks:
      b:
        input_datas: {done: {type: NORMAL}}
        output_datas: {done: {type: MERGE, dest: {sum: {b: {cells}}}}}
  sum:
    blocks:
      b:
        input_datas: {cells: {type: LIST}, VIRTUAL.CNT: {type: NORMAL}}
        output_datas: {sum: {type: MERGE, dest: {all: {b: {sums}}}}}
  all:
    blocks:
      b:
        input_datas: {sums: {type: LIST}}
        output_datas: {sums: {type: NORMAL, dest: $USER}}
"""
DEEP_FILES = {
    "outer.py": "for row in store.fetch(['rows'])['rows']: store.post('row', row)\n",
    "inner.py": "row = store.fetch(['row'])['row']\nstore.post('name', row[0])\n"
    "for cell in row[1:]: store.post('cell', cell)\n",
    "leaf.py": "got = store.fetch(['cell', 'name'])\nstore.post('done', got['name'] + str(got['cell']))\n",
    "twice.py": "store.post('done', store.fetch(['done'])['done'] * 2)\n",
    "sum.py": "store.post('sum', [store.fetch(['VIRTUAL.CNT'])['VIRTUAL.CNT'], *store.fetch(['cells'])['cells']])\n",
    "all.py": "store.post('sums', store.fetch(['sums'])['sums'])\n",
}
JUDGING = """\
workflow_name: judging
global_inputs: {$USER.n: {type: NORMAL, dest: {one: {b: {n}}, other: {b: {n}}}}}
templates:
  one:
    blocks:
      b:
        type: SWITCH
        input_datas: {n: {type: NORMAL}}
        output_datas: {bad: {type: NORMAL}, why: {type: NORMAL}}
        conditions:
          bad==True:
            virtual.go: {cover: {b: {go}}}
            why: {cover: {b: {why}}}
          default:
            virtual.go: {read: {b: {go_1}}}
  other:
    blocks:
      b:
        type: SWITCH
        input_datas: {n: {type: NORMAL}}
        output_datas: {bad: {type: NORMAL}, why: {type: NORMAL}}
        conditions:
          bad==True:
            virtual.go: {cover: {b: {go}}}
            why: {cover: {b: {why}}}
          default:
            virtual.go: {read: {b: {go_2}}}
  read:
    blocks:
      b:
        type: SWITCH
        input_datas: {go_1: {type: NORMAL}, go_2: {type: NORMAL}}
        output_datas: {bad: {type: NORMAL}, why: {type: NORMAL}}
        conditions:
          'bad and why != ""':
            virtual.go: {cover: {b: {go}}}
            why: {cover: {b: {why}}}
          default:
            virtual.clean: $USER
  cover:
    blocks:
      b:
        input_datas: {go: {type: NORMAL}, why: {type: NORMAL}}
        output_datas: {covered: {type: NORMAL, dest: $USER}}
"""
JUDGING_FILES = {
    "one.py": "n = store.fetch(['n'])['n']\nstore.post('bad', n > 10)\nstore.post('why', 'one')\n",
    "other.py": "n = store.fetch(['n'])['n']\nstore.post('bad', n > 100)\nstore.post('why', 'other')\n",
    "read.py": "store.post('bad', True)\nstore.post('why', open('why').read())\n",
    "cover.py": "store.post('covered', store.fetch(['why'])['why'])\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workflows in folders of their own, with their blocks laid out in every way that is allowed."""
    folder = tmp_path_factory.mktemp("blocks")
    write(folder / "counting", {"workflow_info.yaml": COUNTING, "work/main.py": WORK, "join.py": JOIN})
    write(
        folder / "template_functions",
        {
            "cut/blocks/main/main.py": CUT,
            "cut/note": "beside the template",
        },
    )
    write(folder / "deep", {"workflow_info.yaml": DEEP, **DEEP_FILES})
    write(folder / "judging", {"workflow_info.yaml": JUDGING, **JUDGING_FILES, "why": ""})
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[weftrun.Engine]:
    """One engine for all, with one Worker."""
    with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=4) as engine:
        yield engine


@pytest.mark.parametrize("texts", [["a", "bb", "ccc"], ["x" * 100_000], []])
def test_a_foreach_runs_for_each_post_and_is_merged_in_their_order(engine, folder, texts):
    found = ran(engine, folder / "counting/workflow_info.yaml", texts=texts)
    assert found == {"out": [len(texts), [[text, 10 * len(text)] for text in texts]], "raw": b"\xff"}


def test_a_foreach_in_a_foreach_keeps_its_items_apart(engine, folder):
    file = folder / "deep/workflow_info.yaml"
    assert ran(engine, file, rows=[["a", 1, 2], ["b"], ["c", 3]]) == {"sums": [[2, "a1a1", "a2a2"], [0], [1, "c3c3"]]}
    assert ran(engine, file, rows=[]) == {"sums": []}


@pytest.mark.parametrize(
    ("n", "why", "found"),
    [
        (1, "", {"virtual.clean": None}),
        (1, "word", {"covered": "word"}),
        (20, "", {"covered": "one"}),
        (200, "", {"covered": "one"}),
    ],
)
def test_a_block_runs_once_for_whichever_branch_comes_to_it(engine, folder, n, why, found):
    (folder / "judging/why").write_text(why)
    assert ran(engine, folder / "judging/workflow_info.yaml", n=n) == found


def test_what_is_not_posted_is_an_error_that_names_it(engine, tmp_path):
    write(tmp_path, {"workflow_info.yaml": COUNTING, "work.py": WORK, "join.py": JOIN})
    file = tmp_path / "workflow_info.yaml"
    (tmp_path / "cut.py").write_text("for text in store.fetch(['texts'])['texts']: store.post('part', text)\n")
    with pytest.raises(
        Exception, match=r"work waits for 'side', which cut was to post under 'side'; it has posted .*part"
    ):
        ran(engine, file, texts=["a"])
    (tmp_path / "cut.py").write_text("store.post('sid', 1)\n")
    with pytest.raises(Exception, match=r"cut posts 'sid', which is none of its outputs. Did you mean 'side'\?"):
        ran(engine, file, texts=["a"])
    (tmp_path / "cut.py").write_text("store.fetch(['text'])\n")
    with pytest.raises(Exception, match=r"cut fetches 'text', which is none of its inputs. Did you mean 'texts'\?"):
        ran(engine, file, texts=["a"])
    (tmp_path / "cut.py").write_text("store.post('part', 1, datatype='json5')\n")
    with pytest.raises(Exception, match=r"the datatype is 'json5', and must be 'json' or 'octet'"):
        ran(engine, file, texts=["a"])
    (tmp_path / "cut.py").write_text("store.post('side', store.fetch(['text'])['text'])\n")
    assert ran(engine, file, "marker", texts=["a"]) == {"out": [0, []], "raw": b"\xff"}


@pytest.mark.sweep
def test_the_same_with_several_workers(engine, folder):
    files = [(folder / "counting/workflow_info.yaml", {"texts": ["a", "b" * 90_000]}),
             (folder / "deep/workflow_info.yaml", {"rows": [["a", 1], ["b", 2, 3]]})]  # fmt: skip
    expected = [ran(engine, file, "error", **inputs) for file, inputs in files]
    with weftrun.open(f"sqlite:///{folder}/several.db", cluster="local:2", sandboxes=2) as several:
        assert [ran(several, file, "error", **inputs) for file, inputs in files] == expected


CASES = [
    ("part: {type: FOREACH", "part: {type: FORALL", 10, "'type' is 'FORALL', and must be NORMAL or FOREACH or MERGE"),
    ("{work: {main: {side}}}", "{wrk: {main: {side}}}", 11, "there is no template 'wrk'. Did you mean 'work'?"),
    ("{work: {main: {side}}}", "{work: {mein: {side}}}", 11, "no block of 'work' 'mein'. Did you mean 'main'?"),
    ("{work: {main: {side}}}", "{work: {main: {sides}}}", 11, "no input of 'work' 'sides'. Did you mean 'side'?"),
    ("all: {type: LIST}", "all: {type: NORMAL}", 19, "'res' of 'work' is a MERGE, and the input 'all' is no LIST"),
    ("side: {type: NORMAL}}", "side: {type: NORMAL}, more: {type: NORMAL}}", 17, "nothing goes to the input 'more'"),
    ("FOREACH", "NORMAL", 12, "has VIRTUAL.CNT and no output of type FOREACH to count"),
    ("$USER.texts", "texts", 2, "its name must begin with $USER."),
    ("workflow_name", "workflow", 1, "has no key 'workflow'; did you mean 'workflow_name'?"),
    ("type: NORMAL\n        input_datas: {part", "type: SWITCH\n        input_datas: {part", 15, "needs the key"),
    ("dest: {$USER}}", "dest: {cut: {main: {texts}}}}", 6, "there is a cycle: cut → "),
    ("type: NORMAL\n        input_datas: {part", "conditions: {res > : {res: $USER}}\n        input_datas: {part", 16,
     "has conditions and is no SWITCH"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "line", "told"), CASES, ids=[case[3][-40:] for case in CASES])
def test_what_is_wrong_is_told_with_its_line(tmp_path, before, after, line, told):
    write(tmp_path, {"cut.py": "", "work.py": "", "join.py": ""})
    file = tmp_path / "workflow_info.yaml"
    assert before in COUNTING
    file.write_text(COUNTING.replace(before, after, 1))
    with pytest.raises(UsageError) as caught:
        read_plan(file)
    problems = str(caught.value).splitlines()
    assert any(problem.startswith(f"{file}:{line}: ") and told in problem for problem in problems), problems


SWITCHES = [
    ("bad==True:\n            virtual.go: {cover: {b: {go}}}", "bad(=True:\n            virtual.go: {cover: {b: {go}}}",
     "is no expression"),
    ("bad==True", "evil==True", "looks at 'evil', no output of 'one'"),
    ("why: {cover: {b: {why}}}", "wy: {cover: {b: {why}}}", "'one' has no output 'wy'. Did you mean 'why'?"),
    ("bad: {type: NORMAL}", "bad: {type: NORMAL, dest: $USER}", "of a SWITCH the conditions say where data go"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "told"), SWITCHES)
def test_what_is_wrong_with_a_switch_is_told(tmp_path, before, after, told):
    write(tmp_path, {**JUDGING_FILES, "workflow_info.yaml": JUDGING.replace(before, after, 1)})
    assert before in JUDGING
    with pytest.raises(UsageError) as caught:
        read_plan(tmp_path / "workflow_info.yaml")
    assert told in str(caught.value)


def test_templates_are_held_against_their_file(tmp_path):
    write(tmp_path, {"cut.py": "", "work.py": "", "join.py": "", "workflow_info.yaml": COUNTING})
    good = "- {image_name: i, template_name: %s, blocks: {main}, cpus: 0.2, gc: %s}\n"
    file = tmp_path / "templates_info.yaml"
    file.write_text("templates:\n" + good % ("cut", "true") + good % ("work", "false") + good % ("join", "false"))
    plan, _ = read_plan(tmp_path / "workflow_info.yaml")
    assert [block.call.gc for block in plan.blocks] == [True, False, False]
    file.write_text("templates:\n" + good % ("cut", "true"))
    with pytest.raises(UsageError, match=r"workflow_info.yaml:\d+: .*templates_info.yaml has no template 'work'"):
        read_plan(tmp_path / "workflow_info.yaml")
    file.write_text("templates:\n" + good % ("cut", "3"))
    with pytest.raises(UsageError, match=r"templates_info.yaml:2: a template: 'gc' must be true or false"):
        read_plan(tmp_path / "workflow_info.yaml")
    with pytest.raises(UsageError, match=r"is no workflow: run the workflow_info.yaml"):
        read_plan(file)
