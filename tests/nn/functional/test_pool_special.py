"""Power pooling, unpooling and windows at random places."""

import pytest

import disttorch as torch
from disttorch.autograd.gradcheck import gradcheck, gradgradcheck
from disttorch.nn import functional as F

SIZES = {1: (6,), 2: (4, 6), 3: (4, 4, 6)}


def image(n):
    return torch.randn(1, 2, *SIZES[n], dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_power_pooling_is_a_norm(n):
    x = image(n).abs()
    pooled = getattr(F, f"lp_pool{n}d")(x, 3, 2)
    summed = getattr(F, f"avg_pool{n}d")(x**3, 2) * 2**n
    assert torch.allclose(pooled, summed ** (1 / 3))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_puts_maxima_back(n):
    x = image(n)
    pooled, index = getattr(F, f"max_pool{n}d")(x, 2, return_indices=True)
    back = getattr(F, f"max_unpool{n}d")(pooled, index, 2)
    assert back.shape == x.shape
    kept = back != 0
    assert torch.equal(back[kept], x[kept])
    assert int(kept.sum()) == pooled.numel()
    alone = getattr(F, f"max_unpool{n}d")(pooled[0], index[0], 2, output_size=SIZES[n])
    assert torch.equal(alone, back[0])


def test_unpooling_differentiates_twice():
    pooled = torch.randn(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[[[0, 3], [9, 14]]]])
    function = lambda x: F.max_unpool2d(x, index, 2)  # noqa: E731 - two checks of one function
    assert gradcheck(function, [pooled])
    assert gradgradcheck(function, [pooled])


@pytest.mark.parametrize("n", [2, 3])
def test_random_windows_hold_what_they_point_at(n):
    x = image(n)
    pool = getattr(F, f"fractional_max_pool{n}d")
    y, index = pool(x, 2, output_size=3, return_indices=True)
    assert y.shape == (1, 2, *(3,) * n)
    assert torch.equal(x.flatten(2).gather(2, index.flatten(2)).reshape(y.shape), y)
    torch.manual_seed(1)
    first = pool(x, 2, output_ratio=0.5)
    torch.manual_seed(1)
    assert torch.equal(pool(x, 2, output_ratio=0.5), first)
    assert first.shape[2:] == tuple(s // 2 for s in SIZES[n])


def test_gradient_of_random_windows():
    x = image(2).requires_grad_()
    samples = torch.rand(1, 2, 2, dtype=torch.float64)
    assert gradcheck(lambda x: F.fractional_max_pool2d(x, 2, 3, _random_samples=samples), [x])
