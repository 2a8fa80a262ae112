"""Kernels that draw random numbers: the same numbers as without them, and the stream goes on."""

import numpy as np
import pytest

from disttorch import random
from disttorch.backends.cpu.jit import twister

pytest.importorskip("numba", reason="the `fast` extra is not installed")

FILLS = {
    "uniform": (np.float32, lambda a, g: random.fill_uniform(a, 0.0, 1.0, g)),
    "normal": (np.float32, lambda a, g: random.fill_normal(a, 0.0, 1.0, g)),
    "mask": (bool, lambda a, g: random.fill_bernoulli(a, 0.3, g)),
    "all": (bool, lambda a, g: random.fill_bernoulli(a, 1.0, g)),
    "none": (bool, lambda a, g: random.fill_bernoulli(a, 0.0, g)),
}


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("n", [4099, 70001])
@pytest.mark.parametrize("skipped", [0, 1, 623])
def test_the_stream_is_the_same(monkeypatch, name, n, skipped):
    np_dtype, fill = FILLS[name]
    found = []
    for wanted in (False, True):
        asked = []
        monkeypatch.setattr(twister, "pays", lambda *a, asked=asked, w=wanted: asked.append(a) or w)
        generator = random.Generator().manual_seed(5)
        generator.skip(skipped)
        first = fill(np.empty(n, np_dtype), generator)
        second = fill(np.empty((n // 7, 7), np_dtype).T, generator)
        found.append((first, second, np.asarray(generator.get_state())))
        assert asked, "no kernel was asked for"
    for plain, by_kernel in zip(*found, strict=True):
        np.testing.assert_array_equal(by_kernel, plain)
