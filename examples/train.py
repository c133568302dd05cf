"""Train several models on scikit-learn's handwritten digits, choose one by validation, and say how good it is.

    python examples/train.py [--id ID] [--digits N]

The digits are split in three: models learn from the first part and copies of it shifted by a pixel, the second part
chooses among them, and the third, which nobody has seen until then, says how good the chosen one is. A model that is
trained stays trained: after a crash only those that are left are.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when scikit-learn is imported: a Sandbox a processor is enough
import numpy as np
from numpy.typing import NDArray

import weftrun
from weftrun import function, workflow

try:
    from sklearn.base import ClassifierMixin, clone
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    from sklearn.svm import SVC
except ModuleNotFoundError as missing:
    sys.exit(f"train.py needs scikit-learn ({missing}): pip install scikit-learn")

MODELS = {
    "logistic": make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=2_000)),
    "3 neighbours": KNeighborsClassifier(3),
    "forest of 50": RandomForestClassifier(50, random_state=0),
    "forest of 200": RandomForestClassifier(200, random_state=0),
    "svm, gamma=0.01": SVC(gamma=0.01),
    "svm, gamma=0.001": SVC(gamma=0.001),
}
SHIFTS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
DIGITS_MIN, DIGITS_MAX = 100, 1_797  # stratified parts need some of each digit; scikit-learn has no more


class Part(NamedTuple):
    """Some digits: images of 8 × 8 pixels, and what they show."""

    images: NDArray[np.float64]
    labels: NDArray[np.int64]

    def right(self, model: ClassifierMixin) -> float:
        """Return the share of these digits that a model reads right."""
        return float(np.mean(model.predict(self.images.reshape(-1, 64)) == self.labels))


class Trained(NamedTuple):
    """A model, how long it took to train, and its share of right answers in the part that chooses."""

    name: str
    model: ClassifierMixin
    seconds: float
    right: float


class Report(NamedTuple):
    """All models without what they learnt, best first, and what the best gets right of digits nobody has seen."""

    models: list[tuple[str, float, float]]
    right: float


@function(deterministic=True, effects="none")
def load(digits: int) -> tuple[Part, Part, Part]:
    """Return the parts to train with, to choose by, and to report on: 60, 20 and 20 of 100 digits."""
    data = load_digits()
    images, rest, labels, rest_labels = train_test_split(
        data.images[:digits], data.target[:digits], test_size=0.4, random_state=0, stratify=data.target[:digits]
    )
    choose, test, choose_labels, test_labels = train_test_split(
        rest, rest_labels, test_size=0.5, random_state=0, stratify=rest_labels
    )
    return Part(images, labels), Part(choose, choose_labels), Part(test, test_labels)


@function(deterministic=True, effects="none")
def shift(by: tuple[int, int], part: Part) -> Part:
    """Return the part with its images moved by so many pixels down and to the right."""
    down, right = by
    padded = np.pad(part.images, ((0, 0), (1, 1), (1, 1)))
    return Part(padded[:, 1 - down : 9 - down, 1 - right : 9 - right], part.labels)


@function(effects="none")
def train(name: str, parts: list[Part], choose: Part) -> Trained:
    """Train one model on all these parts, and try it."""
    images = np.concatenate([part.images for part in parts]).reshape(-1, 64)
    begun = time.perf_counter()
    model = clone(MODELS[name]).fit(images, np.concatenate([part.labels for part in parts]))
    return Trained(name, model, time.perf_counter() - begun, choose.right(model))


@function(effects="none")
def report(trained: list[Trained], test: Part) -> Report:
    """Choose the model that validation likes best, and try it on the last part."""
    ranked = sorted(trained, key=lambda one: -one.right)
    return Report([(one.name, one.seconds, one.right) for one in ranked], test.right(ranked[0].model))


@workflow
def choose_model(digits: int) -> Report:
    """Augment, train several models in parallel, choose one, report on it."""
    learn, choose, test = load(digits)
    shifted = shift.map(SHIFTS, part=learn)
    return report(train.map(MODELS, parts=shifted, choose=choose), test)


def main() -> int:
    """Run the example."""
    parser = argparse.ArgumentParser(description="Choose a model that reads handwritten digits.")
    parser.add_argument("--id", default=f"train-{time.time_ns()}", help="id of the Run (default: a fresh one)")
    parser.add_argument("--digits", type=int, default=DIGITS_MAX, help=f"take only so many of the {DIGITS_MAX} digits")
    options = parser.parse_args()
    if not DIGITS_MIN <= options.digits <= DIGITS_MAX:
        parser.error(f"--digits takes {DIGITS_MIN} to {DIGITS_MAX}, not {options.digits}")
    with weftrun.open() as engine:
        print(f"Run {options.id}: {len(MODELS)} models, {options.digits} digits", file=sys.stderr)
        found = engine.run(choose_model.options(id=options.id), options.digits)
    print(f"{'model':<18}{'seconds':>9}{'right':>9}")
    for name, seconds, right in found.models:
        print(f"{name:<18}{seconds:>9.2f}{right:>9.1%}")
    print(f"\nChosen: {found.models[0][0]}; it reads {found.right:.1%} of the digits that nobody had seen.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except weftrun.WeftrunError as problem:
        sys.exit(f"train.py: {problem}")
