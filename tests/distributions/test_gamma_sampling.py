import numpy as np
import pytest

import disttorch
from disttorch.distributions.gamma_sampling import implicit_gradient, standard_gamma


def quantile(a, rank):
    """The x with gammainc(a, x) == rank, by bisection."""
    shape = disttorch.tensor(a, dtype=disttorch.float64)
    low, high = -60.0, np.log(a + 60 * np.sqrt(a) + 60)
    for _ in range(200):
        middle = (low + high) / 2
        x = disttorch.tensor(float(np.exp(middle)), dtype=disttorch.float64)
        if disttorch.special.gammainc(shape, x).item() < rank:
            low = middle
        else:
            high = middle
    return float(np.exp(low))


@pytest.mark.parametrize("a", [0.2, 1.0, 4.5, 30.0])
@pytest.mark.parametrize("rank", [0.05, 0.5, 0.95])
def test_gradients_are_slopes_of_quantiles(a, rank):
    eps = 1e-4 * a
    want = (quantile(a + eps, rank) - quantile(a - eps, rank)) / (2 * eps)
    x = disttorch.tensor([quantile(a, rank)], dtype=disttorch.float64)
    got = implicit_gradient(x, disttorch.full_like(x, a))
    assert got.item() == pytest.approx(want, rel=1e-4)


def test_both_formulas_meet():
    a = disttorch.tensor([79.99, 80.01], dtype=disttorch.float64)
    x = disttorch.tensor([70.0, 70.02], dtype=disttorch.float64)
    below, above = implicit_gradient(x, a).tolist()
    assert below == pytest.approx(above, rel=2e-3)


def test_moments():
    disttorch.manual_seed(0)
    a = disttorch.tensor([0.5, 3.0, 200.0]).expand(20_000, 3)
    drawn = standard_gamma(a).numpy()
    np.testing.assert_allclose(drawn.mean(0), [0.5, 3.0, 200.0], rtol=0.03)
    np.testing.assert_allclose(drawn.var(0), [0.5, 3.0, 200.0], rtol=0.05)


def test_the_mean_gradient_is_one():
    disttorch.manual_seed(0)
    a = disttorch.tensor([0.5, 3.0, 200.0]).requires_grad_()
    standard_gamma(a.expand(20_000, 3)).mean(0).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), 1, rtol=0.03)
