"""Values come back as they went: layout, alignment, read-only buffers, holes, and errors that name the part."""

from __future__ import annotations

import pickle
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.authors import add, body_of

from weftrun import workflow
from weftrun.model.errors import NotSerializable, UsageError
from weftrun.model.ids import ObjectId
from weftrun.model.values import Data, Inline, Object, Part, Tree
from weftrun.sdk.body import Returned
from weftrun.sdk.codec import decode, decode_tree, encode

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


class Inner:
    def __init__(self) -> None:
        self.lock = threading.Lock()


def through(value: Any) -> Any:
    return decode(encode(value, what="it").tobytes())


def inline(value: Any) -> Inline:
    return Inline(encode(value, what="it").tobytes())


def read(data: Data) -> bytes:
    assert isinstance(data, Inline)
    return data.data


@given(PLAIN)
def test_plain_values_come_back(value: Any) -> None:
    assert through(value) == value


def test_none() -> None:
    assert encode(None, what="it").tobytes() == b"\x00\x80\x05N."


def test_small_values_are_format_0() -> None:
    assert encode([1, "a"], what="it").tobytes() == b"\0" + pickle.dumps([1, "a"], 5)


def test_layout_of_format_1() -> None:
    arrays = [np.arange(3.0), np.arange(100, dtype="u1"), np.empty(0)]
    encoded = encode(arrays, what="it")
    data = encoded.tobytes()
    assert data[:4] == b"\1\0\0\0"
    count, head = struct.unpack_from("<IQ", data, 4)
    lengths = struct.unpack_from(f"<{count}Q", data, 16)
    assert lengths == (24, 100, 0)
    assert (
        len(data)
        == encoded.nbytes
        == sum(len(piece) if isinstance(piece, bytes) else piece.nbytes for piece in encoded.pieces)
    )
    first = -(-(16 + 8 * count + head) // 64) * 64
    assert data[first : first + 24] == arrays[0].tobytes()
    assert data[first + 64 : first + 164] == arrays[1].tobytes()
    assert all(np.array_equal(a, b) for a, b in zip(decode(data), arrays, strict=True))


def test_buffers_are_not_copied_on_the_way_out() -> None:
    array = np.arange(1_000)
    pieces = encode(array, what="it").pieces
    assert np.shares_memory(np.frombuffer(pieces[-1], dtype=array.dtype), array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(4),
        np.arange(1_000_000),
        np.asfortranarray(np.ones((30, 20))),
        np.arange(100)[::3],
        np.ones((50, 60))[5:40, 3:9],
        np.array(7.0),
    ],
    ids=["small", "large", "fortran", "strided", "window", "scalar"],
)
def test_arrays_arrive_equal_and_read_only(array: Any) -> None:
    for data in (encode(array, what="it").tobytes(), memoryview(bytearray(encode(array, what="it").tobytes()))):
        got = decode(data)
        assert np.array_equal(got, array)
        assert got.dtype == array.dtype
        assert not got.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        got[...] = 0


def test_a_view_of_a_large_array_brings_only_its_own_elements() -> None:
    large = np.zeros((1_000, 1_000))
    assert encode(large[:10, :10], what="it").nbytes < 2_000


def test_an_array_arrives_without_a_copy() -> None:
    data = bytearray(encode(np.arange(1_000), what="it").tobytes())
    got = decode(memoryview(data))
    assert np.shares_memory(got, np.frombuffer(data, dtype="u1"))


def test_arrow_slices_bring_only_their_own_rows() -> None:
    table = pa.table({"n": np.arange(1_000_000), "m": np.arange(1_000_000)})
    encoded = encode({"rows": table.slice(500_000, 1_000)}, what="it")
    assert encoded.nbytes < 20_000
    assert decode(encoded.tobytes())["rows"].equals(table.slice(500_000, 1_000))
    batch = table.to_batches()[0].slice(10, 5)
    encoded = encode(batch, what="it")
    assert encoded.nbytes < 2_000
    assert decode(encoded.tobytes()).equals(batch)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(range(100_000)),
        pa.array(["word"] * 100_000),
        pa.array([[1, 2], [3]] * 50_000),
        pa.array([{"a": 1}] * 100_000),
        pa.array(["a", "b"] * 50_000).dictionary_encode(),
    ],
)
def test_slices_of_an_arrow_column_bring_only_their_own_rows(column: Any) -> None:
    part = column.slice(50_000, 20)
    for value in (part, pa.chunked_array([part, part])):
        encoded = encode(value, what="it")
        assert encoded.nbytes < 3_000
        again = decode(encoded.tobytes())
        assert again.equals(value)
        assert type(again) is type(value)
    assert decode(encode(column, what="it").tobytes()).equals(column)


def test_lambdas_go_by_value_with_arrays_beside_them() -> None:
    factor = 3
    array = np.arange(50_000)[::2]
    function, got = through((lambda x: x * factor, array))
    assert function(4) == 12
    assert np.array_equal(got, array)
    assert not got.flags.writeable


