"""What the micro-benchmarks of Figure 8 run.

They count as deterministic, but for what they read off clocks and maps of memory, which is for the tables alone: so no
value has to be on record since another one rests on it, and what is measured is the way of recording that was chosen.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weftrun import function, workflow

Bytes = NDArray[np.uint8]
Frame = NDArray[np.float64]


@cache
def payload(nbytes: int) -> Bytes:
    """Return so many bytes, made once in a process."""
    return np.ones(nbytes, dtype=np.uint8)


@function(effects="none", deterministic=True)
def produce(nbytes: int) -> tuple[float, Bytes]:
    """Return when it began, and bytes that were there before: handing them on is all that takes time."""
    begun = time.time()
    return begun, payload(nbytes)


@function(effects="none", deterministic=True)
def consume(produced: tuple[float, Bytes]) -> tuple[float, float, int]:
    """Return when its producer and it began, and how much it was handed."""
    return produced[0], time.time(), produced[1].nbytes


@workflow
def handed_over(nbytes: int, checkpoint: Any) -> tuple[float, float, int]:
    """Hand bytes from one Step to the next, recorded in one of the ways."""
    return consume(produce.options(checkpoint=checkpoint)(nbytes))


@cache
def columns(rows: int) -> Frame:
    """Return 128 columns of numbers, made once in a process."""
    return np.random.default_rng(rows).standard_normal((rows, 128))


@function(effects="none", deterministic=True, checkpoint="none")
def frame(rows: int) -> Frame:
    """Return a frame that was there before: handing it on is all that takes time."""
    return columns(rows)


@function(effects="none", deterministic=True)
def sample(frame: Frame, number: int) -> tuple[int, str]:
    """Count the positive values in a thousandth of the rows; say also in which piece of memory the frame lies."""
    chosen = np.random.default_rng(number).choice(len(frame), size=max(1, len(frame) // 1_000), replace=False)
    return int((frame[np.sort(chosen)] > 0).sum()), place_of(frame)


@workflow
def shared(rows: int, consumers: int) -> list[tuple[int, str]]:
    """Let so many Steps sample one frame, which is made once and handed to each."""
    made = frame(rows)
    return [sample(made, number) for number in range(consumers)]


@function(effects="none")
def write_frame(rows: int, file: str) -> str:
    """Put the same frame into a file, as systems do that hand on files."""
    np.save(file, columns(rows))
    return file


@function(effects="none", deterministic=True)
def sample_of_file(file: str, number: int) -> tuple[int, str]:
    """Do what `sample` does with a frame that is read from a file."""
    read: Frame = np.load(file)
    chosen = np.random.default_rng(number).choice(len(read), size=max(1, len(read) // 1_000), replace=False)
    return int((read[np.sort(chosen)] > 0).sum()), place_of(read)


@workflow
def by_file(rows: int, consumers: int, file: str) -> list[tuple[int, str]]:
    """Let so many Steps sample one frame, which each reads from a file."""
    written = write_frame(rows, file)
    return [sample_of_file(written, number) for number in range(consumers)]


def place_of(array: Frame) -> str:
    """Return the shared memory in which an array lies, by its number; empty where it is this process's own."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, _, inode, *name = line.split(maxsplit=5)
        low, high = (int(bound, 16) for bound in span.split("-"))
        if low <= address < high:
            return inode if name and "/memfd:" in name[0] else ""
    return ""


@function(effects="none", deterministic=True)
def nothing(number: int) -> int:
    """Return what it is given."""
    return number


@workflow
def many(count: int) -> list[int]:
    """So many calls that do nothing, none after another."""
    return nothing.map(range(count))
