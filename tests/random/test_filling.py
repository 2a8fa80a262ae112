from __future__ import annotations

import numpy as np
import pytest

from disttorch import random

FILLS = ("uniform", "normal", "log_normal", "exponential", "bernoulli", "random")
VIEWS = {
    "permuted": lambda t: t.transpose(2, 0, 1),
    "every other row": lambda t: t[::2],
    "sliced and swapped": lambda t: t[:, 1:5, ::3].swapaxes(0, 2),
    "one column": lambda t: t[..., 0],
    "0-d": lambda t: t[1, 2, 3, ...],
}


@pytest.mark.parametrize("name", FILLS)
def test_a_transposed_array_gets_the_same_values_at_the_same_addresses(name):
    fill = getattr(random, f"fill_{name}")
    # Fifteen elements: from sixteen on, contiguous normals are drawn in blocks, as in torch.
    straight, turned = np.zeros((3, 5), np.float32), np.zeros((3, 5), np.float32)
    fill(straight, generator=random.Generator().manual_seed(1))
    fill(turned.T, generator=random.Generator().manual_seed(1))
    assert np.array_equal(straight, turned)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", FILLS)
def test_writes_only_the_view(name, view):
    base = np.full((6, 8, 10), -7.0, np.float32)
    part = VIEWS[view](base)
    result = getattr(random, f"fill_{name}")(part, generator=random.Generator())
    assert np.shares_memory(result, base)
    assert np.count_nonzero(base != -7.0) == part.size


@pytest.mark.parity
@pytest.mark.parametrize("view", [key for key in VIEWS if key != "0-d"])
@pytest.mark.parametrize("name", FILLS)
def test_visits_views_as_torch_does(name, view):
    torch = pytest.importorskip("torch", reason="torch not installed")
    ours, theirs = np.zeros((6, 8, 10), np.float32), np.zeros((6, 8, 10), np.float32)
    getattr(random, f"fill_{name}")(VIEWS[view](ours), generator=random.Generator().manual_seed(2))
    their_view = torch.from_numpy(VIEWS[view](theirs))
    getattr(their_view, f"{name}_")(generator=torch.Generator().manual_seed(2))
    np.testing.assert_allclose(ours, theirs, atol=5e-7, rtol=1e-6)
