"""The blocked decomposition against numpy's, in small sizes, and what it says to sizes that can't be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests import sweeping
from tests.examples.conftest import ROOT, Example

SMALL = ("--rows", 2_000, "--columns", 16)
ERROR = re.compile(r"relative error against numpy\.linalg\.svd of the whole: (\S+) ")


@pytest.mark.parametrize("blocks", sweeping.shared([5, 1, 8]))
def test_it_is_the_decomposition_and_blocks_are_shared(example: Example, blocks: int) -> None:
    said = example("svd.py", "--blocks", blocks, *SMALL)
    assert said.code == 0, said.err
    sizes, shared, error = said.out.splitlines()
    assert sizes.startswith(f"{blocks * 2_000:,} × 16, singular values ")
    assert shared.startswith(f"{blocks} of {blocks} blocks were read in the shared memory")
    assert float(ERROR.match(error)[1]) < 1e-13
    made, told = said.err.splitlines()
    assert made.startswith("A new Journal was made: ")
    assert re.fullmatch(rf"Run \S+: {blocks} blocks of 0\.3 MB", told)


def test_blocks_that_ride_in_messages_are_not_called_shared(example: Example) -> None:
    said = example("svd.py", "--blocks", 2, "--rows", 20, "--columns", 4)
    assert (said.code, said.out.splitlines()[1][:15]) == (0, "0 of 2 blocks w")


@pytest.mark.sweep
def test_the_same_id_answers_without_a_body(example: Example) -> None:
    first, again = (example("svd.py", "--id", "small", "--blocks", 3, *SMALL) for _ in range(2))
    assert (first.code, first.zygotes) == (0, 1), first.err
    assert (again.code, again.zygotes) == (0, 0), again.err
    assert first.out == again.out
    other = example("svd.py", "--id", "small", "--blocks", 2, *SMALL)
    assert (other.code, other.zygotes, other.out) == (1, 0, "")
    assert other.err.endswith(
        "svd.py: The id 'small' belongs to a Run of svd:svd with other arguments: give those, or another id.\n"
    )


def broken(folder: Path, right: str, wrong: str) -> Path:
    """Return a copy of the example with something in it replaced."""
    source = (ROOT / "examples" / "svd.py").read_text(encoding="utf-8")
    assert source.count(right) == 1
    copy = folder / "broken.py"
    copy.write_text(source.replace(right, wrong), encoding="utf-8")
    return copy


def test_a_wrong_result_is_told_from_a_right_one(example: Example, tmp_path: Path) -> None:
    swapped = broken(tmp_path, "q[: len(upper)], q[len(upper) :], r", "q[len(upper) :], q[: len(upper)], r")
    said = example(swapped, "--blocks", 2, *SMALL)
    assert (said.code, said.zygotes) == (1, 1), said.err
    assert float(ERROR.match(said.out.splitlines()[2])[1]) > 1e-3


def test_a_copy_is_told_from_what_is_shared(example: Example, tmp_path: Path) -> None:
    said = example(broken(tmp_path, "is_shared(rows)", "is_shared(rows.copy())"), "--blocks", 2, *SMALL)
    assert (said.code, said.out.splitlines()[1][:15]) == (0, "0 of 2 blocks w")


@pytest.mark.parametrize(
    ("words", "answer"),
    sweeping.shared_rows([
        (["--blocks", 0], "take 1 to 256 blocks"),
        (["--blocks", 257], "take 1 to 256 blocks"),
        (["--columns", 65, "--rows", 64], "no more columns than rows"),
        (["--columns", 1_001], "1 to 1,000 columns"),
        (["--rows", -1], "no more columns than rows"),
        (["--blocks", 256, "--rows", 10**6], "at most 1 GiB in all"),
        (["--rows", "many"], "argument --rows: invalid int value: 'many'"),
        (["--colour", 1], "unrecognized arguments: --colour 1"),
    ], every=3),
)  # fmt: skip
def test_sizes_that_can_not_be(example: Example, tmp_path: Path, words: list[object], answer: str) -> None:
    said = example("svd.py", *words)
    assert (said.code, said.out, said.zygotes) == (2, "", 0)
    assert "svd.py: error: " in said.err and answer in said.err
    assert not (tmp_path / "journal.db").exists()
