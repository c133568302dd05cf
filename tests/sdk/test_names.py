"""A name leads to one Function: what would silently take the place of another is refused where it is made."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weftrun import PolicyError, UsageError, function, workflow
from weftrun.sdk.code import difference
from weftrun.sdk.function import find

Maker = Callable[[Any], Any]


def logged(wrapped: Any) -> Any:
    def inner(x: int) -> Any:
        return wrapped(x)

    return inner


def twice(x: int) -> int:
    return 2 * x


def minus(x: int) -> int:
    return -x


def by_closure(k: Any) -> Any:
    @function
    def product(x: int) -> Any:
        return x * k

    return product


def by_default(k: Any) -> Any:
    @function
    def product(x: int, k: Any = k) -> Any:
        return x * k

    return product


def by_keyword_default(k: Any) -> Any:
    @function
    def product(x: int, *, k: Any = k) -> Any:
        return x * k

    return product


def by_workflow(k: Any) -> Any:
    @workflow
    def wiring(x: int) -> Any:
        return [x, k]

    return wiring


def by_lambda(k: Any) -> Any:
    return function(lambda x: x * k, name="test_names.lambda")


def by_partial(k: Any) -> Any:
    return function(functools.partial(min, k), name="test_names.partial")


def by_object(k: Any) -> Any:
    class Times:
        def __call__(self, x: int) -> Any:
            return x * k

    return function(Times(), name="test_names.object")


def by_wraps(k: Any) -> Any:
    @functools.wraps(twice)
    def inner(x: int) -> Any:
        return twice(x) * k

    return function(inner, name="test_names.wraps")


def by_cache(k: Any) -> Any:
    def product(x: int) -> Any:
        return x * k

    return function(functools.lru_cache(product), name="test_names.cache")


def by_static_method(k: Any) -> Any:
    class Shop:
        @staticmethod
        def product(x: int) -> Any:
            return x * k

    return function(Shop.product)


def late(k: Any) -> Any:
    @function
    def product(x: int) -> Any:
        return x * known_later

    known_later = k
    return product


MAKERS: list[Maker] = [
    by_closure,
    by_default,
    by_keyword_default,
    by_workflow,
    by_lambda,
    by_partial,
    by_object,
    by_wraps,
    by_cache,
    by_static_method,
    late,
]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_two_results_of_one_factory_are_refused(make: Maker) -> None:
    line = sys._getframe().f_lineno
    kept = make(2)
    with pytest.raises(PolicyError) as caught:
        make(3)
    here = re.escape(__file__)
    assert re.fullmatch(
        rf"Two Functions are called '.*': {here}:{line + 3} and {here}:{line + 1}\. "
        r"They differ in their (code|closures|defaults|arguments): give one of them another `name=`\.",
        str(caught.value),
    )
    assert find(kept.spec.name) is kept


def test_a_decorator_without_wraps_is_told_with_both_places() -> None:
    line = sys._getframe().f_lineno + 2

    @function
    @logged
    def double(x: int) -> int:
        return 2 * x

    with pytest.raises(PolicyError) as caught:

        @function
        @logged
        def negate(x: int) -> int:
            return -x

    assert str(caught.value) == (
        f"Two Functions are called '{__name__}:logged.<locals>.inner': {__file__}:{line + 7} and {__file__}:{line}. "
        "They differ in their closures: give one of them another `name=`."
    )
    assert double(5) == 10
    other = function(name="test_names.negate")(logged(minus))
    assert [double(5), other(5)] == [10, -5]


def test_a_function_and_a_workflow_can_not_share_a_name() -> None:
    made = function(twice)
    with pytest.raises(PolicyError, match=r"They differ in their kinds"):
        workflow(twice)
    assert find(made.spec.name) is made


def test_one_line_that_makes_both_is_told_twice() -> None:
    kept = []
    with pytest.raises(PolicyError) as caught:
        kept += [by_closure(k) for k in (2, 3)]
    assert re.search(rf"{re.escape(__file__)}:(\d+) and {re.escape(__file__)}:\1 again\. ", str(caught.value))


# ---------------------------------------------------------------------- the same may be made again


@pytest.mark.parametrize(
    "value",
    [2, "a", (1, [2.5, None]), {"k": np.arange(3)}, twice, float("nan")],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    "make", [by_closure, by_default, by_lambda, by_partial, by_wraps], ids=lambda make: make.__name__
)
def test_equal_ones_may_be_made_again(make: Maker, value: Any) -> None:
    again = pickle.loads(pickle.dumps(value))
    first, second = make(value), make(again)
    assert find(first.spec.name) is second


def test_one_that_calls_itself_or_another_may_be_made_again() -> None:
    def make(k: int) -> Any:
        @function(name="test_names.inner")
        def inner(x: int) -> int:
            return x * k

        @workflow(name="test_names.recursive")
        def recursive(x: int) -> int:
            return recursive(x) if x > 9 else inner(x)

        return inner, recursive

    kept = make(2), make(2)
    with pytest.raises(PolicyError, match="They differ in their closures"):
        make(3)
    assert kept[0] != kept[1]


def test_one_that_nobody_holds_any_more_has_no_name() -> None:
    for k in range(3):
        assert by_closure(k)(5) == 5 * k
    kept: list[Any] = [by_closure(7)]
    kept.append(kept)  # only the collector of cycles finds this out
    del kept
    gc.disable()
    try:
        assert by_closure(8)(5) == 40
    finally:
        gc.enable()


def test_what_is_made_of_it_keeps_its_name() -> None:
    name = by_closure(2).spec.name
    with pytest.raises(UsageError, match="No Function is called"):
        find(name)
    changed = by_closure(2).options(retries=1)
    assert find(name).callable is changed.callable
    travelled = pickle.loads(pickle.dumps(changed))
    del changed
    assert find(name).callable is travelled.callable

    undo = by_default(2).spec.name
    reserve = function(by_default(2).callable, name="test_names.reserve", rollback=by_default(2))
    assert find(undo)(1) == 2
    assert reserve.spec.rollback is not None
    assert reserve.spec.rollback.name == undo


def test_comparing_asks_nothing_of_values_that_can_not_answer() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise OSError("no")

        __hash__ = None  # type: ignore[assignment]

    def make(k: Any) -> Any:
        return lambda: k

    assert difference(make(Odd()), make(Odd())) == "closures"
    assert difference(make(np.ones(3)), make(np.zeros(3))) == "closures"
    assert difference(make({1, 2}), make({2, 1})) == ""
    assert difference(make(1), make(True)) == "closures"
    assert difference(len, len) == ""
    assert difference("a".upper, "b".upper) == "code"
    scope: list[dict[str, Any]] = [{"K": 2}, {"K": 3}]
    for names in scope:
        exec("def f(x): return x * K", names)
    assert difference(scope[0]["f"], scope[1]["f"]) == "globals"


# ---------------------------------------------------------------------- modules that are executed again

MODULE = """
import weftrun
def make(k):
    @weftrun.function
    def product(x): return x * k
    return product
