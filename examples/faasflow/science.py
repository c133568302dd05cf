"""Writes FaaSFlow's four science workflows: their shapes, with sizes that add up to what was recorded of the originals.

    python examples/faasflow/science.py [--runtime 0.1] [--bytes 1.0] [FOLDER]

writes `genome`, `epigenomics`, `soykb` and `cycles` below FOLDER (default: this one), each with a `flat_workflow.yaml`
and the one function `main.py` that all its nodes run. `--runtime` is the time that each node sleeps, in seconds (1 in
the originals), and `--bytes` a factor for all sizes.
"""

import argparse
import shutil
from dataclasses import dataclass, field
from pathlib import Path

MB = 1_000_000


@dataclass
class Node:
    name: str
    outputs: dict[str, float]  # MB, by key
    inputs: list[tuple[str, str]] = field(default_factory=list)  # node and key


def genome() -> list[Node]:
    """18 individuals of 2 chromosomes are merged; 7 populations each are compared with what is sifted."""
    nodes = []
    for chromosome in (1, 2):
        parts = [f"individuals_{chromosome}_{n}" for n in range(9)]
        nodes += [Node(name, {f"{name}.out": 1.2}) for name in parts]
        merge, sifting = f"individuals_merge_{chromosome}", f"sifting_{chromosome}"
        nodes.append(Node(merge, {f"{merge}.out": 5.3}, [(name, f"{name}.out") for name in parts]))
        nodes.append(Node(sifting, {f"{sifting}.out": 0.25}))
        both = [(merge, f"{merge}.out"), (sifting, f"{sifting}.out")]
        for n in range(7):
            overlap, frequency = f"mutation_overlap_{chromosome}_{n}", f"frequency_{chromosome}_{n}"
            nodes += [Node(overlap, {f"{overlap}.out": 1.2}, both), Node(frequency, {f"{frequency}.out": 0.2143}, both)]
    return nodes


def epigenomics() -> list[Node]:
    """3 files are split in 3, go through 9 chains of 4, and are merged in two steps."""
    nodes, merged = [], []
    for n in range(3):
        split = f"fastqsplit_{n}"
        nodes.append(Node(split, {f"{split}.{part}": 0.7 for part in range(3)}))
        ends = []
        for part in range(3):
            last = (split, f"{split}.{part}")
            for kind in ("filtercontams", "sol2sanger", "fast2bfq", "map"):
                name = f"{kind}_{n}_{part}"
                nodes.append(Node(name, {f"{name}.out": 0.7}, [last]))
                last = (name, f"{name}.out")
            ends.append(last)
        merge = f"mapmerge_{n}"
        nodes.append(Node(merge, {f"{merge}.out": 1.5}, ends))
        merged.append((merge, f"{merge}.out"))
    nodes.append(Node("mapmerge_all", {"mapmerge_all.out": 2.4}, merged))
    nodes.append(Node("chr21", {"chr21.out": 1.0}, [("mapmerge_all", "mapmerge_all.out")]))
    nodes.append(Node("pileup", {"pileup.out": 0.2}, [("chr21", "chr21.out")]))
    return nodes


def soykb() -> list[Node]:
    """2 samples go through 6 stages each, 9 callers each, and are combined, selected and filtered."""
    nodes, called = [], []
    stages = ("alignment", "sort_sam", "dedup", "add_replace", "realign", "indel_realign")
    for sample in (0, 1):
        last: list[tuple[str, str]] = []
        for stage in stages:
            name = f"{stage}_{sample}"
            nodes.append(Node(name, {f"{name}.out": 0.9 if stage == stages[-1] else 0.6}, last))
            last = [(name, f"{name}.out")]
        for n in range(9):
            name = f"haplotype_caller_{sample}_{n}"
            nodes.append(Node(name, {f"{name}.out": 0.5}, last))
            called.append((name, f"{name}.out"))
    nodes.append(Node("merge_gcvf", {"merge_gcvf.out": 3.1}, called))
    typed = []
    for n in range(9):
        name = f"genotype_gvcfs_{n}"
        nodes.append(Node(name, {f"{name}.out": 0.4}, [called[n], called[9 + n]]))
        typed.append((name, f"{name}.out"))
    nodes.append(Node("combine_variants", {"combine_variants.out": 0.7}, typed))
    for kind in ("indel", "snp"):
        select, filtering = f"select_variants_{kind}", f"filtering_{kind}"
        nodes.append(Node(select, {f"{select}.out": 0.35}, [("combine_variants", "combine_variants.out")]))
        nodes.append(Node(filtering, {f"{filtering}.out": 0.3}, [(select, f"{select}.out")]))
    return nodes


