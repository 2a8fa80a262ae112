"""Pooling: error texts and edges. Values: testing/opspec/pool.py."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.nn import functional as F

# Function, shape of the input, arguments, PyTorch 2.13's error and text.
ERRORS = (
    (
        *("max_pool2d", (1, 3, 2, 2), {"kernel_size": 3}),
        "Given input size: (3x2x2). Calculated output size: (3x0x0). Output size is too small",
    ),
    (
        *("max_pool2d", (1, 3, 8, 8), {"kernel_size": 2, "padding": 2}),
        "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and "
        "dilation=1",
    ),
    (
        *("max_pool2d", (2, 1, 9, 2), {"kernel_size": (1, 3), "padding": (0, 2), "dilation": 2}),
        "pad should be smaller than or equal to half of kernel size, but got padW = 2, padH = 0, "
        "kW = 3, kH = 1",
    ),
    (
        *("max_pool2d", (8, 8), {"kernel_size": 2}),
        "non-empty 3D or 4D (batch mode) tensor expected for input",
    ),
    (
        *("max_pool2d", (1, 3, 8, 8), {"kernel_size": (2, 2, 2)}),
        "max_pool2d: kernel_size must either be a single int, or a tuple of two ints",
    ),
    ("max_pool2d", (1, 3, 8, 8), {"kernel_size": 0}, "stride should not be zero"),
    (
        *("max_pool2d", (1, 3, 8, 8), {"kernel_size": 2, "dilation": 0}),
        "dilation should be greater than zero, but got dilationH: 0 dilationW: 0",
    ),
    (
        *("max_pool2d", (1, 0, 8, 8), {"kernel_size": 2}),
        "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but "
        "got:[1, 0, 8, 8]",
    ),
    (
        *("max_pool1d", (1, 1, 1, 8), {"kernel_size": 2}),
        "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
        "input, but got:[1, 1, 1, 8]",
    ),
    (
        *("max_pool3d", (2, 1, 0, 1, 2), {"kernel_size": 1}),
        "max_pool3d_with_indices_out_cpu_template(): Expected input's non-batch dimensions to have "
        "positive length, but input has a shape of [2, 1, 0, 1, 2] and non-batch dimension 0 has "
        "length zero!",
    ),
    ("max_pool1d", (1, 3, 2), {"kernel_size": 3}, "max_pool1d() Invalid computed output size: 0"),
    (
        *("avg_pool1d", (1, 3, 2), {"kernel_size": 3}),
        "Given input size: (3x1x2). Calculated output size: (3x1x0). Output size is too small",
    ),
    (
        *("avg_pool3d", (1, 3, 2, 2, 2), {"kernel_size": 3}),
        "input image (T: 2 H: 2 W: 2) smaller than kernel size (kT: 3 kH: 3 kW: 3)",
    ),
    (
        *("avg_pool2d", (1, 3, 8, 8), {"kernel_size": 2, "divisor_override": 0}),
        "divisor must be not zero",
    ),
    (
        *("adaptive_avg_pool2d", (8, 8), {"output_size": 2}),
        "adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got [8, 8]",
    ),
    (
        *("adaptive_max_pool2d", (8, 8), {"output_size": 2}),
        "adaptive_max_pool2d(): Expected 3D or 4D tensor, but got: [8, 8]",
    ),
    (
        *("adaptive_avg_pool2d", (1, 3, 8, 8), {"output_size": (2, 2, 2)}),
        "adaptive_avg_pool2d: output_size must be 2",
    ),
    (
        *("adaptive_avg_pool2d", (1, 3, 0, 8), {"output_size": 2}),
        "adaptive_avg_pool2d(): Expected input to have non-zero size for non-batch dimensions, but "
        "input has sizes [1, 3, 0, 8] with dimension 2 being empty",
    ),
)


@pytest.mark.parametrize(("name", "shape", "kwargs", "text"), ERRORS)
def test_refuses(name, shape, kwargs, text):
    with pytest.raises(RuntimeError) as caught:
        getattr(F, name)(torch.ones(*shape), **kwargs)
    assert str(caught.value) == text


def test_gradient_survives_an_activation_in_place():
    x = torch.tensor([[[-1.0, -2.0, 3.0, 4.0]]], requires_grad=True)
    F.max_pool1d(x, 2).relu_().sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[0, 0, 0, 1]]])


def test_input_may_change_after_pooling():
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]], requires_grad=True)
    h = x * 1
    y = F.max_pool1d(h, 2)
    h.zero_()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[0, 1, 0, 1]]])


def test_integers_are_pooled_too():
    x = torch.tensor([[[1, 5, 2, -3]]])
    assert F.max_pool1d(x, 2).tolist() == [[[5, 2]]]
    assert F.max_pool1d(x, 2).dtype == torch.int64


def test_none_keeps_a_size():
    assert F.adaptive_avg_pool2d(torch.ones(1, 1, 4, 6), (None, 3)).shape == (1, 1, 4, 3)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_adaptive_maxima_of_no_images(n_dims):
    x = torch.zeros(0, 2, *(5,) * n_dims, requires_grad=True)
    y = getattr(F, f"adaptive_max_pool{n_dims}d")(x, 3)
    assert y.shape == (0, 2, *(3,) * n_dims)
    y.sum().backward()
    assert x.grad.shape == x.shape