@weftrun.function
def double(x): return FACTOR * x
@weftrun.function(name="test_names.moved")
def OLD(x): return x
by = make(FACTOR)
"""


def write(folder: Path, factor: int, name: str) -> None:
    (folder / "test_names_app.py").write_text(MODULE.replace("FACTOR", str(factor)).replace("OLD", name))
    importlib.invalidate_caches()


def test_a_module_may_be_loaded_again_with_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write(tmp_path, 2, "before")
    app = importlib.import_module("test_names_app")
    stale = app.double
    write(tmp_path, 3, "after")
    importlib.reload(app)
    assert [app.double(1), app.by(1), stale(1)] == [3, 3, 2]
    assert find("test_names_app:double") is app.double
    del sys.modules["test_names_app"]
    write(tmp_path, 4, "later")
    again = importlib.import_module("test_names_app")
    assert [find("test_names_app:double")(1), again.by(1), app.by(1)] == [4, 4, 3]
    del sys.modules["test_names_app"]


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_a_script_that_is_imported_by_its_name_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        MODULE.replace("FACTOR", "2").replace("OLD", "kept")
        + "if __name__ == '__main__':\n"
        + "    import app\n"
        + "    print(app.double(2), double(2), app.by(3), by(3))\n"
    )
    done = run_python("app.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("4 4 6 6\n", "")


def test_the_second_in_a_script_is_refused_at_its_decoration(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(MODULE.replace("FACTOR", "2").replace("OLD", "kept") + "three = make(3)\n")
    done = run_python("app.py", cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == (
        "weftrun.PolicyError: Two Functions are called 'app:make.<locals>.product': "
        f"{tmp_path}/app.py:12 and {tmp_path}/app.py:11. "
        "They differ in their closures: give one of them another `name=`."
    )


CELLS = """
import weftrun
from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.registry import check_in_force

def cell(text): exec(compile(text, "<cell>", "exec"), globals())
def told(use):
    try: use()
    except weftrun.UsageError as error: print(error)
    else: print("fine")

cell("def make(k):\\n  @weftrun.function\\n  def product(x): return x * k\\n  return product")
cell("a = make(2)")
cell("a = make(2)")
cell("a = make(3)")
told(lambda: check_in_force(a))
cell("@weftrun.workflow\\ndef wf(x): return a(x)")
told(lambda: bundle_of(wf))
cell("b = make(4)")
told(lambda: check_in_force(b))
told(lambda: check_in_force(a))
told(lambda: bundle_of(wf))
told(lambda: wf(1))
cell("a = b = make(5)")
told(lambda: wf(1))
cell("del a, b, wf")
for k in range(3):
    one = make(k + 10)
    bundle_of(one)
    assert one(1) == k + 10
    del one
"""


def test_cells_may_be_run_again_and_what_they_replaced_is_refused(tmp_path: Path) -> None:
    done = run_python("-c", CELLS, cwd=tmp_path)
    assert not done.stderr
    replaced = (
        "product was made before another Function took its name '__main__:make.<locals>.product' "
        "(<cell>:1 and <cell>:1 again), and a Sandbox would run the later one. "
        "Use that one, or give one of them another `name=`."
    )
    lines = [re.sub(r"\(.*? again\)", "(<cell>:1 and <cell>:1 again)", line) for line in done.stdout.splitlines()]
    assert lines == ["fine", "fine", "fine", replaced, replaced, replaced, "fine"]
