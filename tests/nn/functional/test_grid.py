"""Sampling at grids, and the grids of affine maps."""

import pytest

import disttorch as torch
from disttorch.autograd.gradcheck import gradcheck
from disttorch.nn import functional as F

IDENTITY = {2: [[1.0, 0, 0], [0, 1, 0]], 3: [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}


def image(n):
    return torch.randn(1, 2, *(3, 4, 2)[:n], dtype=torch.float64)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    ("n", "mode"),
    [(2, "bilinear"), (2, "nearest"), (2, "bicubic"), (3, "bilinear"), (3, "nearest")],
)
def test_the_identity_gives_the_image(n, mode, padding, corners):
    x = image(n)
    theta = torch.tensor([IDENTITY[n]], dtype=torch.float64)
    grid = F.affine_grid(theta, x.shape, align_corners=corners)
    assert torch.allclose(F.grid_sample(x, grid, mode, padding, corners), x)


@pytest.mark.parametrize(
    ("padding", "want"), [("zeros", 0.0), ("border", 4.0), ("reflection", 1.0)]
)
def test_what_lies_outside(padding, want):
    x = torch.tensor([1.0, 2, 3, 4]).reshape(1, 1, 1, 4)
    at = torch.tensor([3.0, 0]).reshape(1, 1, 1, 2)
    sampled = F.grid_sample(x, at, "bilinear", padding, align_corners=True)
    assert sampled.item() == pytest.approx(want)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(("n", "mode"), [(2, "bilinear"), (2, "bicubic"), (3, "bilinear")])
def test_gradient(n, mode, padding):
    x = image(n).requires_grad_()
    grid = (torch.rand(1, *(2,) * n, n, dtype=torch.float64) * 2.4 - 1.2).requires_grad_()
    assert gradcheck(
        lambda *_: F.grid_sample(x, grid, mode, padding, align_corners=False), [x, grid]
    )


def test_the_default_is_announced():
    with pytest.warns(UserWarning, match="align_corners=False since 1.3.0"):
        F.grid_sample(image(2), torch.zeros(1, 1, 1, 2, dtype=torch.float64))


def test_a_grid_moves_with_its_map():
    theta = torch.tensor([[[2.0, 0, 0.5], [0, 1, 0]]], requires_grad=True)
    grid = F.affine_grid(theta, (1, 1, 2, 2), align_corners=True)
    assert grid.tolist() == [[[[-1.5, -1], [2.5, -1]], [[-1.5, 1], [2.5, 1]]]]
    grid.sum().backward()
    assert theta.grad.shape == theta.shape


def test_grid_sampler_takes_modes_as_numbers():
    x, at = image(2), torch.rand(1, 3, 3, 2, dtype=torch.float64) * 2 - 1
    wanted = F.grid_sample(x, at, "nearest", "reflection", align_corners=True)
    assert torch.equal(torch.grid_sampler_2d(x, at, 1, 2, True), wanted)
