"""`name=value` words to arguments, by annotation."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from weftrun import function
from weftrun.entrypoints.cli.arguments import bind
from weftrun.model.errors import UsageError


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


@function
def typed(
    text: str = "",
    maybe: str | None = None,
    n: int = 0,
    share: float = 0.0,
    flag: bool = False,
    items: list[int] = [],  # noqa: B006  # never changed
    names: Sequence[str] = (),
    both: list[str] | None = None,
    point: Point | None = None,
    colour: Colour = Colour.RED,
    mode: Literal["fast", "slow"] = "fast",
    day: dt.date | None = None,
    path: Path = Path(),
    paths: list[Path] = [],  # noqa: B006  # never changed
    data: bytes = b"",
    anything: Any = None,
    tags: set[str] = set(),  # noqa: B006  # never changed
) -> None:
    """Takes one of each kind."""


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=12", "12"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("text=@@home", "@home"),
        ("maybe=null", "null"),
        ("n=12", 12),
        ("share=1e-3", 0.001),
        ("flag=true", True),
        ("items=[1, 2]", [1, 2]),
        ("items=3", [3]),
        ("names=a", ["a"]),
        ('names=["a", "b"]', ["a", "b"]),
        ("both=x", ["x"]),
        ('point={"x": 1}', Point(1)),
        ("colour=red", Colour.RED),
        ('colour="red"', Colour.RED),
        ("mode=slow", "slow"),
        ("day=2026-02-03", dt.date(2026, 2, 3)),
        ("path=/etc", Path("/etc")),
        ("data=abc", b"abc"),
        ("anything=[1]", [1]),
        ("anything=plain", "plain"),
        ("tags=a", {"a"}),
    ],
)
def test_one_word(word, value):
    args, kwargs = bind(typed, [word])
    assert args == ()
    assert kwargs == {word.partition("=")[0]: value}
    assert type(next(iter(kwargs.values()))) is type(value)


def test_a_name_given_again_appends_to_a_list():
    assert bind(typed, ["items=1", "items=2", "paths=/a", "paths=/b", "n=1"])[1] == {
        "items": [1, 2],
        "paths": [Path("/a"), Path("/b")],
        "n": 1,
    }


def test_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some").write_bytes(b"[1, 2]")
    (tmp_path / "odd").write_bytes(b"\xff\x00")
    assert bind(typed, ["text=@some", "data=@odd", "items=@some"])[1] == {
        "text": "[1, 2]",
        "data": b"\xff\x00",
        "items": [1, 2],
    }
    with pytest.raises(UsageError, match="text: the file is not UTF-8"):
        bind(typed, ["text=@odd"])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("n=abc", "n=abc is no int"),
        ("n=1.5", "n=1.5 is no int"),
        ("flag=maybe", "flag=maybe is no bool"),
        ('point={"x": "a"}', r"point=.* is no .*Point.*: Expected `int`, got `str` - at `\$\.x`"),
        ("mode=medium", "mode=medium is no"),
        ("items=a", "items=a is no int"),
        ("names=[1]", r"names=\[1\] is no .*Sequence"),
        ("n=" + "x" * 100, "n=x{57}… is no int"),
    ],
)
def test_values_that_do_not_fit_are_named(word, sentence):
    with pytest.raises(UsageError, match=sentence):
        bind(typed, [word])


def test_signatures_of_every_kind():
    @function
    def positional(a: int, /, b: int = 2, *rest: int, c: int = 3, **more: int) -> None: ...

    assert bind(positional, ["a=1", "c=4"]) == ((1,), {"c": 4})
    assert bind(positional, ["a=1", "rest=7", "rest=8", "z=9"]) == ((1, 2, 7, 8), {"z": 9})
    with pytest.raises(UsageError, match=r"positional needs a=…\. It takes a: int"):
        bind(positional, ["b=1"])


def test_a_type_that_json_can_not_make():
    class Engine:
        """Made by nobody."""

    @function
    def needs(engine: Engine) -> None: ...

    needs.callable.__annotations__["engine"] = Engine
    with pytest.raises(UsageError, match=r"engine=x is no Engine: .*let a Function make it"):
        bind(needs, ["engine=x"])


def test_annotations_that_can_not_be_evaluated_say_nothing():
    @function
    def odd(x: Nowhere) -> None: ...  # noqa: F821

    assert bind(odd, ["x=1"]) == ((), {"x": 1})


def test_no_parameters():
    @function
    def none() -> None: ...

    with pytest.raises(UsageError, match=r"none has no parameter 'x'\. none takes no arguments"):
        bind(none, ["x=1"])
