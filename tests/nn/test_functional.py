"""nn.functional: what it adds to the operators: defaults, flags, legacy arguments, resizing."""

import inspect

import numpy as np
import pytest

import disttorch as torch
from disttorch.nn import functional as F

# Signatures of PyTorch 2.13: names and defaults in order.
SIGNATURES = {
    "batch_norm": "input, running_mean, running_var, weight=None, bias=None, training=False, "
    "momentum=0.1, eps=1e-05",
    "conv2d": "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1",
    "conv_transpose2d": "input, weight, bias=None, stride=1, padding=0, output_padding=0, "
    "groups=1, dilation=1",
    "max_pool2d": "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, "
    "return_indices=False",
    "avg_pool2d": "input, kernel_size, stride=None, padding=0, ceil_mode=False, "
    "count_include_pad=True, divisor_override=None",
    "cross_entropy": "input, target, weight=None, size_average=None, ignore_index=-100, "
    "reduce=None, reduction='mean', label_smoothing=0.0",
    "mse_loss": "input, target, size_average=None, reduce=None, reduction='mean', weight=None",
    "dropout": "input, p=0.5, training=True, inplace=False",
    "alpha_dropout": "input, p=0.5, training=False, inplace=False",
    "embedding": "input, weight, padding_idx=None, max_norm=None, norm_type=2.0, "
    "scale_grad_by_freq=False, sparse=False",
    "relu": "input, inplace=False",
    "leaky_relu": "input, negative_slope=0.01, inplace=False",
    "threshold": "input, threshold, value, inplace=False",
    "softmax": "input, dim=None, _stacklevel=3, dtype=None",
    "pad": "input, pad, mode='constant', value=None",
    "layer_norm": "input, normalized_shape, weight=None, bias=None, eps=1e-05",
    "interpolate": "input, size=None, scale_factor=None, mode='nearest', align_corners=None, "
    "recompute_scale_factor=None, antialias=False",
}


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_signature_is_that_of_pytorch(name):
    parameters = inspect.signature(getattr(F, name)).parameters.values()
    shown = (p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)
    assert ", ".join(shown) == SIGNATURES[name]


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("relu", (), [0, 2]),
        ("relu6", (), [0, 2]),
        ("leaky_relu", (0.5,), [-0.5, 2]),
        ("hardtanh", (-0.5, 0.5), [-0.5, 0.5]),
        ("threshold", (0.0, 9.0), [9, 2]),
        ("rrelu", (0.25, 0.75, False), [-0.5, 2]),
    ],
)
def test_inplace_by_position_and_by_name(name, args, expected):
    function = getattr(F, name)
    for call in (lambda x: function(x, *args, True), lambda x: function(x, *args, inplace=True)):
        x = torch.tensor([-1.0, 2.0])
        assert call(x) is x
        assert x.tolist() == expected
    x = torch.tensor([-1.0, 2.0])
    assert function(x, *args).tolist() == expected
    assert x.tolist() == [-1, 2]


def test_rrelu_draws_slopes_in_range():
    x = torch.tensor([-1.0] * 50 + [3.0])
    y = F.rrelu(x, 0.25, 0.5, training=True).numpy()
    assert y[-1] == 3
    assert (-0.5 <= y[:-1]).all()
    assert (y[:-1] <= -0.25).all()
    assert len(set(y[:-1].tolist())) > 10


def test_glu():
    x = torch.tensor([[1.0, 2.0, 0.0, 100.0]])
    np.testing.assert_allclose(F.glu(x).numpy(), [[0.5, 2.0]])
    with pytest.raises(RuntimeError, match=r"^Halving dimension must be even, but dimension 0 is"):
        F.glu(x, 0)


@pytest.mark.parametrize(
    ("flags", "reduction"),
    [
        ({"size_average": False}, "sum"),
        ({"size_average": True}, "mean"),
        ({"reduce": False}, "none"),
        ({"reduce": True, "size_average": False}, "sum"),
    ],
)
def test_legacy_flags_warn_and_work(flags, reduction):
    x, t = torch.tensor([1.0, 3.0]), torch.zeros(2)
    text = f"^size_average and reduce args will be deprecated, please use reduction='{reduction}'"
    with pytest.warns(UserWarning, match=text):
        legacy = F.mse_loss(x, t, **flags)
    np.testing.assert_array_equal(legacy.numpy(), F.mse_loss(x, t, reduction=reduction).numpy())


