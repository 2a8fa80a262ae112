"""nn.functional: what it adds to the operators: defaults, flags, legacy arguments, resizing."""

import inspect

import numpy as np
import pytest

import disttorch as torch
import disttorch.testing.fake_device
from disttorch.backends import backend_for
from disttorch.nn import functional as F
from disttorch.tensor import Tensor

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


# ---- the strict stand-in for a GPU ---------------------------------------------------------------

SEEDS = {
    "x": (2, 3, 4, 6),
    "rows": (4, 3),
    "others": (4, 3),
    "grid": (2, 3, 3, 2),
    "line": (2, 3, 8),
}
ON_A_DEVICE = {
    "grid_sample": lambda t: F.grid_sample(t["x"], t["grid"] * 0.7, align_corners=False),
    "grid_sample_bicubic": lambda t: F.grid_sample(
        t["x"], t["grid"], "bicubic", "reflection", align_corners=True
    ),
    "affine_grid": lambda t: F.affine_grid(t["line"][..., :3][:, :2], (2, 1, 3, 4), False),
    "bicubic": lambda t: F.interpolate(t["x"], (3, 7), mode="bicubic"),
    "antialias": lambda t: F.interpolate(t["x"], (3, 4), mode="bilinear", antialias=True),
    "embedding_bag": lambda t: F.embedding_bag(t["index"], t["rows"]),
    "embedding_bag_max": lambda t: F.embedding_bag(t["index"], t["rows"], mode="max"),
    "max_unpool": lambda t: F.max_unpool1d(
        *F.max_pool1d(t["line"], 2, return_indices=True), kernel_size=2
    ),
    "fractional": lambda t: F.fractional_max_pool2d(
        t["x"], 2, 3, _random_samples=t["line"][..., :2].sigmoid()
    ),
    "lp_pool": lambda t: F.lp_pool2d(t["x"] * t["x"], 3, 2),
    "ctc": lambda t: F.ctc_loss(t["x"][0].log_softmax(2), t["labels"], [3, 3, 2, 3], [2, 2, 1, 1]),
    "multi_margin": lambda t: F.multi_margin_loss(t["rows"], t["classes"]),
    "multilabel_margin": lambda t: F.multilabel_margin_loss(t["rows"], t["labels3"]),
    "multilabel_soft_margin": lambda t: F.multilabel_soft_margin_loss(t["rows"], t["others"]),
    "cosine_embedding": lambda t: F.cosine_embedding_loss(t["rows"], t["others"], t["classes"]),
    "triplet": lambda t: F.triplet_margin_loss(t["rows"], t["others"], t["rows"] * t["others"]),
    "poisson": lambda t: F.poisson_nll_loss(t["rows"], t["others"].exp(), full=True),
    "gaussian": lambda t: F.gaussian_nll_loss(t["rows"], t["others"], t["others"].exp()),
    "bilinear": lambda t: F.bilinear(t["rows"], t["others"], t["line"][:, :, :3]),
    "attention": lambda t: F.scaled_dot_product_attention(
        t["line"], t["line"], t["line"], dropout_p=0.3
    ),
}
NUMBERS = {
    "index": [[0, 3, 3], [1, 1, 2]],
    "labels": [[1, 2], [3, 3], [1, 0], [2, 0]],
    "classes": [0, 2, 1, 1],
    "labels3": [[1, -1, 0], [0, 2, -1], [-1, 0, 0], [2, 1, 0]],
}


def on_device(name, device):
    """Output and gradients of a functional on a device."""
    backend = backend_for(torch.device(device))
    rng = np.random.RandomState(0)
    leaves = {
        k: Tensor._wrap(backend.asarray(rng.standard_normal(s))).requires_grad_()
        for k, s in SEEDS.items()
    }
    more = {k: Tensor._wrap(backend.asarray(np.asarray(v))) for k, v in NUMBERS.items()}
    torch.manual_seed(0)
    y = ON_A_DEVICE[name]({**leaves, **more})
    assert y.device.type == device
    y.sum().backward()
    found = [y, *(t.grad for t in leaves.values())]
    return [None if t is None else backend.to_host(t.detach()._array) for t in found]


@pytest.mark.parametrize("name", ON_A_DEVICE)
def test_runs_on_the_fake_device(name):
    for a, b in zip(on_device(name, "fake"), on_device(name, "cpu"), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_bounds_of_hardtanh_are_compared_in_the_dtype_of_the_input():
    x = torch.tensor([0.69, 0.703125]).bfloat16().requires_grad_()
    y = F.hardtanh(x, -0.5, 0.7)  # 0.7 is 0.69921875 in bfloat16
    y.sum().backward()
    assert x.grad.tolist() == [1, 0]


def test_slope_of_selu_is_exact_where_it_is_recorded():
    x = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(F.selu(x).sum(), x, create_graph=True)
    assert slope.item() == 1.0507009873554804934193349852946


@pytest.mark.parametrize("reduction, expected", [("mean", 0.75), ("sum", 1.5), ("none", [1, 0.5])])
def test_mean_of_weighted_huber_losses_is_over_their_number(reduction, expected):
    x, weight = torch.tensor([1.0, 1.0]), torch.tensor([2.0, 1.0])
    y = F.huber_loss(x, torch.zeros(2), reduction=reduction, weight=weight)
    assert y.tolist() == expected
    divided = F.mse_loss(x, torch.zeros(2), weight=weight)
    assert divided.item() == 1.0


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grids_of_no_images(mode):
    x, grid = torch.zeros(0, 2, 4, 4), torch.zeros(0, 3, 5, 2)
    assert F.grid_sample(x, grid, mode, align_corners=False).shape == (0, 2, 3, 5)


def test_multi_margin_loss_of_no_rows():
    x, target = torch.zeros(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.long)
    assert F.multi_margin_loss(x, target, reduction="none").shape == (0,)
    loss = F.multi_margin_loss(x, target, reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert x.grad.shape == (0, 3)
