"""What a workflow of DataFlower (FaaSFlow v2) says, in a form that a Run's arguments can hold.

There are blocks, and data that go from one to the other; no edges besides. A block runs when all its inputs are there.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from weftrun.fronts.faasflow.plan import Missing

OutputType = Literal["NORMAL", "FOREACH", "MERGE"]
InputType = Literal["NORMAL", "LIST"]
Place = tuple[int, ...]
"""Which call of a block: its serial in each foreach around it, from the outermost on; empty where there is none."""

USER: Final = "$USER"
COUNT: Final = "VIRTUAL.CNT"
"""The output that every block with a FOREACH has besides: how many it has posted."""


class Sender(Struct, frozen=True):
    """Whence a datum comes.

    Attributes:
        block: the node that posts it; empty for what the Run is given from outside.
        key: under which it is posted.
        case: of a switch, the place of the condition under which it goes this way; -1 where it always does.
    """

    block: str
    key: str
    type: OutputType = "NORMAL"
    case: int = -1

    @property
    def is_token(self) -> bool:
        """Whether it is a `virtual` key, which no code posts: it only says that the way was taken."""
        return self.key.startswith("virtual.")


class BlockInput(Struct, frozen=True):
    """An input of a block; of several sources the first that comes counts, but for a LIST, which takes all."""

    type: InputType
    sources: tuple[Sender, ...] = ()


class BlockCall(Struct, frozen=True):
    """All that one block is called with, besides data.

    Attributes:
        name: of its Steps: the template, and the block where the template has several.
        file: absolute path of its Python file.
        outputs: their types, by key.
        conditions: of a switch, in order.
        gc: whether garbage is collected after it.
    """

    workflow: str
    name: str
    template: str
    block: str
    file: str
    inputs: dict[str, BlockInput] = {}
    outputs: dict[str, OutputType] = {}
    is_switch: bool = False
    conditions: tuple[str, ...] = ()
    gc: bool = False
    missing: Missing = "error"


class Block(Struct, frozen=True):
    """One node of the graph.

    Attributes:
        before: the nodes whose data it takes.
        each: the nodes whose FOREACH data it runs once for each of; all of one length, side by side.
        depth: in how many foreaches it stands.
    """

    call: BlockCall
    before: tuple[str, ...] = ()
    each: tuple[str, ...] = ()
    depth: int = 0

    @property
    def name(self) -> str:
        """The name of its Steps."""
        return self.call.name


class DataPlan(Struct, frozen=True):
    """A workflow as its file says it.

    Attributes:
        blocks: in an order in which each stands behind what it takes data of.
        inputs: names of what the Run must be given from outside; no file says how many bytes they have.
        results: what goes to the user, by the name under which the Run answers with it.
    """

    name: str
    file: str
    blocks: tuple[Block, ...]
    inputs: dict[str, int] = {}
    results: dict[str, tuple[Sender, ...]] = {}

    @property
    def optional(self) -> tuple[str, ...]:
        """The inputs that need not be given: none."""
        return ()
