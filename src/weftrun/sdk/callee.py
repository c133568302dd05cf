"""What is called: as much of a Function as bodies, the registry and policies need to know of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from weftrun.model.policy import FunctionSpec
from weftrun.sdk.codec import Encoded
from weftrun.sdk.home import Home
from weftrun.sdk.origin import Origin


class CallSignature(Protocol):
    """What a callable takes; see `sdk.arguments.Signature`."""

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> None:
        """Check that a call has the right arguments."""

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, refs: bool) -> Encoded:
        """Check and encode the arguments of a call."""


class Callee(Protocol):
    """A Function, as those modules see it that `sdk.function` is built on. Its attributes are described there."""

    __name__: str
    __qualname__: str

    @property
    def spec(self) -> FunctionSpec:
        """Name and policy, as the engine keeps them."""

    @property
    def callable(self) -> Callable[..., Any]:
        """The author's function, or what calls it for one call."""

    @property
    def handler(self) -> Callable[..., Any]:
        """The author's function."""

    @property
    def home(self) -> Home:
        """The module whose import makes the Function again."""

    @property
    def signature(self) -> CallSignature:
        """What the callable takes."""

    @property
    def is_async(self) -> bool:
        """Whether the callable is `async def`."""

    @property
    def parts(self) -> int:
        """How many parts the value unpacks into; 0 where that is not said."""

    @property
    def run_id(self) -> str | None:
        """Id for a Run that is started with it."""

    @property
    def durable(self) -> bool:
        """Whether a Run that is started with it keeps records."""

    @property
    def asked(self) -> Any:
        """What its Run asks of a queue; None where it begins at once."""

    @property
    def compensate(self) -> Any:
        """What undoes a Step of it, if the workflow fails; None for nothing."""

    @property
    def origin(self) -> Origin:
        """Where it was made."""

    @property
    def lasts(self) -> bool:
        """Whether its name leads to it for good."""
