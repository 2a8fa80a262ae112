"""Padding: error texts and what repeated pixels get. Values: testing/opspec/pad.py."""

import pytest

import disttorch as torch
from disttorch.nn import functional as F

SUPPORTED = (
    "Supported combinations for non-constant padding:\n"
    "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
    "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
    "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
)
ERRORS = (
    ("F.pad(ones(2,3), (1,1,1))", RuntimeError, "Padding length must be divisible by 2"),
    (
        *("F.pad(ones(2,3), (1,)*6)", RuntimeError),
        "Padding length should be less than or equal to two times the input dimension but got "
        "padding length 6 and input of dimension 2",
    ),
    ("F.pad(ones(2,3), (-3,-1))", RuntimeError, "narrow(): length must be non-negative."),
    ("F.pad(ones(2,3), (1,1), 'foo')", NotImplementedError, "Unrecognised padding mode foo"),
    (
        *("F.pad(ones(2,3,4), (4,1), 'reflect')", RuntimeError),
        "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
        "padding (4, 1) at dimension 2 of input [2, 3, 4]",
    ),
    (
        *("F.pad(ones(2,3,4), (5,1), 'circular')", RuntimeError),
        "Padding value causes wrapping around more than once.",
    ),
    (
        *("F.pad(ones(2,3,4), (1,1), 'reflect', 1.0)", RuntimeError),
        'Padding mode "reflect" doesn\'t take in value argument',
    ),
    (
        *("F.pad(ones(3), (1,1), 'reflect')", NotImplementedError),
        f"Padding size 2 is not supported for 1D input tensor.\n{SUPPORTED}",
    ),
)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_refuses(expression, error, text):
    with pytest.raises(error) as caught:
        eval(expression, {"F": F, "ones": torch.ones})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("reflect", [1, 3, 2]), ("replicate", [3, 1, 2]), ("circular", [2, 2, 2])],
)
def test_repeated_pixels_add_up_their_gradients(mode, expected):
    x = torch.ones(1, 3, requires_grad=True)
    F.pad(x, (2, 1), mode).sum().backward()
    assert x.grad.tolist() == [expected]
