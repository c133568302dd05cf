"""Values on their way: Refs and parts of them, items with Refs, order without values, and Objects that are released."""

from __future__ import annotations

import pytest
from tests.machines.run_desk import QUIET, WATCHES, WIRES, RunDesk, call, chunk, thing

from weftrun.model.values import Inline, Key, Part, RefTo, Tree

ITEMS = Inline(b"items")

# ---------------------------------------------------------------------- parts of values


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ((0,), Tree(Inline(b"low"), path=(0,))),
        ((3, "key"), Tree(Inline(b"high"), path=(1, "key"))),
        ((-1,), Tree(Inline(b"high"), path=(1,))),
        ((-4, 2), Tree(Inline(b"low"), path=(0, 2))),
        ((9,), Tree(None, parts=(Part(0, 2, Inline(b"low")), Part(2, 4, Inline(b"high"))), path=(9,))),
        (("key",), Tree(None, parts=(Part(0, 2, Inline(b"low")), Part(2, 4, Inline(b"high"))), path=("key",))),
        (((2, 4), 1), Tree(None, parts=(Part(2, 4, Inline(b"high")),), path=((0, 2), 1))),
        (((1, 3),), Tree(None, parts=(Part(0, 2, Inline(b"low")), Part(2, 4, Inline(b"high"))), path=((1, 3),))),
        ((), Tree(None, parts=(Part(0, 2, Inline(b"low")), Part(2, 4, Inline(b"high"))))),
    ],
)
def test_a_part_of_a_map_is_no_more_than_it_names(path: tuple[Key, ...], found: Tree) -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET, is_map=True), call(QUIET, 1, RefTo(0, path)), chunks=[chunk(0, 0, 4)])
    desk.returns("wires")
    desk.items_end("quiet[0]", (2, 4), data=Inline(b"high"))
    desk.items_end("quiet[0]", (0, 2), data=Inline(b"low"))
    assert desk.sent["quiet[1]"].args.holes == (found,)


def test_a_part_of_a_value_is_followed_by_its_reader() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET), call(QUIET, 1, RefTo(0, (1,))))
    desk.returns("wires")
    desk.ends("quiet[0]", value=Inline(b"pair"))
    assert desk.sent["quiet[1]"].args.holes == (Tree(Inline(b"pair"), path=(1,)),)


# ---------------------------------------------------------------------- what waits for what


def test_after_orders_without_a_value() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET), call(QUIET, 1, after=(0,)), call(QUIET, 2, after=(1, 0)))
    desk.returns("wires")
    assert list(desk.sent) == ["quiet[0]"]
    desk.ends("quiet[0]")
    assert list(desk.sent) == ["quiet[1]"]
    assert desk.sent["quiet[1]"].args.holes == ()
    desk.ends("quiet[1]")
    assert list(desk.sent) == ["quiet[2]"]


def test_after_a_call_that_has_succeeded_waits_for_nothing() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET))
    desk.ends("quiet[0]")
    desk.makes("watches", call(QUIET, 1, after=(0,)), call(QUIET, 2, 0))
    assert set(desk.sent) == {"quiet[1]", "quiet[2]"}


def test_items_with_refs_start_one_by_one() -> None:
    desk = RunDesk(WIRES)
    chunks = [chunk(2, 0, 1, 0, last=False), chunk(2, 1, 1, 1, last=False), chunk(2, 2, 1, 0, 1)]
    desk.makes("wires", call(QUIET), call(QUIET, 1), call(QUIET, 2, is_map=True), chunks=chunks)
    desk.returns("wires")
    assert desk.ranges == []
    desk.ends("quiet[1]")
    assert desk.ranges == [(1, 2)]
    desk.ends("quiet[0]")
    assert desk.ranges == [(1, 2), (0, 1), (2, 3)]


def test_items_whose_refs_are_there_start_at_once_and_wait_for_the_rest_of_the_call() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET), call(QUIET, 1))
    desk.ends("quiet[0]")
    desk.makes("watches", call(QUIET, 2, 1, is_map=True), chunks=[chunk(2, 0, 1, 0, last=False), chunk(2, 1, 1, 1)])
    assert desk.ranges == []
    desk.ends("quiet[1]")
    assert sorted(desk.ranges) == [(0, 1), (1, 2)]


def test_an_item_whose_argument_failed_fails_its_map() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET), awaits=(0,))
    desk.ends(bad=["quiet[0]"])
    desk.makes("watches", call(QUIET, 1, is_map=True), chunks=[chunk(1, 0, 1, 0)], awaits=(1,))
    assert [deliver.call for deliver in desk.delivered] == [0, 1]
    assert desk.delivered[1].failure is not None
    assert desk.delivered[1].failure.origin == "quiet[0]"


