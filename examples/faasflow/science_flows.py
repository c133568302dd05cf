"""FaaSFlow's four science workflows in Python: the shapes of science.py, wired by a loop.

    weftrun run examples/faasflow/science_flows.py:science name=genome runtime=0.1 factor=0.01

gives what `weftrun run genome/flat_workflow.yaml` gives of the files that science.py writes with these numbers.
"""

import hashlib
import time

from science import MB, WORKFLOWS

from weftrun import function, workflow


@function(effects="none")
def task(name: str, sizes: dict[str, int], inputs: dict[str, str], runtime: float) -> dict[str, str]:
    """Read all inputs, take some time, and put as many bytes as are wanted, made of what was read."""
    digest = hashlib.sha256(name.encode())
    for key, text in sorted(inputs.items()):
        digest.update(f"{key} {len(text)} {text[:64]} {text[-64:]}".encode())
    time.sleep(runtime)
    word = digest.hexdigest()
    return {key: (word * (size // 64 + 1))[:size] for key, size in sizes.items()}


@function(deterministic=True, effects="none")
def told(last: dict[str, dict[str, str]]) -> dict[str, object]:
    """Return the sizes and digests of what the last tasks have put, encoded as FaaSFlow's functions put it."""
    return {
        f"{name}.{key}": {"bytes": size + 2, "sha256": hashlib.sha256(b'"%s"' % text.encode()).hexdigest()}
        if (size := len(text)) > 4094
        else text
        for name, made in last.items()
        for key, text in made.items()
    }


@workflow
def science(name: str, runtime: float = 0.1, factor: float = 1.0) -> dict[str, object]:
    """Wire one of the four: `genome`, `epigenomics`, `soykb` or `cycles`."""
    nodes = WORKFLOWS[name]()
    made = {}
    for node in nodes:
        sizes = {key: max(1, round(megabytes * MB * factor)) for key, megabytes in node.outputs.items()}
        inputs = {key: made[before][key] for before, key in node.inputs}
        made[node.name] = task(node.name, sizes, inputs, runtime)
    followed = {before for node in nodes for before, _ in node.inputs}
    return told({node.name: made[node.name] for node in nodes if node.name not in followed})
