"""Models that learn from a hundred digits, the table of them, and a world without scikit-learn."""

from __future__ import annotations

import importlib.util

import pytest
from tests.examples.conftest import Example
from tests.sweeping import shared

NEEDED = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")


@NEEDED
@pytest.mark.sweep
def test_it_chooses_by_validation_and_answers_again(example: Example) -> None:
    first, again = (example("train.py", "--id", "few", "--digits", 150) for _ in range(2))
    assert (first.code, first.zygotes) == (0, 1), first.err
    assert (again.code, again.zygotes) == (0, 0), again.err
    assert first.out == again.out
    head, *models, blank, chosen = first.out.splitlines()
    assert (head.split(), blank) == (["model", "seconds", "right"], "")
    shares = [float(line.split()[-1].rstrip("%")) for line in models]
    assert len(models) == 6 and shares == sorted(shares, reverse=True)
    assert shares[0] > 80 > shares[-1], "all models are alike, so nothing was chosen"
    assert chosen.startswith(f"Chosen: {models[0][:18].rstrip()}; it reads ")
    assert float(chosen.split(" reads ")[1].split("%")[0]) > 70
    other = example("train.py", "--id", "few", "--digits", 151)
    assert (other.code, other.zygotes, other.out) == (1, 0, "")
    assert other.err.endswith(
        "The id 'few' belongs to a Run of train:choose_model with other arguments: give those, or another id.\n"
    )


@NEEDED
@pytest.mark.parametrize("digits", shared([99, 1_798, "all"]))
def test_numbers_of_digits_that_there_are_not(example: Example, digits: object) -> None:
    said = example("train.py", "--digits", digits)
    assert (said.code, said.out, said.zygotes) == (2, "", 0)
    told = f"--digits takes 100 to 1797, not {digits}" if isinstance(digits, int) else "invalid int value: 'all'"
    assert told in said.err


def test_without_scikit_learn_it_says_what_to_install(without_scikit_learn: Example) -> None:
    said = without_scikit_learn("train.py")
    assert (said.code, said.out, said.zygotes) == (1, "", 0)
    assert said.err == "train.py needs scikit-learn (No module named 'sklearn'): pip install scikit-learn\n"
