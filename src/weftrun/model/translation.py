"""What a gateway and the translator of an app say to each other: JSON to values and back, in a process of its own.

The gateway imports no code of an app and unpickles no value of one; whoever must do that is the translator.
"""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.values import Tree


class LoadApp(Struct, frozen=True, array_like=True, tag=0):
    """Import this code, and tell what is in it. The first message."""

    bundle: Bundle


class Bind(Struct, frozen=True, array_like=True, tag=1):
    """Make the encoded arguments of a call from JSON.

    Attributes:
        function: its name in its module.
        arguments: JSON: an object by name, or an array by position.
        has_id: whether digests of the arguments are wanted, by which a Run with the same id is compared.
    """

    function: str
    arguments: bytes
    has_id: bool


class Render(Struct, frozen=True, array_like=True, tag=2):
    """Make JSON of a value; all data in it is inline."""

    tree: Tree


ToTranslator = LoadApp | Bind | Render


class Described(Struct, frozen=True, array_like=True):
    """A Function or a Workflow of an app.

    Attributes:
        name: in its module, as callers name it.
        description: the first paragraph of its docstring.
        schema: JSON Schema of the object with its arguments, as JSON.
        is_durable: whether its Runs keep records, unless the caller wishes otherwise.
    """

    name: str
    function: FunctionSpec
    description: str
    schema: bytes
    is_durable: bool = True


class AppLoaded(Struct, frozen=True, array_like=True, tag=0):
    """What is in the app; or why it can't be imported, as its author is told."""

    functions: tuple[Described, ...] = ()
    failure: str = ""


class Bound(Struct, frozen=True, array_like=True, tag=1):
    """Encoded arguments, and digests of them: what is recorded, then other ways to write it; none where none is known.

    Attributes:
        not_compared: why there is no digest; empty where there is.
    """

    data: bytes
    digests: tuple[str, ...] = ()
    not_compared: str = ""


class Rendered(Struct, frozen=True, array_like=True, tag=2):
    """A value as JSON; where it has none that says it all, `json` is empty, and `repr` tells of it.

    Attributes:
        raw: the value itself where it is bytes; else None.
    """

    json: bytes
    repr: str = ""
    raw: bytes | None = None


class Refused(Struct, frozen=True, array_like=True, tag=3):
    """It can't be done, for a reason that the caller can mend."""

    why: str


FromTranslator = AppLoaded | Bound | Rendered | Refused
