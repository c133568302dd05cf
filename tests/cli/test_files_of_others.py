"""Files of FaaSFlow and WfCommons on the command line, and options that belong to one of them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli
from tests.fronts.test_wfformat import NEW

FLOW = "functions:\n- {name: one, output: {n: {type: normal, size: 8}}}\n"
NODES = "nodes:\n- {worker_address: '10.0.0.1:8000', scale_limit: 50}\n- {worker_address: '10.0.0.2:8000'}\n"


def test_they_run_and_options_are_refused_where_they_do_not_belong(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def main():\n    store.put({'n': 3}, {})\n")
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "nodes.yaml").write_text(NODES)
    (tmp_path / "trace.json").write_text(json.dumps(NEW))
    done = cli("run", "trace.json", "--scale-cpu", "0", "--scale-bytes", "0.001")
    assert (done.code, json.loads(done.out)["join_1.e"]["bytes"]) == (0, 5)
    assert cli("plan", "flow.yaml", "--cluster", "nodes.yaml").code == 0
    for words, told in (
        (("run", "flow.yaml", "--scale-cpu", "2"), "--scale-cpu and --scale-bytes are of a trace in JSON"),
        (("run", "trace.json", "--missing", "marker"), "--missing is of a workflow in YAML"),
        (("run", "nodes.yaml"), "names hosts, and is no workflow: give it as --cluster"),
        (("plan", "flow.yaml", "--cluster", "flow.yaml"), "the file has no key 'functions'"),
        (("run", "flow.yaml", "--cluster", "absent.yaml"), "absent.yaml can't be read"),
    ):
        done = cli(*words)
        assert (done.code, told in done.err) == (2, True), done.err
