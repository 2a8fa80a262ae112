"""Convolutions: error texts, layouts, gradients by need. Values: testing/opspec/conv.py."""

import numpy as np
import pytest

import disttorch as torch

# Shapes of input and weight, keywords, PyTorch 2.13's text.
CONV_ERRORS = (
    (
        *((4, 64, 158, 158), (64, 3, 3, 3), {}),
        "Given groups=1, weight of size [64, 3, 3, 3], expected input[4, 64, 158, 158] to have 3 "
        "channels, but got 64 channels instead",
    ),
    (
        *((64, 15, 15), (64, 3, 3, 3), {}),
        "Given groups=1, weight of size [64, 3, 3, 3], expected input[1, 64, 15, 15] to have 3 "
        "channels, but got 64 channels instead",
    ),
    (
        *((1, 3, 2, 2), (4, 3, 3, 3), {}),
        "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size "
        "can't be greater than actual input size",
    ),
    (
        *((1, 3, 2, 2), (4, 3, 3, 3), {"dilation": 2}),
        "Calculated padded input size per channel: (2 x 2). Kernel size: (5 x 5). Kernel size "
        "can't be greater than actual input size",
    ),
    (
        *((3, 2), (4, 3, 3, 3), {}),
        "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [3, 2]",
    ),
    (
        *((1, 4, 8, 8), (4, 2, 3, 3), {"groups": 3}),
        "Given groups=3, expected weight to be divisible by 3 at dimension 0, but got weight of "
        "size [[4, 2, 3, 3]] instead",
    ),
    (
        *((1, 4, 8, 8), (4, 4, 3, 3), {"bias": (5,)}),
        "Given weight of size [4, 4, 3, 3], expected bias to be 1-dimensional with 4 elements, but "
        "got bias of size [5] instead",
    ),
    (
        *((1, 4, 8, 8), (4, 4, 3, 3), {"stride": (1, 2, 3)}),
        "expected stride to be a single integer value or a list of 2 values to match the "
        "convolution dimensions, but got stride=[1, 2, 3]",
    ),
    ((1, 4, 8, 8), (4, 4, 3, 3), {"stride": 0}, "non-positive stride is not supported"),
    ((1, 4, 8, 8), (4, 4, 3, 3), {"padding": -1}, "negative padding is not supported"),
    ((1, 4, 8, 8), (4, 4, 3, 3), {"groups": 0}, "non-positive groups is not supported"),
    (
        *((1, 4, 8, 8), (4, 4, 3, 3), {"dilation": 0}),
        "dilation should be greater than zero, but got [0, 0]",
    ),
    ((1, 4, 8, 8), (4, 4, 3, 3), {"padding": "foo"}, "Invalid padding string: 'foo'"),
    (
        *((1, 4, 8, 8), (4, 4, 3, 3), {"padding": "same", "stride": 2}),
        "padding='same' is not supported for strided convolutions",
    ),
)

TRANSPOSED_ERRORS = (
    (
        *((1, 3, 8, 8), (4, 3, 3, 3), {}),
        "Given transposed=1, weight of size [4, 3, 3, 3], expected input[1, 3, 8, 8] to have 4 "
        "channels, but got 3 channels instead",
    ),
    (
        *((1, 3, 8, 8), (3, 4, 3, 3), {"output_padding": 1}),
        "output padding must be smaller than either stride or dilation, but got "
        "output_padding_height: 1 output_padding_width: 1 stride_height: 1 stride_width: 1 "
        "dilation_height: 1 dilation_width: 1",
    ),
    (
        *((1, 3, 8, 8), (3, 4, 3, 3), {"padding": 9}),
        "Given input size per channel: (8 x 8). Calculated output size per channel: (-8 x -8). "
        "Output size is too small",
    ),
    (
        *((1, 3, 8, 8), (3, 4, 3, 3), {"bias": (3,)}),
        "Given transposed=1, weight of size [3, 4, 3, 3], expected bias to be 1-dimensional with 4 "
        "elements, but got bias of size [3] instead",
    ),
)


def message(function, x, w, kwargs):
    if "bias" in kwargs:
        kwargs = {**kwargs, "bias": torch.ones(*kwargs["bias"])}
    with pytest.raises(RuntimeError) as caught:
        function(torch.ones(*x), torch.ones(*w), **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(("x", "w", "kwargs", "text"), CONV_ERRORS)
def test_convolution_refuses(x, w, kwargs, text):
    assert message(torch.conv2d, x, w, kwargs) == text


@pytest.mark.parametrize(("x", "w", "kwargs", "text"), TRANSPOSED_ERRORS)
def test_transposed_convolution_refuses(x, w, kwargs, text):
    assert message(torch.conv_transpose2d, x, w, kwargs) == text


def test_dtypes_must_agree():
    x, w = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)
    with pytest.raises(RuntimeError, match=r"^expected scalar type Float but found Double$"):
        torch.conv2d(x, w.double())
    text = r"^Input type \(float\) and bias type \(double\) should be the same$"
    with pytest.raises(RuntimeError, match=text):
        torch.conv2d(x, w, torch.ones(1).double())


@pytest.mark.parametrize(
    "wanted", [(True, False, False), (False, True, False), (False, False, True)]
)
def test_only_wanted_gradients_are_computed(wanted):
    operands = [torch.ones(1, 2, 4, 4), torch.ones(3, 2, 2, 2), torch.ones(3)]
    for t, want in zip(operands, wanted, strict=True):
        t.requires_grad = want
    y = torch.conv2d(*operands)
    assert y.grad_fn.name() == "ConvolutionBackward0"
    y.sum().backward()
    assert [t.grad is not None for t in operands] == list(wanted)


def test_output_is_contiguous_for_contiguous_operands():
    y = torch.conv2d(torch.ones(2, 8, 5, 5), torch.ones(4, 8, 3, 3))
    assert y.is_contiguous()
    assert y.view(2, -1).shape == (2, 36)


def test_channels_last_input_gives_channels_last_output():
    x = torch.ones(2, 5, 5, 8).permute(0, 3, 1, 2)
    y = torch.conv2d(x, torch.ones(4, 8, 3, 3))
    assert y.stride() == (36, 1, 12, 4)
    np.testing.assert_array_equal(y.numpy(), np.full((2, 4, 3, 3), 72.0))


def test_transposed_convolution_undoes_the_shape_of_a_strided_one():
    x, w = torch.ones(1, 1, 6, 6), torch.ones(1, 1, 3, 3)
    y = torch.conv2d(x, w, stride=2, padding=1)
    back = torch.conv_transpose2d(y, w, stride=2, padding=1, output_padding=1)
    assert back.shape == x.shape


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_of_no_images(transposed, kernel, groups):
    function = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    x = torch.zeros(0, 4, 5, 5, requires_grad=True)
    w = torch.zeros(4, 4 // groups, kernel, kernel, requires_grad=True)
    function(x, w, groups=groups).sum().backward()
    assert x.grad.shape == x.shape
    assert w.grad.shape == w.shape
    assert not w.grad.any()
