"""The embedded digits: what is in them, and that the split never moves."""

import hashlib

import numpy as np
import pytest

from disttorch.vision.datasets import Digits


@pytest.mark.parametrize(
    ("train", "count", "class_sizes"),
    [
        (True, 1500, [151, 151, 150, 153, 148, 152, 151, 149, 146, 149]),
        (False, 297, [27, 31, 27, 30, 33, 30, 30, 30, 28, 31]),
    ],
)
def test_parts(train, count, class_sizes):
    digits = Digits(train)
    assert digits.data.shape == (count, 8, 8)
    assert int(digits.data.numpy().max()) == 16
    assert np.bincount(digits.targets.numpy()).tolist() == class_sizes


def test_values_are_the_donors():
    digest = hashlib.sha256()
    for train in (True, False):
        digits = Digits(train)
        digest.update(digits.data.numpy().tobytes() + digits.targets.numpy().tobytes())
    assert digest.hexdigest() == "6101b6c95e39804ef760cebe3e5c296b108eff88f6e67ab7235a2de8a2b5e913"


def test_values_match_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is the origin")
    origin = datasets.load_digits()
    images = np.concatenate([Digits(part).data.numpy() for part in (True, False)])
    np.testing.assert_array_equal(images, origin.images)
