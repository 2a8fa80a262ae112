"""Densities that integrate to one, inverse functions, shapes and subclasses; without PyTorch."""

import warnings

import numpy as np
import pytest

import disttorch
from disttorch import distributions as D

CONTINUOUS = {
    "Normal": (lambda: D.Normal(0.5, 1.3), -20, 20),
    "Laplace": (lambda: D.Laplace(-0.5, 0.8), -30, 30),
    "Gamma": (lambda: D.Gamma(2.5, 1.5), 1e-6, 40),
    "Beta": (lambda: D.Beta(2.0, 3.5), 1e-6, 1 - 1e-6),
    "StudentT": (lambda: D.StudentT(5.0, 1.0, 0.7), -200, 200),
    "VonMises": (lambda: D.VonMises(0.3, 2.0), -np.pi, np.pi),
    "Gumbel": (lambda: D.Gumbel(0.0, 2.0), -20, 80),
    "Weibull": (lambda: D.Weibull(1.0, 2.0), 1e-6, 20),
    "LogNormal": (lambda: D.LogNormal(0.0, 0.5), 1e-6, 60),
    "Kumaraswamy": (lambda: D.Kumaraswamy(2.0, 3.0), 1e-6, 1 - 1e-6),
    "ContinuousBernoulli": (lambda: D.ContinuousBernoulli(0.3), 0, 1),
    "HalfNormal": (lambda: D.HalfNormal(1.5), 0, 30),
    "GeneralizedPareto": (lambda: D.GeneralizedPareto(0.0, 1.0, -0.3), 0, 3.3333),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_integrate_to_one(name):
    make, low, high = CONTINUOUS[name]
    x = np.linspace(low, high, 200_001)
    density = make().log_prob(disttorch.from_numpy(x.astype(np.float32))).exp().numpy()
    assert np.trapezoid(density, x) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Gumbel", "Weibull", "HalfNormal"])
def test_icdf_is_the_inverse_of_cdf(name):
    distribution = CONTINUOUS[name][0]()
    rank = disttorch.tensor([0.05, 0.5, 0.9])
    np.testing.assert_allclose(distribution.cdf(distribution.icdf(rank)), rank, rtol=1e-4)


@pytest.mark.parametrize("make", [lambda: D.Binomial(6, disttorch.tensor([0.3, 0.9]))])
def test_probabilities_sum_to_one(make):
    distribution = make()
    total = distribution.log_prob(distribution.enumerate_support()).exp().sum(0)
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_shapes():
    distribution = D.Independent(D.Normal(disttorch.zeros(4, 3), 1.0), 1)
    assert (distribution.batch_shape, distribution.event_shape) == ((4,), (3,))
    assert distribution.sample((2, 5)).shape == (2, 5, 4, 3)
    assert distribution.log_prob(distribution.sample((2,))).shape == (2, 4)
    assert distribution.expand((7, 4)).sample().shape == (7, 4, 3)


class Shifted(D.Normal):
    """A user's family with a constructor of its own."""

    def __init__(self, shift):
        super().__init__(shift + 1.0, 2.0)


def test_subclasses_with_a_constructor_must_expand_themselves():
    with pytest.raises(NotImplementedError, match="Subclass Shifted of Normal that defines"):
        Shifted(disttorch.zeros(2)).expand((3, 2))


class Bare(D.Distribution):
    """A user's family that says nothing of its parameters."""


def test_families_without_constraints_warn():
    with pytest.warns(UserWarning, match="does not define `arg_constraints`"):
        Bare()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Bare(validate_args=False)


def test_validation_can_be_switched_off():
    D.Normal(0.0, -1.0, validate_args=False)
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0)


def test_a_divergence_of_ones_own():
    class Point(D.Normal):
        pass

    D.register_kl(Point, D.Normal)(lambda p, q: disttorch.tensor(7.0))
    assert D.kl_divergence(Point(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 7.0
    assert D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0.0


def test_rsample_carries_gradients_and_sample_does_not():
    loc = disttorch.zeros(3).requires_grad_()
    assert not D.Normal(loc, 1.0).sample().requires_grad
    D.Normal(loc, 1.0).rsample((5,)).sum().backward()
    assert loc.grad.tolist() == [5.0, 5.0, 5.0]
