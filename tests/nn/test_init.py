"""Initial values: torch's numbers for a seed, and what needs no torch to tell."""

from __future__ import annotations

import math

import numpy as np
import pytest

import disttorch
from disttorch.nn import init

ROWS = [
    ("uniform_", (-1, 2)),
    ("normal_", (1, 2)),
    ("trunc_normal_", ()),
    ("trunc_normal_", (0, 1, 1.5, 2.0)),
    ("constant_", (3,)),
    ("ones_", ()),
    ("zeros_", ()),
    ("eye_", ()),
    ("dirac_", ()),
    ("dirac_", (2,)),
    ("xavier_uniform_", (2,)),
    ("xavier_normal_", ()),
    ("kaiming_uniform_", (math.sqrt(5),)),
    ("kaiming_normal_", (0, "fan_out", "relu")),
    ("orthogonal_", ()),
    ("orthogonal_", (2,)),
    ("sparse_", (0.3,)),
]
SHAPES = [(6, 4), (4, 9), (4, 4, 3), (4, 2, 3, 3), (2, 2, 3, 3, 3), (5,)]


def fill(library, name, shape, args):
    """Values, or the error, of one library."""
    tensor = library.empty(shape)
    library.manual_seed(3)
    try:
        assert getattr(library.nn.init, name)(tensor, *args) is tensor
    except ValueError as error:
        return str(error)
    return tensor.numpy()


@pytest.mark.parity
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "args"), ROWS)
def test_values_are_torchs(name, args, shape, torch):
    want, got = (fill(library, name, shape, args) for library in (torch, disttorch))
    if isinstance(want, str):
        assert got == want
    else:
        np.testing.assert_allclose(got, want, atol=1e-6)


GAINS = [
    ("linear", None, 1),
    ("conv_transpose3d", None, 1),
    ("sigmoid", None, 1),
    ("tanh", None, 5 / 3),
    ("relu", None, math.sqrt(2)),
    ("leaky_relu", None, math.sqrt(2 / (1 + 0.01**2))),
    ("leaky_relu", 2, math.sqrt(2 / 5)),
    ("selu", None, 0.75),
]


@pytest.mark.parametrize(("name", "param", "want"), GAINS)
def test_gain(name, param, want):
    assert init.calculate_gain(name, param) == pytest.approx(want)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: init.calculate_gain("cube"), "Unsupported nonlinearity cube"),
        (lambda x: init.calculate_gain("leaky_relu", True), "negative_slope True not a valid"),
        (
            lambda x: init.kaiming_normal_(x, mode="fan"),
            r"Mode fan not supported, please use one of \['fan_in', 'fan_out'\]",
        ),
        (
            lambda x: init.xavier_normal_(x[0]),
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions",
        ),
        (init.dirac_, "Only tensors with 3, 4, or 5 dimensions are supported"),
        (lambda x: init.dirac_(disttorch.ones(3, 3, 3), 2), "dim 0 must be divisible by groups"),
        (lambda x: init.eye_(x[0]), "Only tensors with 2 dimensions are supported"),
        (lambda x: init.orthogonal_(x[0]), "Only tensors with 2 or more dimensions are supported"),
        (lambda x: init.sparse_(x[0], 0.5), "Only tensors with 2 dimensions are supported"),
    ],
)
def test_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(disttorch.ones(2, 3))


def test_fan_in_decides_the_bound():
    x = init.kaiming_uniform_(disttorch.empty(50, 4, 5))
    bound = math.sqrt(2) * math.sqrt(3 / 20)
    assert bound * 0.95 < x.abs().max().item() <= bound


def test_orthogonal_rows_or_columns():
    for shape in ((3, 5), (5, 3), (4, 2, 3)):
        q = init.orthogonal_(disttorch.empty(shape)).numpy().reshape(shape[0], -1)
        small = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-6)


def test_truncated_values_stay_within():
    x = init.trunc_normal_(disttorch.empty(1000), 0, 1, 1.5, 2.0).numpy()
    assert x.min() >= 1.5
    assert x.max() <= 2.0


def test_nothing_is_recorded():
    w = disttorch.nn.Parameter(disttorch.empty(3, 3))
    assert init.xavier_normal_(w).grad_fn is None
    assert w.requires_grad


def test_warnings():
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        init.kaiming_uniform_(disttorch.empty(0, 3))
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        init.trunc_normal_(disttorch.empty(3), 0, 1, 3, 5)
    with pytest.warns(FutureWarning, match=r"`nn.init.eye` is now deprecated in favor of"):
        init.eye(disttorch.empty(2, 2))
