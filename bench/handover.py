"""A large array goes from one Step to the next: as the author sees it, and by the adapters alone."""

from __future__ import annotations

import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from bench import arrays
from bench.figure import Figure, Setting, commits, engine, timed

from weftrun.adapters.memfd import MemfdObjects
from weftrun.sdk.codec import decode, encode

_WRITE = "write() to a fresh memfd"
_READ = "bare map and touch"
_SMALL_BYTES = 8 * 1024


class Bare(NamedTuple):
    """What the kernel takes for the same bytes, in seconds."""

    write: float
    touch: float
    add_up: float
    file: float


def _write(descriptor: int, array: Any) -> None:
    data = memoryview(array).cast("B")
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _memfd() -> Iterator[int]:
    descriptor = os.memfd_create("floor", os.MFD_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _map_and(read: Callable[[Any], int], descriptor: int, nbytes: int) -> float:
    begin = time.perf_counter()
    mapping = mmap.mmap(descriptor, nbytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    read(np.frombuffer(mapping, np.int64))
    return time.perf_counter() - begin


def _write_file(folder: Path, array: Any) -> float:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begin = time.perf_counter()
        _write(file.fileno(), array)
        os.fsync(file.fileno())
        return time.perf_counter() - begin


def bare(folder: Path, nbytes: int) -> Bare:
    """Write a new array to a fresh memfd, map it twice and read it in both ways; write it to a file and fsync that."""
    array = arrays.ones(nbytes)
    with _memfd() as descriptor:
        write = timed(lambda: _write(descriptor, array))
        size = os.fstat(descriptor).st_size
        touch, add_up = _map_and(arrays.touch, descriptor, size), _map_and(arrays.add_up, descriptor, size)
    return Bare(write, touch, add_up, _write_file(folder, array))


def by_adapter(store: MemfdObjects, nbytes: int) -> tuple[float, float]:
    """Publish a new array and receive it in this process; return how long either took, in seconds."""
    array = arrays.ones(nbytes)
    begin = time.perf_counter()
    made = store.publish(encode(array, what="the array").pieces)
    published = time.perf_counter()
    received = decode(store.view(made.oid))
    arrays.touch(received)
    read = time.perf_counter()
    del received
    store.release(made.oid)
    return published - begin, read - published


def figures(nbytes: int) -> list[Figure]:
    """Return the figures of a handover, with no values yet."""
    size = f"{nbytes / 1e6:g} MB"
    to_write = "one new array of the same size, by write() until all of it is in a fresh memfd"
    return [
        Figure(f"{size} to the next Step", "ms", _WRITE, must=1.1, inside="from the last line of the Step that makes "
               "the array to the first line of the next Step: encode, publish, seal, both messages, the engine's "
               f"checks and decisions, map, decode. Floor: {to_write}."),
        Figure(f"{size} touched there", "ms", _READ, must=1.2, inside="one byte of every page, inside the next Step. "
               "Floor: map a memfd of that size and do the same."),
        Figure(f"{size} added up there", "ms", "bare map and sum", must=1.2, inside="numpy's sum of it all, inside "
               "the next Step. Floor: map a memfd of that size and do the same."),
        Figure(f"{size}, the whole Run", "ms", "write() and fsync of a file", per="Run", inside="from engine.run to "
               "its value: make, hand on, touch, and the array in a durable, checksummed blob. Floor: the array alone, "
               "to a file."),
        Figure(f"{size} published, adapter", "ms", _WRITE, must=1.1, inside="sdk.codec.encode and "
               f"MemfdObjects.publish: pickle, memfd, one writev, seals. Floor: {to_write}."),
        Figure(f"{size} received, adapter", "ms", _READ, must=1.2, inside="MemfdObjects.view, sdk.codec.decode and "
               "one byte of every page. Floor: map a memfd of that size and touch it the same way."),
    ]  # fmt: skip


def handover(setting: Setting) -> list[Figure]:
    """Hand an array on a few times a round, each way, next to what the kernel takes for it; take the medians."""
    nbytes = setting.sizes.array_bytes
    table = figures(nbytes)
    _once(setting, [])  # for memory that the host gives to this machine for the first time
    for _ in range(setting.rounds):
        times = [_once(setting, table[3].commits) for _ in range(setting.sizes.handovers)]
        for figure, pairs in zip(table, zip(*times, strict=True), strict=True):
            value, floor = (statistics.median(each) * 1e3 for each in zip(*pairs, strict=True))
            figure.add(value, floor)
    return table


def _once(setting: Setting, whole: list[float]) -> list[tuple[float, float]]:
    """Return a value and its floor for each figure, in seconds; add the commits of a whole Run to `whole`.

    The floor is the mean of one before and one after: whoever comes first finds fewer pages ready.

    Every time all files are removed at the end: the pages of a growing cache would be new to the machine, and cost
    several times what others do.
    """
    nbytes = setting.sizes.array_bytes
    with tempfile.TemporaryDirectory(dir=setting.folder) as name:
        folder = Path(name)
        with engine(msgspec.structs.replace(setting, folder=folder)) as opened:
            opened.run(arrays.make_and_touch, _SMALL_BYTES)  # numpy is imported now
            first = bare(folder, nbytes)
            before = commits(opened)
            begin = time.perf_counter()
            handed, touched = opened.run(arrays.make_and_touch, nbytes)
            took = time.perf_counter() - begin
            whole.append(commits(opened) - before)
            _, added_up = opened.run(arrays.make_and_add_up, nbytes)
        store = MemfdObjects(folder, quota_bytes=4 * nbytes, descriptors_max=16, open_blob=_no_blob)
        published, received = by_adapter(store, nbytes)
        store.close()
        last = bare(folder, nbytes)
    floor = Bare(*((early + late) / 2 for early, late in zip(first, last, strict=True)))
    return [
        (handed, floor.write), (touched, floor.touch), (added_up, floor.add_up), (took, floor.file),
        (published, floor.write), (received, floor.touch),
    ]  # fmt: skip


def _no_blob(_blob: object) -> int:
    raise AssertionError("no blob was published")
