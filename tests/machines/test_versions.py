"""What is told of a program that goes on with a Run: in what it differs, and no value."""

from __future__ import annotations

import pytest

from weftrun.machines.run import changed_program
from weftrun.model.policy import Program

BEGUN = Program("/srv", (b"app.py", b"--password", b"secret"), ("-O",))


@pytest.mark.parametrize(
    ("here", "differs"),
    [
        (Program("/srv", (b"app.py", b"other"), ("-O",)), "with other arguments than"),
        (Program("/srv", BEGUN.argv, ()), "with other options of the interpreter than"),
        (Program("/tmp", BEGUN.argv, ("-O",)), "with another working directory than"),
        (Program("/tmp", (), ("-O",)), "with other arguments and another working directory than"),
    ],
)
def test_what_differs_is_named_without_its_value(here: Program, differs: str) -> None:
    told = changed_program(BEGUN, here)
    assert differs in told
    assert "secret" not in told


def test_what_is_the_same_or_not_known_is_not_told() -> None:
    assert changed_program(BEGUN, Program("/srv", (b"worker.py", b"--password", b"secret"), ("-O",))) == ""
    assert changed_program(Program("/srv"), Program("/srv", (b"app.py", b"x"), ("-O",))) == ""
    assert changed_program(Program(), BEGUN) == ""