def test_broadcast_targets_warn():
    with pytest.warns(UserWarning, match=r"^Using a target size \(torch.Size\(\[2, 2\]\)\)"):
        F.l1_loss(torch.ones(2), torch.zeros(2, 2))


@pytest.mark.parametrize(
    ("reduction", "expected"), [("mean", 5.0), ("sum", 50.0), ("none", [0, 2, 12, 36])]
)
def test_weighted_mean_divides_by_the_weights(reduction, expected):
    x, w = torch.arange(4.0), torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert F.mse_loss(x, torch.zeros(4), weight=w, reduction=reduction).tolist() == expected


def test_kl_div_means():
    x, t = torch.zeros(2, 3), torch.ones(2, 3) * 0.5
    total = F.kl_div(x, t, reduction="sum").item()
    assert F.kl_div(x, t, reduction="batchmean").item() == pytest.approx(total / 2)
    with pytest.warns(UserWarning, match="^reduction: 'mean' divides the total loss by both"):
        assert F.kl_div(x, t).item() == pytest.approx(total / 6)


def test_implicit_softmax_dimension_warns():
    with pytest.warns(UserWarning, match="^Implicit dimension choice for softmax"):
        y = F.softmax(torch.zeros(2, 4))
    assert y.tolist() == [[0.25] * 4] * 2


def test_gumbel_softmax_hard_is_one_hot_with_a_soft_gradient():
    torch.manual_seed(0)
    x = torch.zeros(5, 4, requires_grad=True)
    y = F.gumbel_softmax(x, hard=True)
    np.testing.assert_allclose(np.sort(y.detach().numpy(), 1), [[0, 0, 0, 1]] * 5, atol=1e-6)
    (y * torch.arange(4.0)).sum().backward()
    assert (x.grad.numpy() != 0).any()


def test_max_pool_with_indices():
    x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
    y, index = F.max_pool1d(x, 2, return_indices=True)
    assert (y.tolist(), index.tolist()) == ([[[4, 3]]], [[[1, 3]]])
    assert F.max_pool1d_with_indices(x, 2)[1].tolist() == [[[1, 3]]]
    assert F.adaptive_max_pool1d(x, 1, return_indices=True)[1].tolist() == [[[1]]]
    assert F.adaptive_max_pool1d(x, 1).tolist() == [[[4]]]


def test_local_response_norm():
    x = torch.ones(1, 3, 2)
    y = F.local_response_norm(x, 2, alpha=2.0, beta=1.0, k=1.0).numpy()
    np.testing.assert_allclose(y[0, :, 0], [1 / 2, 1 / 3, 1 / 3])


RAMP = [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"size": 2}, [0, 2]),
        ({"scale_factor": 2}, [0, 0, 1, 1, 2, 2, 3, 3]),
        ({"size": 3, "mode": "nearest-exact"}, [0, 2, 3]),
        ({"size": 2, "mode": "area"}, [0.5, 2.5]),
        ({"size": 2, "mode": "linear"}, [0.5, 2.5]),
        ({"size": 7, "mode": "linear", "align_corners": True}, [0, 0.5, 1, 1.5, 2, 2.5, 3]),
        ({"scale_factor": 2.0, "mode": "linear"}, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]),
    ],
)
def test_resizing_a_row(kwargs, expected):
    x = torch.tensor([[RAMP]])
    assert F.interpolate(x, **kwargs).tolist() == [[expected]]


def test_resizing_distributes_gradients():
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    F.interpolate(x, scale_factor=2, mode="bilinear").sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((1, 1, 2, 2), 4.0))


@pytest.mark.parametrize(
    ("kwargs", "error", "text"),
    [
        ({}, ValueError, "either size or scale_factor should be defined"),
        (
            *({"size": 3, "scale_factor": 2}, ValueError),
            "only one of size or scale_factor should be defined",
        ),
        (
            *({"scale_factor": 2, "align_corners": True}, ValueError),
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear",
        ),
        (
            *({"scale_factor": 2, "mode": "foo"}, NotImplementedError),
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got 3D) for the modes: "
            "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact "
            "(got foo)",
        ),
    ],
)
def test_resizing_refuses(kwargs, error, text):
    with pytest.raises(error) as caught:
        F.interpolate(torch.ones(1, 1, 4), **kwargs)
    assert str(caught.value) == text
