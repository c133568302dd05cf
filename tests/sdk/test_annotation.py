"""What a call unpacks into is read off its annotation, which is never evaluated."""

from __future__ import annotations

import functools
import sys
from typing import Any

import pytest
from tests.sdk import annotated

import weftrun
from weftrun import RefUsedAsValue
from weftrun.sdk.annotation import parts_of

COUNTS = {"none": 0, "one": 1, "two": 2, "three": 3}
WRITTEN = {name: made for name, made in vars(annotated).items() if name.partition("_")[0] in COUNTS}


@pytest.mark.parametrize("name", WRITTEN)
def test_parts(name: str) -> None:
    assert parts_of(WRITTEN[name]) == COUNTS[name.partition("_")[0]]


def test_what_is_no_text() -> None:
    def parts(annotation: Any) -> int:
        def made() -> None: ...

        made.__annotations__["return"] = annotation
        return parts_of(made)

    known = [tuple[int, str, int], tuple[int, ...], tuple, annotated.Point, annotated.Both[int], annotated.New]
    assert [parts(hint) for hint in known] == [3, 0, 0, 2, 2, 2]
    texts = [
        "tuple[int, str]",
        "Tuple[int]",
        "tuple[Gone, int]",
        "list[int]",
        "Gone",
        "not a type",
        "'tuple[int, int]'",
    ]
    assert [parts(hint) for hint in texts] == [2, 1, 2, 0, 0, 0, 2]
    assert parts("__import__('os').abort()") == 0, "nothing is evaluated"


def test_callables_of_every_kind() -> None:
    class Splitter:
        def __call__(self, text: str) -> tuple[str, str]:
            return text, text

    @functools.wraps(annotated.two)
    def wrapped() -> Any: ...

    assert parts_of(Splitter()) == 2
    assert parts_of(wrapped) == 2
    assert parts_of(functools.partial(annotated.three_checked_alias)) == 3
    assert parts_of(functools.lru_cache(annotated.two)) == 2
    assert parts_of(annotated.Point) == 2
    assert [parts_of(made) for made in (len, str, "a".join)] == [0, 0, 0]


@weftrun.function
def price(x: int) -> tuple[Money, int]:  # type: ignore[name-defined]  # noqa: F821
    return x, 2 * x


@weftrun.function
def point(x: int) -> annotated.Point:
    return annotated.Point(x, 2 * x)


@weftrun.workflow
def unpacking(x: int) -> Any:
    a, b = price(x)
    left, right = point(b)
    return [a, b, left, right]


def test_a_call_unpacks() -> None:
    assert unpacking(1) == [1, 2, 2, 4]

    @weftrun.workflow
    def wrong() -> Any:
        a, b = weftrun.function(annotated.none_list)()
        return a, b

    with pytest.raises(RefUsedAsValue, match="iterating or unpacking"):
        wrong()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before, a name that is not there fails at the definition")
def test_annotations_that_are_evaluated_late() -> None:
    scope: dict[str, Any] = {}
    exec("def late(*, x: Gone) -> tuple[Gone, int]: ...", scope)
    made = weftrun.function(scope["late"], name="test_annotation.late")
    assert made.parts == 2
    with pytest.raises(TypeError):
        weftrun.workflow(lambda: made(1), name="test_annotation.calls_late")()
