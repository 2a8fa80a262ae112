"""What the optimiser tests share: a pair of equal parameters, in disttorch and in torch."""

from __future__ import annotations

import numpy as np
import pytest

import disttorch
from disttorch import nn


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch not installed")


def parameter(values=(1.0, 2.0), grad=None):
    """A parameter of these values, with a gradient if given."""
    p = nn.parameter.Parameter(disttorch.tensor(values, dtype=disttorch.float32))
    if grad is not None:
        p.grad = disttorch.tensor(grad, dtype=disttorch.float32)
    return p


@pytest.fixture(name="parameter")
def parameter_fixture():
    return parameter


SHAPES = ((3, 4), (5_000,), (), (0, 2))


def arrays(np_dtype, seed=0):
    """Values of parameters in several shapes, the first laid out column by column."""
    rng = np.random.default_rng(seed)
    drawn = [np.asarray(rng.standard_normal(shape)) for shape in SHAPES]
    if np.dtype(np_dtype).kind == "c":
        drawn = [a + 1j * rng.standard_normal(a.shape) for a in drawn]
    cast = [np.asarray(a).astype(np_dtype) for a in drawn]
    return [np.asfortranarray(cast[0]), *cast[1:]]


@pytest.fixture(name="arrays")
def arrays_fixture():
    return arrays