def test_a_map_that_fails_by_an_argument_takes_its_running_items_back() -> None:
    desk = RunDesk()
    chunks = [chunk(1, 0, 4, last=False), chunk(1, 4, 1, 0)]
    desk.makes("watches", call(QUIET), call(QUIET, 1, is_map=True), chunks=chunks, awaits=(1,))
    assert desk.ranges == [(0, 4)]
    desk.ends(bad=["quiet[0]"])
    assert desk.revoked == [desk.items["quiet[1]"].step]
    assert desk.delivered[0].failure is not None


# ---------------------------------------------------------------------- items


def test_items_are_told_once_and_only_those_there_are() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET, is_map=True), chunks=[chunk(0, 0, 4, last=False), chunk(0, 4, 4)])
    desk.returns("wires", 0)
    desk.items_end("quiet[0]", (0, 4))
    rows = len(desk.rows)
    desk.items_end("quiet[0]", (0, 4), (8, 9), fails=[3, 11])
    assert len(desk.rows) == rows


def test_a_range_over_two_chunks_is_not_taken() -> None:
    """A Batch of items is of one chunk, and so is what is told of it."""
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET, is_map=True), chunks=[chunk(0, 0, 4, last=False), chunk(0, 4, 4)])
    desk.returns("wires", 0)
    with pytest.raises(ValueError, match="items 2 to 6 are not of one chunk"):
        desk.items_end("quiet[0]", (2, 6))


# ---------------------------------------------------------------------- Objects


def test_arguments_go_when_they_are_read_and_values_when_nobody_will_read_them() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET, args=thing(1)), call(QUIET, 1, 0, args=thing(2)), call(QUIET, 2, 1))
    desk.returns("wires", 2)
    desk.ends("quiet[0]", value=thing(3))
    assert desk.released == [1]
    desk.ends("quiet[1]", value=thing(4))
    assert desk.released == [1, 2, 3]
    desk.ends("quiet[2]", value=thing(5))
    assert desk.released == [1, 2, 3, 4], "what the answer holds stays"


def test_chunks_go_when_their_items_are_settled_and_lists_when_nobody_will_read_them() -> None:
    desk = RunDesk(WIRES)
    chunks = [chunk(1, 0, 2, last=False, items=thing(1)), chunk(1, 2, 1, 0, items=thing(2))]
    desk.makes("wires", call(QUIET), call(QUIET, 1, is_map=True), call(QUIET, 2, 1), chunks=chunks)
    desk.returns("wires")
    desk.ends("quiet[0]", value=thing(3))
    desk.items_end("quiet[1]", (0, 2), data=thing(4))
    assert desk.released == [1]
    desk.items_end("quiet[1]", (2, 3), data=thing(5))
    assert desk.released == [1, 2, 3]
    desk.ends("quiet[2]")
    assert desk.released == [1, 2, 3, 4, 5]


def test_a_chunk_whose_last_item_fails_goes_too() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET, is_map=True), chunks=[chunk(0, 0, 2, items=thing(1))], awaits=(0,))
    desk.items_end("quiet[0]", (0, 1), data=thing(2))
    desk.items_end("quiet[0]", fails=[1])
    assert desk.released[:1] == [1]


def test_what_waits_inside_an_answer_goes_with_it() -> None:
    desk = RunDesk()
    desk.makes("watches", call(WATCHES), call(QUIET, 0, 0), awaits=(1,))
    desk.makes("watches[0]", call(QUIET), awaits=(0,))
    desk.ends("watches[0]/quiet[0]", value=thing(1))
    desk.returns("watches[0]", 0, data=thing(2))
    desk.ends("quiet[0]")
    assert desk.released == [], "the body may still read it"
    desk.returns("watches")
    assert sorted(desk.released) == [1, 2]


def test_chunks_of_a_map_that_is_cancelled_go() -> None:
    desk = RunDesk()
    desk.makes("watches", call(WIRES), awaits=(0,))
    chunks = [chunk(1, 0, 1, last=False, items=thing(1)), chunk(1, 1, 1, 2, items=thing(2))]
    desk.makes("wires[0]", call(QUIET), call(QUIET, 1, is_map=True), call(QUIET, 2), chunks=chunks[:1])
    desk.makes("wires[0]", chunks=chunks[1:])
    desk.returns("wires[0]")
    desk.items_end("wires[0]/quiet[1]", (0, 1), data=ITEMS)
    desk.ends(bad=["wires[0]/quiet[0]"])
    assert sorted(desk.released) == [1, 2]