def cycles() -> list[Node]:
    """10 baselines are run with and without fertilizer; large outputs are parsed, and summed up by 5."""
    nodes, grown, fertilized = [], [], []
    for n in range(10):
        baseline = f"baseline_cycles_{n}"
        nodes.append(Node(baseline, {f"{baseline}.out": 10.0}))
        for name, group in ((f"cycles_{n}", grown), (f"fertilizer_increase_{n}", fertilized)):
            nodes.append(Node(name, {f"{name}.out": 40.0}, [(baseline, f"{baseline}.out")]))
            group.append((name, f"{name}.out"))
        parser = f"output_parser_{n}"
        nodes.append(Node(parser, {f"{parser}.out": 15.0}, [grown[-1]]))
    for n in (0, 1):
        summary, fertilizer, plots = f"output_summary_{n}", f"fertilizer_summary_{n}", f"plots_{n}"
        nodes.append(Node(summary, {f"{summary}.out": 17.05}, grown[5 * n : 5 * n + 5]))
        nodes.append(Node(fertilizer, {f"{fertilizer}.out": 21.1}, fertilized[5 * n : 5 * n + 5]))
        nodes.append(Node(plots, {f"{plots}.out": 41.0}, [(summary, f"{summary}.out")]))
    return nodes


WORKFLOWS = {"genome": genome, "epigenomics": epigenomics, "soykb": soykb, "cycles": cycles}


def text_of(nodes: list[Node], runtime: float, factor: float) -> str:
    """Return the workflow in FaaSFlow's flat format."""
    size = {key: max(1, round(megabytes * MB * factor)) for node in nodes for key, megabytes in node.outputs.items()}
    behind: dict[str, dict[str, None]] = {node.name: {} for node in nodes}
    for node in nodes:
        for before, _ in node.inputs:
            behind[before][node.name] = None
    lines = ["global_input:", "functions:"]
    for node in nodes:
        lines += [f"- name: {node.name}", f"  source: {node.name.rsplit('_', 1)[0]}", f"  runtime: {runtime:g}"]
        lines += ["  scale: 3", "  mem_usage: 0.25"]
        lines += ["  input:"] if node.inputs else []
        for before, key in node.inputs:
            lines += [f"    {key}:", "      type: pass", f"      value: {{function: {before}, parameter: {key}}}"]
            lines += [f"      size: {size[key]}"]
        lines += ["  output:"]
        for key in node.outputs:
            lines += [f"    {key}: {{type: pass, size: {size[key]}}}"]
        if behind[node.name]:
            lines += ["  next:", "    type: pass", f"    nodes: [{', '.join(behind[node.name])}]"]
    return "\n".join([*lines, ""])


def write(folder: Path, runtime: float, factor: float) -> None:
    """Write all four below a folder."""
    for name, make in WORKFLOWS.items():
        own = folder / name
        own.mkdir(parents=True, exist_ok=True)
        (own / "flat_workflow.yaml").write_text(text_of(make(), runtime, factor))
        body = Path(__file__).with_name("genome") / "main.py"
        if body.resolve() != (own / "main.py").resolve():
            shutil.copy(body, own / "main.py")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--runtime", type=float, default=0.1)
    parser.add_argument("--bytes", type=float, default=1.0)
    given = parser.parse_args()
    write(given.folder, given.runtime, given.bytes)
