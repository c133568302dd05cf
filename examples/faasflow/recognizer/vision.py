"""What the recognizer does with a picture, in all its versions: real classifiers, small enough to be trained at once.

A picture is a row of handwritten digits of scikit-learn's data set, 8 × 8 pixels each. "Adult" is one with an 8 in it,
"violent" one with a 4; what is written in it is read, put into words, and looked through for words of a list.
"""

import json

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPOOKY = frozenset({"seven", "nine"})
SIDE = 8
Picture = NDArray[np.uint8]


def picture(digits: str, seed: int = 0) -> bytes:
    """Return a picture of digits, each drawn by somebody of those who have written it."""
    data = load_digits()
    draw = np.random.default_rng(seed)
    tiles = [data.images[draw.choice(np.flatnonzero(data.target == int(digit)))] for digit in digits]
    return np.hstack(tiles).astype(np.uint8).tobytes()


def pixels(image: bytes) -> Picture:
    return np.frombuffer(image, np.uint8).reshape(SIDE, -1)


def tiles(image: bytes) -> NDArray[np.uint8]:
    whole = pixels(image)
    return whole.reshape(SIDE, -1, SIDE).swapaxes(0, 1).reshape(-1, SIDE * SIDE)


def shows(image: bytes, digit: int) -> float:
    """Return how probable it is that some digit of a picture is this one, by a naive Bayes classifier."""
    data = load_digits()
    model = GaussianNB(var_smoothing=0.1).fit(data.data, data.target == digit)
    return float(model.predict_proba(tiles(image))[:, 1].max())


def read(image: bytes) -> str:
    """Return the digits of a picture, by the three nearest of all that were written."""
    data = load_digits()
    model = KNeighborsClassifier(3).fit(data.data, data.target)
    return "".join(str(digit) for digit in model.predict(tiles(image)))


def translated(text: str) -> str:
    return " ".join(WORDS[int(digit)] for digit in text)


def spooky_words(text: str) -> int:
    return sum(word in SPOOKY for word in text.split())


def mosaic(image: bytes) -> bytes:
    """Return a picture with each block of 4 × 4 pixels in the colour of its first one."""
    whole = pixels(image)
    return np.kron(whole[::4, ::4], np.ones((4, 4), np.uint8)).tobytes()


def told(image: bytes) -> dict[str, object]:
    """Return what is said of a picture that was made a mosaic."""
    return {"bytes": len(image), "mean": round(float(pixels(image).mean()), 6), "first": json.dumps(list(image[:8]))}
