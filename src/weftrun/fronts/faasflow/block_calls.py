"""The Functions and Workflows that run a workflow of DataFlower; what a Sandbox imports.

One Function runs every block. A block is called with all that the blocks before it have posted, and takes of it what
goes to its inputs; one that stands in a foreach is a map, with an item for each call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from weftrun.fronts.faasflow.block_execution import execute_block
from weftrun.fronts.faasflow.calls import labelled
from weftrun.fronts.faasflow.dataflow import Block, BlockCall, BlockInput, DataPlan, Place, Sender
from weftrun.fronts.faasflow.posts import Arrivals, Datum, Posts, Unposted, counted, value_of
from weftrun.fronts.faasflow.results import Answer
from weftrun.fronts.faasflow.store import MissingData
from weftrun.sdk.function import Function, function, workflow


class BlockArrivals(TypedDict):
    """What has come to a block, for `run_block`; see `Arrivals`."""

    outside: dict[str, Datum]
    given: dict[str, Posts | list[Posts]]
    places: dict[str, list[Place]]
    unborn: dict[str, list[Place]]


def run_block(call: BlockCall, place: Place, arrived: BlockArrivals) -> Posts:
    """Run one call of a block, unless one of its inputs never comes."""
    return _called(call, Arrivals(**arrived), place)


@function(name="weftrun.faasflow:block", effects="none")
def call_block(call: BlockCall, outside: dict[str, Datum], given: dict[str, Posts]) -> Posts:
    """Run one block once, unless one of its inputs never comes."""
    return _called(call, Arrivals(outside, given, {}, {}), ())


@function(name="weftrun.faasflow:block-item", effects="none")
def call_block_item(
    place: Place,
    call: BlockCall,
    outside: dict[str, Datum],
    given: dict[str, Posts | list[Posts]],
    places: dict[str, list[Place]],
    unborn: dict[str, list[Place]],
) -> Posts:
    """Run one call of a block that stands in a foreach; see `Arrivals`."""
    return _called(call, Arrivals(outside, given, places, unborn), place)


@function(name="weftrun.faasflow:count", deterministic=True, effects="none")
def count(posts: Posts, keys: list[str]) -> int:
    """Return how often what is behind a foreach is to run; see `counted`."""
    return counted(posts, keys)


@function(name="weftrun.faasflow:block-results", deterministic=True, effects="none")
def block_answer(
    results: Mapping[str, tuple[Sender, ...]],
    outside: dict[str, Datum],
    given: dict[str, Posts | list[Posts]],
    places: dict[str, list[Place]],
    unborn: dict[str, list[Place]],
) -> dict[str, Answer]:
    """Return what has come to the user, by key: a list where it was posted in a foreach.

    Where several blocks have sent something under one key, each has its own, `BLOCK.KEY`.
    """
    arrivals = Arrivals(outside, given, places, unborn)
    found: dict[str, Answer] = {}
    for name, sources in results.items():
        came: dict[str, Answer] = {}
        for block in dict.fromkeys(source.block for source in sources):
            own = tuple(source for source in sources if source.block == block)
            is_list = block in places or any(source.type != "NORMAL" for source in own)
            try:
                data = arrivals.at(BlockInput("LIST" if is_list else "NORMAL", own), ())
            except Unposted as error:
                raise MissingData(_sentence("The user waits for", name, error)) from None
            if data is not None:
                values = [value_of(datum) for datum in data]
                came[block] = values if is_list else values[0]
        found |= {f"{block}.{name}" if len(came) > 1 else name: value for block, value in came.items()}
    return found


@workflow(name="weftrun.faasflow:dataflow")
def run_blocks(plan: DataPlan, inputs: dict[str, Any]) -> Any:
    """Wire a workflow without a foreach. `inputs` are what the Run is given from outside, by name."""
    wiring = BlockWiring(inputs)
    for block in plan.blocks:
        wiring.call(block)
    return wiring.answer(plan.results)


@workflow(name="weftrun.faasflow:dataflow-foreach")
async def run_blocks_foreach(plan: DataPlan, inputs: dict[str, Any]) -> Any:
    """Wire a workflow, and what stands behind a foreach as soon as it is known how often it is to run."""
    wiring = BlockWiring(inputs)
    await wiring.call_all(plan.blocks)
    return wiring.answer(plan.results)


class BlockWiring:
    """The graph of one Run, as far as it is wired.

    Attributes:
        made: by node, the Ref of what it posts.
        places: of each node in a foreach, which calls of it there are.
        unborn: see `Arrivals`.
    """

    def __init__(self, inputs: Mapping[str, Any], functions: Mapping[str, Function[..., Any]] | None = None) -> None:
        """Begin with what the Run is given from outside.

        Args:
            functions: what runs each node, called with its place and an `BlockArrivals`; by default one runs all.
        """
        self._functions = functions or {}
        outside = Posts()
        for name, value in inputs.items():
            outside.post(name, value, "octet" if isinstance(value, bytes) else "json")
        self._outside = {name: data[0] for name, data in outside.kept.items()}
        self.made: dict[str, Any] = {}
        self.places: dict[str, list[Place]] = {}
        self.unborn: dict[str, list[Place]] = {}
        self._depths: dict[str, int] = {}

    def call(self, block: Block) -> None:
        """Call a block once."""
        given = {name: self.made[name] for name in block.before}
        own = self._functions.get(block.name)
        if own is not None:
            self.made[block.name] = own((), self._arrived(block, given))
        elif self.places.keys() & given.keys():
            function: Any = labelled(call_block_item, block.name)
            self.made[block.name] = function((), block.call, self._outside, given, *self._where(block.before))
        else:
            self.made[block.name] = labelled(call_block, block.name)(block.call, self._outside, given)

    def counts(self, block: Block, name: str) -> Any:
        """Return a Ref of how much the node `name` has posted for a block to run for each of; a list in a foreach."""
        keys = [
            source.key
            for taken in block.call.inputs.values()
            for source in taken.sources
            if source.block == name and source.type == "FOREACH" and taken.type == "NORMAL"
        ]
        counting: Any = labelled(count, f"{name}-foreach")
        if name in self.places:
            return counting.map(self.made[name], keys=keys)
        return counting.step(self.made[name], keys)

    def map(self, block: Block, counts: Mapping[str, list[int]]) -> None:
        """Call a block once for each of what drives it; where nothing does, for each call of what is before it.

        Raises:
            ValueError: two nodes drive it side by side, and have posted unlike much.
        """
        if counts:
            places, unborn = _multiplied(block, counts, self.places)
            for name in block.each:
                unborn += self.unborn.get(name, [])
        else:
            name = next(name for name in block.before if self._depths.get(name) == block.depth)
            places, unborn = self.places[name], self.unborn[name]
        given = {name: self.made[name] for name in block.before}
        where, dead = self._where(block.before)
        own: Any = self._functions.get(block.name)
        if own is not None:
            self.made[block.name] = own.map(places, arrived=self._arrived(block, given))
        else:
            function: Any = labelled(call_block_item, block.name)
            self.made[block.name] = function.map(
                places, call=block.call, outside=self._outside, given=given, places=where, unborn=dead
            )
        self.places[block.name], self.unborn[block.name] = places, unborn
        self._depths[block.name] = block.depth

    async def call_all(self, blocks: Sequence[Block]) -> None:
        """Call all blocks: at once what stands behind no foreach, the others as soon as it is known how often."""
        behind: set[str] = set()
        for block in blocks:
            if block.depth or behind.intersection(block.before):
                behind.add(block.name)
            else:
                self.call(block)
        for block in blocks:
            if block.name not in behind:
                continue
            if block.depth:
                counts = {name: await self.counts(block, name) for name in block.each}
                self.map(block, {name: [found] if isinstance(found, int) else found for name, found in counts.items()})
            else:
                self.call(block)

    def _arrived(self, block: Block, given: dict[str, Any]) -> BlockArrivals:
        places, unborn = self._where(block.before)
        return BlockArrivals(outside=self._outside, given=given, places=places, unborn=unborn)

    def answer(self, results: Mapping[str, tuple[Sender, ...]]) -> Any:
        """Return the Ref of what the Run answers with."""
        names = dict.fromkeys(source.block for sources in results.values() for source in sources if source.block)
        given = {name: self.made[name] for name in names}
        return labelled(block_answer, "results")(results, self._outside, given, *self._where(names))

    def _where(self, names: Any) -> tuple[dict[str, list[Place]], dict[str, list[Place]]]:
        return (
            {name: self.places[name] for name in names if name in self.places},
            {name: self.unborn[name] for name in names if name in self.unborn},
        )


def _multiplied(
    block: Block, counts: Mapping[str, list[int]], places: Mapping[str, list[Place]]
) -> tuple[list[Place], list[Place]]:
    """Return the places of a block's calls, and those at which there are none since what drives it never ran."""
    around = places.get(block.each[0], [()])
    found: list[Place] = []
    unborn: list[Place] = []
    for index, place in enumerate(around):
        told = {name: several[index] if index < len(several) else -1 for name, several in counts.items()}
        if len(set(told.values())) > 1:
            shown = " and ".join(f"{name} has posted {max(0, number)}" for name, number in told.items())
            raise ValueError(f"{block.name} runs for each of several data side by side, and {shown}.")
        number = next(iter(told.values()))
        if number < 0:
            unborn.append(place)
        found += [(*place, serial) for serial in range(number)]
    return found, unborn


def _called(call: BlockCall, arrivals: Arrivals, place: Place) -> Posts:
    arrived: dict[str, Any] = {}
    is_dead = False
    for name, wanted in call.inputs.items():
        try:
            came = arrivals.at(wanted, place)
        except Unposted as error:
            if call.missing == "error":
                raise MissingData(_sentence(f"{call.name} waits for", name, error)) from None
            came = None
        if came is None:
            is_dead = True
        else:
            arrived[name] = came if wanted.type == "LIST" else came[0]
    return Posts(is_dead=True) if is_dead else execute_block(call, arrived)


def _sentence(who: str, name: str, error: Unposted) -> str:
    posted = ", ".join(error.posted) or "nothing"
    source = error.source
    return f"{who} {name!r}, which {source.block} was to post under {source.key!r}; it has posted {posted}."


def start_blocks(plan: DataPlan, inputs: Mapping[str, Any]) -> tuple[Function[..., Any], tuple[Any, ...]]:
    """Return the Workflow that runs a plan, under its name, and what it is to be called with."""
    body: Any = run_blocks_foreach if any(block.depth for block in plan.blocks) else run_blocks
    return labelled(body, plan.name), (plan, dict(inputs))
