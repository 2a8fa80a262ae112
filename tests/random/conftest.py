"""What the sampler tests share: one draw by disttorch and the same draw by torch."""

from __future__ import annotations

import numpy as np
import pytest

from disttorch import random
from disttorch.dtype import dtype_by_name


def draw(name, dtype, n, args, seed=0):
    """Fill an array (n,) from a fresh generator; bfloat16 comes back as float32."""
    generator = random.Generator().manual_seed(seed)
    out = np.empty(n, dtype_by_name(dtype).np)
    getattr(random, f"fill_{name}")(out, *args, generator=generator)
    return as_numpy_number(out), generator


def as_numpy_number(array):
    """Widen bfloat16, on which NumPy's comparisons are weak, to float32."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


@pytest.fixture(name="draw")
def draw_fixture():
    return draw


@pytest.fixture
def torch_draw():
    """The same as `draw` by torch, which is skipped where it is not installed."""
    torch = pytest.importorskip("torch", reason="torch not installed")

    def draw_by_torch(name, dtype, n, args, seed=0):
        generator = torch.Generator().manual_seed(seed)
        method = {"random_range": "random"}.get(name, name) + "_"
        out = torch.empty(n, dtype=getattr(torch, dtype))
        getattr(out, method)(*args, generator=generator)
        out = out.float() if dtype == "bfloat16" else out
        return out.numpy(), generator

    return draw_by_torch


@pytest.fixture
def assert_same_place():
    """Check that a generator of ours and one of torch's stand at the same word of their stream."""

    def check(ours, theirs):
        mine, other = np.array(ours.get_state()), theirs.get_state().numpy()
        # Bytes 5024 to 5032 hold the kept normal number, which agrees only to rounding.
        kept = slice(5024, 5032)
        normals = [float(state[kept].view(np.float64)[0]) for state in (mine, other)]
        assert normals[0] == pytest.approx(normals[1], rel=1e-12)
        assert np.array_equal(np.delete(mine, kept), np.delete(other, kept))

    return check
