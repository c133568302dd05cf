"""Decorating: names, versions, policies, and everything that is refused, with file and line."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import pickle
import re
import subprocess
import sys
from typing import Any

import pytest
from tests.sdk.authors import add, diamond, later, pair

import weftrun
from weftrun import PolicyError, Retry, UsageError, function, workflow
from weftrun.model.policy import Kind
from weftrun.sdk.function import code_version, find
from weftrun.sdk.policy import CallPolicy

HERE = __name__


def plain(x: int) -> int:
    """Return x."""
    return x


@pytest.mark.parametrize("name", ["caf\udce9", "a\0b", "a[b", "a/b", "a\nb"])
def test_a_callable_whose_name_can_not_stand_in_a_step_id(name: str) -> None:
    def odd() -> None: ...

    odd.__qualname__ = name
    with pytest.raises(PolicyError, match="can't be the name of a Step: give it another one by `name=`"):
        function(odd)
    assert function(odd, name=f"odd_{len(name)}_{ord(name[1])}").spec.label.startswith("odd_")


def test_a_function_keeps_what_it_wraps() -> None:
    made = function(plain)
    assert made(3) == 3
    assert (made.__name__, made.__doc__, made.__wrapped__, made.__module__) == ("plain", "Return x.", plain, HERE)
    assert made.spec.name == f"{HERE}:plain"
    assert made.spec.label == "plain"
    assert repr(made) == f"<weftrun function {HERE}:plain>"
    assert repr(diamond) == "<weftrun workflow tests.sdk.authors:diamond>"


def test_kinds() -> None:
    @workflow
    async def watching() -> None: ...

    assert (add.spec.kind, later.spec.kind) == (Kind.FUNCTION, Kind.FUNCTION)
    assert (diamond.spec.kind, watching.spec.kind) == (Kind.WIRING, Kind.WATCHING)
    assert (add.is_async, later.is_async) == (False, True)


def test_bare_and_with_keywords_and_around_others_callables() -> None:
    @function(retries=2, timeout_s=3, effects="none", checkpoint="sync", deterministic=True, network=False)
    def policed() -> None: ...

    @function(privileges="keep", network=False)
    def kept() -> None: ...

    spec = policed.spec
    assert spec.retry == Retry(2)
    assert (spec.timeout_s, spec.effects, spec.checkpoint, spec.deterministic, spec.network) == (
        3.0,
        "none",
        "sync",
        True,
        False,
    )
    assert policed.spec.privileges == "drop"
    assert (kept.spec.network, kept.spec.privileges) == (False, "keep")
    assert (add.options(privileges="keep").spec.network, kept.options(privileges="drop").spec.reach) == (True, False)
    assert kept.options(network=True).spec.privileges == "keep"
    dumps = function(json.dumps, name="as_json")
    assert dumps({"a": 1}) == '{"a": 1}'
    assert (dumps.spec.name, dumps.spec.label, dumps.home.module) == ("as_json", "as_json", HERE)
    assert function(functools.partial(int, base=2), name="binary")("101") == 5
    assert function(len).spec.name == "builtins:len"
    assert function(name=f"{HERE}:other.thing")(lambda: 1).spec.label == "thing"


def test_find() -> None:
    assert find("tests.sdk.authors:add") is add
    assert find("tests.sdk.authors:pair") is pair
    with pytest.raises(UsageError, match=r"No Function is called 'tests\.sdk\.authors:gone' here: was it renamed"):
        find("tests.sdk.authors:gone")
    with pytest.raises(ModuleNotFoundError):
        find("no_such_module:f")


def test_two_functions_of_one_name_are_refused() -> None:
    function(plain, name="taken")
    function(plain, name="taken")
    with pytest.raises(
        PolicyError, match=r"Two Functions are called 'taken': .*test_function\.py:\d+ and .*test_function\.py:\d+"
    ):
        function(lambda: 1, name="taken")


def test_functions_travel_by_name_with_their_options() -> None:
    assert pickle.loads(pickle.dumps(add)) is add
    changed = pickle.loads(pickle.dumps(add.options(retries=3)))
    assert changed.spec.retry == Retry(3)
    assert changed.callable is add.callable


# ---------------------------------------------------------------------- versions


def test_versions_follow_the_code_and_nothing_else() -> None:
    def one(x: int) -> bool:
        return x in {1, 2, 3} and any(y for y in (x, "a"))

    source = "def one(x):\n    return x in {1, 2, 3} and any(y for y in (x, 'a'))\n"
    versions = []
    for text in (source, "\n\n# moved\n" + source, source.replace("3", "4"), source.replace("x,", "x,x,")):
        scope: dict[str, Any] = {}
        exec(compile(text, "other.py", "exec"), scope)
        versions.append(code_version(scope["one"]))
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert code_version(functools.partial(one, 3)) == code_version(one) != ""
    assert code_version(len) == ""


def test_versions_are_the_same_in_every_process() -> None:
    code = (
        "from weftrun.sdk.function import code_version\n"
        "def f(x): return x in {'a', 'b', 'c'} and (lambda: {'d', ('e', 1)})\n"
        "print(code_version(f))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


# ---------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"retires": 3}, "there is no policy `retires`; did you mean `retries`?"),
        ({"zzz": 3}, "there is no policy `zzz`; there are batch, checkpoint, concurrency, "),
        ({"retries": -1}, "`retries=-1` is not a number of retries from 0 to 999, or a Retry of that many."),
        ({"retries": True}, "`retries=True` is not a number of retries"),
        ({"retries": "3"}, "`retries='3'` is not a number of retries"),
        ({"retries": 1000}, "`retries=1000` is not a number of retries from 0 to 999"),
        ({"timeout_s": 0}, "`timeout_s=0` is not a positive number of seconds."),
        ({"timeout_s": "5"}, "`timeout_s='5'` is not a positive number of seconds."),
        ({"timeout_s": float("nan")}, "is not a positive number of seconds."),
        ({"concurrency": -2}, "`concurrency=-2` is not a number from 1 to 256, or one of ("),
        ({"runtime": "wasm"}, "`runtime='wasm'` is not one of 'process', 'bwrap', 'oci'."),
        ({"memory_bytes_max": 10}, "`memory_bytes_max=10` is not a number of bytes, at least 1 MiB."),
        ({"effects": "some"}, "`effects='some'` is not one of 'visible', 'none', 'transaction'."),
        ({"effects": ["none"]}, "is not one of 'visible', 'none', 'transaction'."),
        ({"checkpoint": "never"}, "`checkpoint='never'` is not one of 'auto', 'sync', 'async', 'none'."),
        ({"deterministic": 1}, "`deterministic=1` is not True or False."),
        ({"network": None}, "`network=None` is not True or False."),
        ({"privileges": "all"}, "`privileges='all'` is not one of 'drop', 'keep'."),
        ({"privileges": True}, "`privileges=True` is not one of 'drop', 'keep'."),
        ({"name": ""}, "`name=''` is not a text of 1 to 256 printable characters"),
        ({"name": "a[1]"}, "`name='a[1]'` is not a text"),
        ({"version": 3}, "`version=3` is not a text"),
        ({"id": "x"}, "`id` can't stand here: it names one Run: write `.options(id=...)` where the Run is started."),
        ({"after": []}, "`after` can't stand here: it orders one call"),
    ],
)
def test_policies_refused_at_decoration(policy: dict[str, Any], text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        function(plain, **policy)
    line = plain.__code__.co_firstlineno
    assert str(caught.value).startswith(f"plain ({__file__}:{line}): ")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        *("retries", "timeout_s", "effects", "checkpoint", "deterministic"),
        *("memory_bytes_max", "network", "privileges", "concurrency", "runtime"),
    ],
)
def test_what_can_not_hold_for_a_workflow(key: str) -> None:
    with pytest.raises(PolicyError, match=rf"plain \(.*test_function\.py:\d+\): `{key}` can't hold for a workflow"):
        workflow(plain, **{key: 1})
    assert workflow(plain, name="w", version="1").spec.version == "1"


def test_the_time_of_a_body_is_a_workflows() -> None:
    assert workflow(plain, name="w", version="1", body_timeout_s=2).spec.timeout_s == 2.0
    assert workflow(plain, name="w", version="1").options(body_timeout_s=0.5, id="w-1").spec.timeout_s == 0.5
    with pytest.raises(PolicyError, match=r"`body_timeout_s` bounds the body of a workflow; the time of a Function is"):
        function(plain, body_timeout_s=2)
    with pytest.raises(PolicyError, match=r"`body_timeout_s` bounds the body of a workflow"):
        add.options(body_timeout_s=2)
    with pytest.raises(PolicyError, match=r"Its own body is bounded by `body_timeout_s`\."):
        workflow(plain, timeout_s=2)
    for wrong in (0, -1, "5", None, True, float("nan"), float("inf")):
        with pytest.raises(PolicyError, match=r"`body_timeout_s=.*` is not a positive number of seconds\."):
            workflow(plain, body_timeout_s=wrong)
    with pytest.raises(PolicyError, match=r"no policy `body_timeout`; did you mean `body_timeout_s`\?"):
        workflow(plain, body_timeout=1)
    with pytest.raises(PolicyError, match=r"no policy `zzz`; there are body_timeout_s, name, version\."):
        workflow(plain, zzz=1)


@pytest.mark.parametrize("policy", [{"name": "x"}, {"version": "x"}])
def test_what_belongs_to_the_decorator(policy: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=r"can't stand here: .* put it on the decorator"):
        add.options(**policy)


def test_one_attempt_at_a_time_may_be_asked_for() -> None:
    assert add.options(concurrency=1, runtime="process").spec == add.spec


def test_options_are_a_copy_and_add_up() -> None:
    changed = add.options(retries=2).options(timeout_s=1, id="r-1")
    assert (changed.spec.retry, changed.spec.timeout_s, changed.run_id) == (Retry(2), 1.0, "r-1")
    assert (add.spec.retry, add.run_id) == (None, None)
    with pytest.raises(PolicyError, match="`after` takes Refs"):
        add.options(after=[1])


def test_lambdas_need_a_name() -> None:
    line = sys._getframe().f_lineno + 2
    with pytest.raises(PolicyError) as caught:
        function(lambda x: x)
    assert str(caught.value) == (
        f"A lambda ({__file__}:{line}) has no name that a Sandbox could find it by: use `def`, or give `name=`."
    )
    with pytest.raises(PolicyError, match="has no name"):
        function(functools.partial(plain, 1))


def test_methods_are_refused() -> None:
    text = "its `self` would be copied to every Step. Write a module-level function that takes the object."
    with pytest.raises(PolicyError) as caught:

        class K:
            @function
            def m(self) -> None: ...

    assert str(caught.value).startswith("@function on the method ")
    assert ".K.m (" in str(caught.value)
    assert "test_function.py:" in str(caught.value)
    assert str(caught.value).endswith(text)
    with pytest.raises(PolicyError, match=r"@workflow on the method .*K2"):

        class K2:
            @workflow(name="x")
            def m(self) -> None: ...

    with pytest.raises(PolicyError, match=r"@function on the method Some.go"):
        function(Some().go)


class Some:
    def go(self) -> None: ...

    @staticmethod
    @function
    def below(n: int) -> int:
        return n - 1

    @function(name="above", timeout_s=5)
    @staticmethod
    def above(n: int) -> int:
        return n + 1


def test_static_methods_are_functions() -> None:
    assert (Some.below(2), Some().below(2), Some.above(2)) == (1, 1, 3)
    assert Some.below.spec.name.endswith(":Some.below")
    assert (Some.above.spec.name, Some.above.spec.timeout_s) == ("above", 5)
    with pytest.raises(PolicyError, match=r"on the method .*K3.m"):

        class K3:
            @function
            @classmethod
            def m(cls) -> None: ...


def test_other_things_are_refused() -> None:
    with pytest.raises(PolicyError, match="takes a callable, not 3"):
        function(3)
    with pytest.raises(PolicyError, match="add is made by @function or @workflow already"):
        workflow(add)


# ---------------------------------------------------------------------- calling outside


def test_outside_calls_are_plain() -> None:
    assert add(1, y=2) == 3
    assert add.map([1, 2], [10, 20]) == [11, 22]
    assert add.map(iter([1, 2]), y=5) == [6, 7]
    with pytest.raises(ValueError, match="shorter"):
        add.map([1, 2], [1])


def test_step_outside_a_body() -> None:
    with pytest.raises(UsageError) as caught:
        add.step(1)
    assert str(caught.value) == (
        "add.step(...) outside a workflow body. Call add(...) for a plain call, or engine.start(add, ...)."
    )


@pytest.mark.parametrize("column", ["abc", b"abc", 5])
def test_a_constant_where_items_belong(column: Any) -> None:
    kind = f"{'an' if column == 5 else 'a'} {type(column).__name__}"
    text = (
        f"add.map: argument 2 is {kind}, not a sequence of items. Hand a constant by keyword: add.map(items, name=...)."
    )
    with pytest.raises(UsageError) as caught:
        add.map([1], column)
    assert str(caught.value) == text

    @workflow
    def wiring(items: Any) -> Any:
        return add.map([1], items)

    with pytest.raises(UsageError) as caught:
        wiring(column)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "add(): missing a required argument: 'x'."),
        ((1, 2, 3), {}, "add(): too many positional arguments."),
        ((1,), {"x": 2}, "add(): multiple values for argument 'x'."),
        ((1,), {"z": 2}, "add(): got an unexpected keyword argument 'z'."),
    ],
)
def test_arguments_are_checked_at_the_call(args: Any, kwargs: Any, text: str) -> None:
    @workflow
    def wiring() -> Any:
        return add(*args, **kwargs)

    with pytest.raises(TypeError) as caught:
        wiring()
    assert str(caught.value) == text


def test_parameters_may_have_any_name() -> None:
    """Also those of our own methods: `self`, `items`, `fn`, and of what stands behind them."""

    @function(name="odd_names")
    def odd(self: Any, items: Any, fn: Any = 0, *, function: Any = 0, args: Any = 0, kwargs: Any = 0) -> list[Any]:
        return [self, items, fn, function, args, kwargs]

    @workflow
    def wiring(self: Any, items: Any) -> Any:
        mapped = odd.map([1, 2], items=items, fn=self, function=4, args=5, kwargs=6)
        return [odd(self=self, items=items, function=3), mapped]

    @workflow
    async def watching(self: Any, fn: Any) -> Any:
        return await odd.step(self=self, items=2, fn=fn)

    assert odd(self=1, items=2) == [1, 2, 0, 0, 0, 0]
    assert odd.map([1], items=2, fn=3) == [[1, 2, 3, 0, 0, 0]]
    assert wiring(self=1, items=2) == [[1, 2, 0, 3, 0, 0], [[1, 2, 1, 4, 5, 6], [2, 2, 1, 4, 5, 6]]]
    assert asyncio.run(watching(self=1, fn=3)) == [1, 2, 3, 0, 0, 0]

    @function(name="rest_of_odd_names")
    def rest(**named: Any) -> dict[str, Any]:
        return named

    names = dict.fromkeys(("self", "callable", "fn", "items", "name", "id", "after", "timeout_s"), 1)
    assert rest(**names) == workflow(lambda: rest(**names), name="calls_odd_names")() == names


def test_callables_of_every_signature_can_be_called() -> None:
    def rest(a: int, /, b: int = 1, *c: int, d: int, **e: int) -> list[int]:
        return [a, b, *c, d, *e.values()]

    variadic = function(rest, name="variadic")
    builtin = function(max, name="builtin")

    @workflow
    def wiring() -> Any:
        return [variadic(1, 2, 3, d=4, e=5), variadic(1, d=2), builtin(3, 4)]

    assert wiring() == [[1, 2, 3, 4, 5], [1, 1, 2], 4]
    with pytest.raises(TypeError, match="'d'"):
        workflow(lambda: variadic(1), name="bad")()


def test_version_is_public() -> None:
    assert weftrun.__version__.count(".") == 2


def test_no_checkpoint_needs_no_effects() -> None:
    """A crash has a Step without a record run again: it must do nothing outside (C3)."""
    with pytest.raises(PolicyError, match=r'say `effects="none"` if it does nothing there, else take `checkpoint='):
        function(plain, checkpoint="none")
    quiet = function(plain, name="quiet_plain", checkpoint="none", effects="none")
    assert quiet.options(deterministic=True).spec.checkpoint == "none"
    with pytest.raises(PolicyError, match='`checkpoint="none"` lets a crash run it again'):
        quiet.options(effects="visible")
    seen = function(plain, name="seen_plain")
    with pytest.raises(PolicyError, match='`checkpoint="none"` lets a crash run it again'):
        seen.options(checkpoint="none")
    assert seen.options(checkpoint="none", effects="none").spec.effects == "none"


@function
def put(x: int, *, y: int = 1) -> None:
    """Nothing."""


@function
def put_back(x: int, *, y: int = 1) -> None:
    """Nothing."""


@function
def put_elsewhere(x: int) -> None:
    """Nothing."""


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"rollback": put_elsewhere}, r"its rollback put_elsewhere\(x\).*same parameters: \(x, \*, y=1\)"),
        ({"rollback": print}, "is not a Function: decorate it with @function"),
        ({"rollback": put_back, "effects": "none"}, "there is nothing to undo"),
        ({"rollback": function(rollback=put_back)(put.callable)}, "is not a Function without a rollback of its own"),
    ],
)
def test_rollbacks_are_checked_at_decoration(policy: dict[str, Any], text: str) -> None:
    with pytest.raises(PolicyError, match=text):
        function(**policy)(put.callable)


def test_a_rollback_is_part_of_the_policy() -> None:
    undone = function(rollback=put_back, name="undone")(put.callable)
    assert undone.spec.rollback == put_back.spec
    with pytest.raises(UsageError, match=r"undone.map: undone has a rollback.*\[undone\(x\) for x in items\]"):
        undone.map([1])
    with pytest.raises(PolicyError, match="`rollback` can't stand here"):
        put.options(rollback=put_back)


CALL_POLICIES = sorted(CallPolicy.__annotations__)


@pytest.mark.parametrize("key", CALL_POLICIES)
def test_a_policy_among_the_arguments_is_told_where_it_belongs(key: str) -> None:
    text = re.escape(
        f"unexpected keyword argument '{key}'. `{key}` is a policy, not an argument: write taken.options({key}=...)."
    )

    @function(name=f"tests.policies.{key}.taken")
    def taken(x: int) -> int:
        return x

    @workflow(name=f"tests.policies.{key}.wires")
    def wires(call: str) -> object:
        return {"call": taken, "map": taken.map}[call]([1], **{key: 1})

    @workflow(name=f"tests.policies.{key}.looks")
    async def looks() -> object:
        return await taken.step(1, **{key: 1})

    for call in (
        lambda: taken(1, **{key: 1}),
        lambda: taken.map([1], **{key: 1}),
        lambda: wires("call"),
        lambda: wires("map"),
        lambda: asyncio.run(looks()),
        lambda: taken.signature.check((1,), {key: 1}),  # as `engine.start` does
    ):
        with pytest.raises(TypeError, match=text):
            call()


def test_several_policies_and_those_of_a_decorator_among_the_arguments() -> None:
    @function(name="tests.policies.several")
    def several(x: int, id: int = 0) -> int:
        return x + id

    assert several(1, id=2) == 3
    with pytest.raises(
        TypeError, match=r"`retries` and `timeout_s` are policies, not .* several\.options\(retries=\.\.\., "
    ):
        several(1, id=2, retries=3, timeout_s=1)
    with pytest.raises(TypeError, match=r"`rollback` is a policy: .* put it on the decorator"):
        several(1, rollback=several)
    with pytest.raises(TypeError, match=r"'other'\.$"):
        several(1, other=3)


def test_items_by_keyword() -> None:
    @function(name="tests.items_by_keyword")
    def one(x: int, y: int = 0) -> int:
        return x

    @workflow(name="tests.wires_items_by_keyword")
    def wires() -> object:
        return one.map(x=[1])  # type: ignore[call-arg]

    text = r"items_by_keyword\.map\({}\) has no items: items are positional, .* given by keyword is the same for all"
    for call, said in ((lambda: one.map(x=[1], y=2), "x=..., y=..."), (one.map, ""), (wires, "x=...")):
        with pytest.raises(UsageError, match=text.format(re.escape(said))):
            call()
