"""JSON to values and back, in a process of its own that has imported the app."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from weftrun.adapters.process.translator import Translator, TranslatorEnded
from weftrun.model.errors import UsageError
from weftrun.model.policy import Bundle, Program
from weftrun.model.translation import Bind, Bound, Render, Rendered
from weftrun.model.values import Inline, Tree
from weftrun.sdk.codec import decode, encode

APP = '''
import dataclasses, pathlib
from weftrun import function, workflow

@dataclasses.dataclass
class Point:
    x: int
    y: float = 1.0

@function
def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    In more words.
    """
    return a + b

@function
def move(point: Point, to: pathlib.Path, *rest: int, **more: str) -> str:
    return f"{point} {to} {rest} {more}"

class Evil:
    def __init__(self, how: str) -> None:
        raise SystemExit(how)

@function
def tricked(evil: Evil) -> None: ...

@workflow
def twice(a: int) -> int:
    return add(add(a))
'''


@asynccontextmanager
async def started(folder: Path, code: str = APP, **options: Any) -> AsyncIterator[Translator]:
    file = folder / "app.py"
    file.write_text(code)
    program = Program(str(folder), (str(file).encode(),))
    translator = await Translator.started(Bundle("app", str(file), b"", (str(folder),), program), **options)
    try:
        yield translator
    finally:
        await translator.close()


def talk(folder: Path, said: Callable[[Translator], Awaitable[None]], code: str = APP, **options: Any) -> None:
    async def run() -> None:
        async with started(folder, code, **options) as translator:
            await said(translator)

    asyncio.run(run())


async def bound(translator: Translator, name: str, arguments: object, *, has_id: bool = False) -> Bound:
    body = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
    answer = await translator.ask(Bind(name, body, has_id))
    assert isinstance(answer, Bound)
    return answer


def test_what_an_app_has_is_described(tmp_path: Path) -> None:
    async def said(translator: Translator) -> None:
        add, move, tricked, twice = translator.loaded.functions
        assert (add.name, add.description, add.function.name) == ("add", "Add two numbers.", "app:add")
        assert json.loads(add.schema) == {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}},
            "required": ["a"],
            "additionalProperties": False,
        }
        schema = json.loads(move.schema)
        assert schema["properties"]["point"] == {"$ref": "#/$defs/Point"}
        assert schema["$defs"]["Point"]["required"] == ["x"]
        assert schema["properties"]["rest"] == {"type": "array", "items": {"type": "integer"}}
        assert schema["additionalProperties"] is True
        assert json.loads(tricked.schema)["properties"] == {"evil": {}}
        assert twice.function.kind == 1

    talk(tmp_path, said)


def test_arguments_are_made_by_their_hints(tmp_path: Path) -> None:
    async def said(translator: Translator) -> None:
        by_name = await bound(translator, "add", {"b": 3, "a": 1}, has_id=True)
        by_place = await bound(translator, "add", [1, 3], has_id=True)
        assert by_name.digests[0] == by_place.digests[0]
        assert decode(by_place.data) == ((), {"a": 1, "b": 3})
        moved = await bound(translator, "move", [{"x": 1}, "/there", 1, 2])
        assert moved.digests == ()
        assert b"Point" in moved.data
        await bound(translator, "move", {"point": {"x": 1}, "to": "/", "rest": [1], "else": "more"})

    talk(tmp_path, said)


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("add", b"{", r"no JSON object"),
        ("add", b"\xff\xfe", r"no JSON object"),
        ("add", 3, r"no JSON object and no array"),
        ("add", {"a": "x"}, r"^a: Expected `int`, got `str`\.$"),
        ("add", {}, r"add needs a=…\. It takes a: int, b: int = 2\."),
        ("add", {"a": 1, "bb": 1}, r"no parameter 'bb'\. Did you mean b\?"),
        ("add", [1, 2, 3], r"3 arguments by position, and takes 2"),
        ("move", {"point": {"y": 1}, "to": ""}, r"missing required field `x`"),
        ("gone", {}, r"no Function 'gone'"),
        ("tricked", {"evil": "x"}, r"evil can't be made as Evil from JSON"),
    ],
)
def test_bad_arguments_are_told(tmp_path: Path, name: str, arguments: object, why: str) -> None:
    async def said(translator: Translator) -> None:
        with pytest.raises(UsageError, match=why):
            await bound(translator, name, arguments)
        assert decode((await bound(translator, "add", [1])).data) == ((), {"a": 1})

    talk(tmp_path, said)


def test_values_become_json_or_bytes_or_are_told(tmp_path: Path) -> None:
    async def rendered(translator: Translator, value: object) -> Rendered:
        answer = await translator.ask(Render(Tree(Inline(encode(value, what="it").tobytes()))))
        assert isinstance(answer, Rendered)
        return answer

    async def said(translator: Translator) -> None:
        assert (await rendered(translator, {"a": [1, 2.5, None]})).json == b'{"a": [1, 2.5, null]}'
        assert (await rendered(translator, b"\x00raw")).raw == b"\x00raw"
        nothing = await rendered(translator, complex(1, 2))
        assert (nothing.json, nothing.repr, nothing.raw) == (b"", "(1+2j)", None)
        with pytest.raises(UsageError, match="UnpicklingError"):
            await translator.ask(Render(Tree(Inline(b"\x00garbage"))))

    talk(tmp_path, said)


def test_an_import_that_fails_is_told_to_the_author(tmp_path: Path) -> None:
    async def said(translator: Translator) -> None:
        assert "ZeroDivisionError" in translator.loaded.failure
        assert 'app.py", line 1' in translator.loaded.failure

    talk(tmp_path, said, "1 / 0")


def test_code_that_ends_or_hangs_takes_nobody_along(tmp_path: Path) -> None:
    async def dies(translator: Translator) -> None:
        with pytest.raises(TranslatorEnded, match="ended while"):
            await translator.ask(Render(Tree(Inline(encode(_Exits(), what="it").tobytes()))))
        assert not translator.is_alive
        with pytest.raises(TranslatorEnded, match="has ended"):
            await bound(translator, "add", [1])

    talk(tmp_path, dies)

    async def hangs() -> None:
        with pytest.raises(TranslatorEnded, match="no answer within"):
            async with started(tmp_path, "import time\ntime.sleep(60)", patience_s=0.5):
                pass

    asyncio.run(hangs())


class _Exits:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)