def test_the_author_s_own_reducers_count_beside_numpy_s() -> None:
    code = (
        "import copyreg, numpy, sys\n"
        "from weftrun.sdk.codec import decode, encode\n"
        "encode(1, what='it')\n"
        "class Odd: pass\n"
        "copyreg.pickle(Odd, lambda odd: (int, (42,)))\n"
        "assert decode(encode([Odd()], what='it').tobytes()) == [42]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"conn": socket.socket}, None),
        (
            {"a": [1, {"b": threading.Lock()}]},
            "The result of load holds a lock at result['a'][1]['b'] and can't be pickled.",
        ),
        ([Inner()], "The result of load holds a lock at result[0].lock and can't be pickled."),
        (threading.Lock(), "The result of load is a lock and can't be pickled: cannot pickle '_thread.lock' object."),
        ((i for i in ()), "The result of load is a generator and can't be pickled: cannot pickle 'generator' object."),
    ],
)
def test_what_can_not_be_pickled_is_named(value: Any, text: str | None) -> None:
    if text is None:
        assert through(value) == value
        return
    with pytest.raises(NotSerializable) as caught:
        encode(value, what="the result of load")
    assert str(caught.value) == text


def test_a_socket_is_named_as_the_docs_say() -> None:
    with socket.socket() as conn, pytest.raises(NotSerializable) as caught:
        encode({"conn": conn}, what="the result of load")
    assert str(caught.value) == "The result of load holds a socket at result['conn'] and can't be pickled."


def test_deep_nesting_is_a_sentence() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotSerializable, match=r"^It is nested too deeply to be pickled\.$"):
        encode(value, what="it")
    while value:
        value = value.pop()


def test_a_buffer_with_gaps_is_a_sentence() -> None:
    with pytest.raises(NotSerializable, match="non-contiguous buffer"):
        encode(pickle.PickleBuffer(memoryview(b"abcdef")[::2]), what="it")


def test_a_ref_where_none_may_stand() -> None:
    @workflow
    def wiring() -> Any:
        ref = add(1)
        with pytest.raises(UsageError, match=r"<Ref add\[0\]> can't be stored or sent away"):
            encode({"x": ref}, what="it")
        with pytest.raises(UsageError, match="can't be stored or sent away"):
            encode({"x": ref, "f": lambda: ref}, what="it")

    turn = body_of(wiring)[0].enter()
    assert isinstance(turn, Returned), turn


def test_refs_become_holes_in_order() -> None:
    @workflow
    def wiring() -> Any:
        a, b = add(1), add(2)
        return {"deep": [b, (a, {"b": b})], "lambda": lambda: a}

    turn = body_of(wiring)[0].enter()
    assert isinstance(turn, Returned)
    assert [ref._number for ref in turn.answer.refs] == [1, 0]
    got = decode(turn.answer.tobytes(), ["A", "B"])
    assert got["deep"] == ["A", ("B", {"b": "A"})]
    assert got["lambda"]() == "B"


def test_a_nested_encode_keeps_the_holes_of_the_outer_one() -> None:
    @workflow
    def wiring() -> Any:
        ref = add(1)
        return (ref, Nesting(), ref, add(2))

    turn = body_of(wiring)[0].enter()
    assert isinstance(turn, Returned)
    assert decode(turn.answer.tobytes(), ["A", "B"]) == ("A", 5, "A", "B")


def test_pairs_are_looked_at_without_being_asked_their_truth() -> None:
    @workflow
    def wiring() -> Any:
        return (1,), add(1)

    turn = body_of(wiring)[0].enter()
    assert isinstance(turn, Returned)
    assert decode(turn.answer.tobytes(), ["A"]) == ((1,), "A")
    array = through(((1,), np.arange(3)))[1]
    assert array.tolist() == [0, 1, 2]


class Nesting:
    def __reduce__(self) -> Any:
        ref = add(1)
        with pytest.raises(UsageError):
            encode(ref, what="it")
        return decode, (encode(5, what="it").tobytes(),)


def test_trees_are_filled_joined_and_followed() -> None:
    @workflow
    def wiring() -> Any:
        return [add(1), add(2)]

    turn = body_of(wiring)[0].enter()
    assert isinstance(turn, Returned)
    parts = Tree(None, parts=(Part(0, 2, inline([1, 2])), Part(2, 3, inline([3]))))
    one = Tree(inline({"k": ("x", "y")}), path=("k", 1))
    assert decode_tree(Tree(Inline(turn.answer.tobytes()), (parts, one)), read) == [[1, 2, 3], "y"]
    assert decode_tree(Tree(None, parts=parts.parts, path=(2,)), read) == 3


def test_objects_are_read_through_the_reader() -> None:
    data = memoryview(encode(np.arange(9), what="it").tobytes())
    got = decode_tree(Tree(Object(ObjectId(4), len(data))), lambda _: data)
    assert np.array_equal(got, np.arange(9))


def test_an_open_file_is_refused(tmp_path: Path) -> None:
    """Its content would be read, all of it, and what is written to the copy would be lost."""
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "a.txt").open() as file:
        with pytest.raises(NotSerializable, match="hand over its path"):
            encode(file, what="argument file of f")
        with pytest.raises(NotSerializable, match="hand over its path"):
            encode([lambda: 1, {"log": file}], what="argument file of f")
