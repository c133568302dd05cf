"""What checks the examples of the docs takes no page that shows what is not printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.examples import Misplaced, agrees, check, examples_of


def page(*blocks: tuple[str, str]) -> str:
    return "\n".join(f"Prose.\n\n```{info}\n{body}\n```\n" for info, body in blocks)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("6\n", "6\n", True),
        ("6\n", "7\n", False),
        ("6\n", "6\n7\n", False),
        ("6\n7\n", "6\n", False),
        ("a  b\n", "a\tb\n", True),
        ("took …, then ended\n", "took long, then ended\n", True),
        ("took …, then ended\n", "took long, then died\n", False),
        ("took 1.2 ms of 3 s\n", "took 17 µs of 2 min\n", True),
        ("3 Steps\n", "2 Steps\n", False),
        ("first\n…\nlast\n", "first\nlast\n", True),
        ("first\n…\nlast\n", "first\n1\n2\nlast\n", True),
        ("first\n…\nlast\n", "first\n1\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_what_is_shown_is_what_is_printed(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) is same


@pytest.mark.parametrize(
    "blocks",
    [
        [("python", "print(6)"), ("output", "7")],
        [("python", "raise SystemExit(1)")],
        [("python", "print(6)"), ("console tested", "$ echo a\nb")],
        [("python", "print(6)"), ("console tested", "$ false\n$ echo a\na")],
        [("python app.py", "print(6)"), ("console tested", "$ python app.py\n7")],
    ],
)
def test_a_page_that_is_wrong_is_red(blocks: list[tuple[str, str]], tmp_path: Path) -> None:
    (example,) = examples_of(page(*blocks))
    with pytest.raises(AssertionError):
        check(example, tmp_path)


def test_a_page_that_is_right_is_green(tmp_path: Path) -> None:
    text = page(
        ("python", "print(6)"),
        ("output", "6"),
        ("python first.py", "said = 5"),
        ("python app.py", "import sys, first\nprint(first.said, sys.argv[1:])"),
        (
            "console tested",
            "$ cat first.py\nsaid = 5\n$ python app.py 'a b'\n5 ['a b']\n$ false || echo \"exit code $?\"\nexit code 1",
        ),
    )
    first, second = examples_of(text)
    check(first, tmp_path)
    check(second, tmp_path)


@pytest.mark.parametrize(
    "blocks",
    [
        [("output", "6")],
        [("console tested", "$ true")],
        [("python app.py", "print(6)")],
        [("python app.py", "print(6)"), ("output", "6")],
        [("python app.py", "print(6)"), ("console tested", "$ python other.py")],
    ],
)
def test_a_block_that_nobody_checks_is_refused(blocks: list[tuple[str, str]]) -> None:
    with pytest.raises(Misplaced):
        examples_of(page(*blocks))
