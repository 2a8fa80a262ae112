"""Losses: error texts and edges. Values: testing/opspec/loss.py."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.nn import functional as F

ERRORS = (
    (
        *("F.binary_cross_entropy_with_logits(ones(3), L(0,1,1))", RuntimeError),
        "result type Float can't be cast to the desired output type Long",
    ),
    (
        *("F.binary_cross_entropy_with_logits(ones(3), L(0,1,1) > 0)", RuntimeError),
        "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
        "`logical_xor()` operator instead.",
    ),
    (
        *("F.binary_cross_entropy_with_logits(L(0,1,1), ones(3))", NotImplementedError),
        "\"log_sigmoid_cpu\" not implemented for 'Long'",
    ),
    (
        *("F.mse_loss(L(0,1,1), L(0,1,1))", NotImplementedError),
        "\"mse_cpu\" not implemented for 'Long'",
    ),
    (
        *("F.cross_entropy(ones(4,3), L(0,1,2))", ValueError),
        "Expected input batch_size (4) to match target batch_size (3).",
    ),
    ("F.cross_entropy(ones(4,3), L(0,1,2,3))", IndexError, "Target 3 is out of bounds."),
    ("F.cross_entropy(ones(4,3), L(0,1,2,-1))", IndexError, "Target -1 is out of bounds."),
    (
        *("F.cross_entropy(ones(4,3), L(0,1,2,1).float())", RuntimeError),
        "expected target dtype to be Long or Byte, but got Float",
    ),
    (
        *("F.cross_entropy(ones(4,3), ones(4,2))", RuntimeError),
        "0D or 1D target tensor expected, multi-target not supported",
    ),
    (
        *("F.cross_entropy(ones(4,3), L(0,1,2,1), ones(4))", RuntimeError),
        "weight tensor should be defined either for all 3 classes or no classes but got weight "
        "tensor of shape: [4]",
    ),
    (
        *("F.cross_entropy(ones(4,3), L(0,1,2,1), label_smoothing=1.5)", RuntimeError),
        "label_smoothing must be between 0.0 and 1.0. Got: 1.5",
    ),
    (
        *("F.cross_entropy(ones(4,3,2), L(0,1,2,1))", RuntimeError),
        "Expected target size [4, 2], got [4]",
    ),
    (
        *("F.cross_entropy(ones(4,3), ones(4,3).long())", RuntimeError),
        "Expected floating point type for target with class probabilities, got Long",
    ),
    (
        *("F.cross_entropy(ones(4,3), ones(4,3), ignore_index=1)", RuntimeError),
        "ignore_index is not supported for floating point target",
    ),
    (
        *("F.cross_entropy(ones(4,3).long(), L(0,1,2,1))", NotImplementedError),
        "\"log_softmax_lastdim_kernel_impl\" not implemented for 'Long'",
    ),
    (
        *("F.cross_entropy(ones(4,3).double(), L(0,1,2,1), ones(3))", RuntimeError),
        "expected scalar type Double but found Float",
    ),
    (
        *("F.nll_loss(ones(4,3,2,2), ones(4,2,3).long())", RuntimeError),
        "size mismatch (got input: [4, 3, 2, 2] , target: [4, 2, 3]",
    ),
    (
        *("F.nll_loss(ones(4,3), L(0,1,2,1), reduction='x')", ValueError),
        "x is not a valid value for reduction",
    ),
    (
        *("F.smooth_l1_loss(ones(4), ones(4), beta=-1.0)", RuntimeError),
        "smooth_l1_loss does not support negative values for beta.",
    ),
    (
        *("F.huber_loss(ones(4), ones(4), delta=0.0)", RuntimeError),
        "huber_loss does not support non-positive values for delta.",
    ),
    (
        *("F.binary_cross_entropy(ones(4)*2, ones(4))", RuntimeError),
        "all elements of input should be between 0 and 1",
    ),
    (
        *("F.binary_cross_entropy(ones(4), ones(3))", ValueError),
        "Using a target size (torch.Size([3])) that is different to the input size "
        "(torch.Size([4])) is deprecated. Please ensure they have the same size.",
    ),
    (
        *("F.binary_cross_entropy(ones(4), ones(4).long())", RuntimeError),
        "Found dtype Long but expected Float",
    ),
    (
        *("F.binary_cross_entropy_with_logits(ones(4), ones(3))", ValueError),
        "Target size (torch.Size([3])) must be the same as input size (torch.Size([4]))",
    ),
    ("F.mse_loss(ones(4), 'a')", AttributeError, "'str' object has no attribute 'size'"),
    ("F.l1_loss(ones(4), 1.0)", AttributeError, "'float' object has no attribute 'size'"),
)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_refuses(expression, error, text):
    names = {"F": F, "ones": torch.ones, "L": lambda *v: torch.tensor(v)}
    with pytest.raises(error) as caught:
        eval(expression, names)
    assert str(caught.value) == text


def test_a_mean_over_nothing_is_nan_without_gradient():
    x = torch.ones(2, 3, requires_grad=True)
    loss = F.cross_entropy(x, torch.tensor([-100, -100]))
    loss.backward()
    assert np.isnan(loss.item())
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((2, 3)))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
def test_unbatched_scores(function, reduction):
    x, t = torch.tensor([0.5, 1.0, -1.0]), torch.tensor(1)
    loss = function(x, t, reduction=reduction)
    assert loss.shape == ()
    np.testing.assert_allclose(loss.item(), function(x.reshape(1, 3), t.reshape(1)).item())


def test_extreme_logits_stay_finite():
    x = torch.tensor([1000.0, -1000.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == 0
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])


def test_certain_and_wrong_probability_costs_100():
    loss = F.binary_cross_entropy(torch.tensor([0.0]), torch.tensor([1.0]))
    assert loss.item() == 100


def test_cross_entropy_is_one_node():
    x = torch.ones(2, 3, requires_grad=True)
    node = F.cross_entropy(x, torch.tensor([0, 1])).grad_fn
    assert node.name() == "NllLossBackward0"
    assert node.next_functions[0][0].name().endswith("AccumulateGrad")


def _losses(x):
    zeros = torch.zeros(len(x), dtype=torch.long)
    yield F.mse_loss(x, 3 * x)
    yield F.l1_loss(x, 3 * x, reduction="sum")
    yield F.binary_cross_entropy_with_logits(x, x.clamp(0, 1), reduction="sum")
    yield F.cross_entropy(x, zeros)
    yield F.cross_entropy(x, zeros, weight=x[0].exp())
    yield F.cross_entropy(x, zeros, label_smoothing=0.2)
    yield F.cross_entropy(x, x.softmax(1))
    yield torch.logsumexp(x, 0).sum()


def test_losses_of_bfloat16_are_those_of_float32_rounded():
    x = torch.linspace(-1, 1, 12000).reshape(3000, 4)
    short = x.bfloat16()
    for found, expected in zip(_losses(short), _losses(short.float()), strict=True):
        assert found.dtype == torch.bfloat16
        np.testing.assert_allclose(found.item(), expected.item(), rtol=1e-2)


@pytest.mark.parametrize(
    "layer",
    [
        lambda x, b: x + b,
        lambda x, b: F.linear(x, x[:4], b),
        lambda x, b: F.conv1d(x.T[None], x[:4, :, None], b),
        lambda x, b: F.batch_norm(x, None, None, None, b, training=True),
        lambda x, b: F.group_norm(x, 2, None, b),
    ],
)
def test_gradients_of_bfloat16_broadcast_over_many_do_not_saturate(layer):
    x, b = torch.randn(3000, 4).bfloat16(), torch.zeros(4).bfloat16().requires_grad_()
    layer(x, b).sum().backward()
    assert b.grad.dtype == torch.bfloat16
    np.testing.assert_allclose(b.grad.float().numpy(), 3000, rtol=1e-2)


@pytest.mark.filterwarnings("ignore:reduction. .mean. divides:UserWarning")
@pytest.mark.parametrize("log_target", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_kl_div_of_one_target_for_all_rows(reduction, log_target):
    x = torch.randn(3, 4, dtype=torch.float64).requires_grad_()
    t = torch.rand(1, 4, dtype=torch.float64).requires_grad_()
    how = {"reduction": reduction, "log_target": log_target}
    found, expected = F.kl_div(x, t, **how), F.kl_div(x, t.expand(3, 4), **how)
    np.testing.assert_allclose(found.detach(), expected.detach())
    for a, b in zip(
        torch.autograd.grad(found.sum(), (x, t)),
        torch.autograd.grad(expected.sum(), (x, t)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b)
