"""What the convolutions refuse, and the output sizes that may be asked for."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import nn

REFUSED = [
    (lambda: nn.Conv2d(3, 4, 1, groups=0), "groups must be a positive integer"),
    (lambda: nn.Conv2d(3, 4, 1, groups=2), "in_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 3, 1, groups=2), "out_channels must be divisible by groups"),
    (lambda: nn.Conv2d(1, 1, 1, padding="full"), "Invalid padding string 'full', should be one of"),
    (
        lambda: nn.Conv2d(1, 1, 1, padding="same", stride=2),
        "padding='same' is not supported for strided convolutions",
    ),
    (lambda: nn.Conv2d(1, 1, 1, padding_mode="mirror"), "padding_mode must be one of"),
    (
        lambda: nn.ConvTranspose2d(1, 1, 1, padding_mode="reflect"),
        'Only "zeros" padding mode is supported for ConvTranspose2d',
    ),
]


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_output_size():
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    x = disttorch.ones(1, 1, 6, 6)
    assert layer(x).shape == (1, 1, 11, 11)
    assert layer(x, output_size=[12, 11]).shape == (1, 1, 12, 11)
    assert layer(x, output_size=(1, 1, 12, 12)).shape == (1, 1, 12, 12)
    with pytest.raises(ValueError) as raised:
        layer(x, output_size=(13, 12))
    assert str(raised.value) == (
        "requested an output size of (13, 12), but valid sizes range from [11, 11] to [12, 12] "
        "(for an input of torch.Size([6, 6]))"
    )
    with pytest.raises(ValueError, match="ConvTranspose2D: for 4D input, output_size must have 2"):
        layer(x, output_size=(13,))
