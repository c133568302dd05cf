"""Images for the tests: PNGs of all kinds and filters that the examples know, what they show, and images of MNIST."""

from __future__ import annotations

import random
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(seed: int, kind: int, width: int = 61, height: int = 43) -> tuple[bytes, Pixels]:
    """Return a PNG of a kind, with a filter drawn for each line, and its pixels as RGBA."""
    dice = random.Random(seed)
    raw = np.frombuffer(dice.randbytes(width * height * _CHANNELS[kind]), np.uint8).reshape(height, width, -1) // 9 * 3
    colours = np.frombuffer(dice.randbytes(1024), np.uint8).reshape(256, 4)
    opaque = np.full((height, width, 1), 255, np.uint8)
    shown = {
        0: lambda: np.concatenate([raw] * 3 + [opaque], 2),
        2: lambda: np.concatenate([raw, opaque], 2),
        3: lambda: colours[raw[:, :, 0]],
        4: lambda: np.concatenate([raw[:, :, :1]] * 3 + [raw[:, :, 1:]], 2),
        6: lambda: raw,
    }[kind]()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if kind == 3:
        chunks += [(b"PLTE", colours[:, :3].tobytes()), (b"tRNS", colours[:, 3].tobytes())]
    packed = zlib.compress(_filtered(raw, dice), seed % 10)
    chunks += [(b"IDAT", packed[:100]), (b"IDAT", packed[100:]), (b"IEND", b"")]
    made = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + made, shown.astype(np.uint8)


def _filtered(raw: Pixels, dice: random.Random) -> bytes:
    height, width, step = raw.shape
    lines = raw.reshape(height, width * step).astype(int)
    zeros, said = np.zeros(width * step, int), []
    for y, line in enumerate(lines):
        above = lines[y - 1] if y else zeros
        left = np.concatenate([zeros[:step], line[:-step]])
        corner = np.concatenate([zeros[:step], above[:-step]])
        guess = left + above - corner
        apart = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
        nearest = np.choose(apart.argmin(0), [left, above, corner])
        number = dice.randrange(5)
        taken = [zeros, left, above, (left + above) // 2, nearest][number]
        said.append(bytes([number]) + ((line - taken) % 256).astype(np.uint8).tobytes())
    return b"".join(said)


def pixels_of(image: bytes) -> Pixels:
    """Return the pixels of a PNG in RGBA whose lines have no filter, and check its sums."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(image):
        (length,) = struct.unpack_from(">I", image, at)
        name, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", image, at + 8 + length) == (zlib.crc32(name + data),)
        chunks[name] = data
        at += 12 + length
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 6, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 4 * width)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 4)


def smaller(pixels: Pixels) -> Pixels:
    """Return an image that is smaller by four, of means."""
    height, width, _ = pixels.shape
    rows = [
        [pixels[y : y + 4, x : x + 4].reshape(-1, 4).astype(int) for x in range(0, width, 4)]
        for y in range(0, height, 4)
    ]
    return np.array([[part.sum(0) // len(part) for part in row] for row in rows], np.uint8)


def mnist(seed: int, count: int = 200, side: int = 7) -> tuple[bytes, NDArray[np.float64]]:
    """Return images in the format of MNIST, around ten patterns, and as rows of numbers less their means."""
    dice = np.random.default_rng(seed)
    patterns = dice.integers(60, 120, (10, side * side))
    noise = dice.normal(0, 1, (count, side * side)).clip(-1, 1) * 60 * 0.9 ** np.arange(side * side)
    pixels = (patterns[dice.integers(0, 10, count)] + noise).astype(np.uint8)
    values = pixels / 255.0
    return struct.pack(">IIII", 0x803, count, side, side) + pixels.tobytes(), values - values.mean(0)


def reduced(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows in the 32 directions of most variance."""
    _, _, directions = np.linalg.svd(values, full_matrices=False)
    rows: NDArray[np.float64] = values @ directions[:32].T
    return rows


def grouped(rows: NDArray[np.float64]) -> str:
    """Return what `pcakmm` prints."""
    middles = rows[[group * len(rows) // 10 for group in range(10)]].copy()
    for _ in range(26):
        apart = ((rows[:, None] - middles[None]) ** 2).sum(2)
        own, total = apart.argmin(1), apart.min(1).sum()
        for group in range(10):
            if (own == group).any():
                middles[group] = rows[own == group].mean(0)
    return "".join(f"{(own == group).sum()}\n" for group in range(10)) + f"{total:.6f}\n"
