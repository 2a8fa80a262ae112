"""torch.special: names, values that PyTorch gives, and what is said where SciPy is missing."""

import sys
from math import inf, nan

import pytest

import disttorch as torch
from disttorch.errors import MissingExtraError

NAMES = """
airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u
chebyshev_polynomial_v chebyshev_polynomial_w digamma entr erf erfc erfcx erfinv exp2 expit expm1
gammainc gammaincc gammaln hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e
laguerre_polynomial_l legendre_polynomial_p log1p log_ndtr log_softmax logit logsumexp
modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri
polygamma psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1
shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
shifted_chebyshev_polynomial_w sinc softmax spherical_bessel_j0 xlog1py xlogy zeta
""".split()

POINTS = [-2.5, 0.0, 0.5, 3.0, 12.0]
# Of PyTorch 2.13, whose approximations are good to six or seven digits.
VALUES = {
    "airy_ai": [-0.1123248367, 0.3550280539, 0.2316936065, 0.006591139357, 1.393184689e-13],
    "bessel_j0": [-0.04838377647, 1.0, 0.9384698072, -0.2600519549, 0.04768931078],
    "bessel_j1": [-0.4970941025, 0.0, 0.2422684577, 0.3390589585, -0.2234471045],
    "bessel_y0": [nan, -inf, -0.4445187335, 0.37685001, -0.2252373126],
    "bessel_y1": [nan, -inf, -1.471472393, 0.3246744248, -0.05709921829],
    "modified_bessel_i1": [-2.516716245, 0.0, 0.2578943054, 3.953370217, 18141.34878],
    "modified_bessel_k0": [nan, inf, 0.9244190712, 0.03473950439, 2.200825397e-06],
    "modified_bessel_k1": [nan, inf, 1.65644112, 0.04015643113, 2.290757465e-06],
    "scaled_modified_bessel_k0": [nan, inf, 1.524109386, 0.697761598, 0.3581948785],
    "scaled_modified_bessel_k1": [nan, inf, 2.731009708, 0.8065634801, 0.3728317534],
    "spherical_bessel_j0": [0.2393888576, 1.0, 0.9588510772, 0.04704000269, -0.04471440983],
}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_there(name):
    assert getattr(torch.special, name).__doc__


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    pytest.importorskip("scipy", reason="SciPy computes these functions")
    y = getattr(torch.special, name)(torch.tensor(POINTS, dtype=torch.float64))
    expected = torch.tensor(VALUES[name], dtype=torch.float64)
    assert torch.allclose(y, expected, rtol=2e-5, atol=0, equal_nan=True)


def test_16_bit_types():
    x = torch.tensor([0.5, 2.0])
    assert torch.i0(x.half()).dtype is torch.float16
    assert torch.allclose(torch.i0(x.half()).float(), torch.i0(x), rtol=1e-3)
    with pytest.raises(NotImplementedError, match="not implemented for 'Half'"):
        torch.special.bessel_j0(x.half())


def test_no_gradient_where_pytorch_has_none():
    x = torch.tensor([0.5], requires_grad=True)
    assert not torch.special.bessel_j0(x).requires_grad
    assert not torch.special.legendre_polynomial_p(x, 3).requires_grad
    with pytest.raises(NotImplementedError, match="the derivative for 'igamma: input' is not"):
        torch.igamma(x, torch.ones(1)).backward()
    with pytest.raises(NotImplementedError, match="the derivative for 'zeta' is not implemented"):
        torch.special.zeta(x, 2.0).backward()


def test_degrees_as_tensors_and_of_negative_polynomials():
    x = torch.tensor([0.5, 0.5, 0.5])
    y = torch.special.chebyshev_polynomial_t(x, torch.tensor([-1.0, 0.0, 2.0]))
    assert y.tolist() == [0.0, 1.0, -0.5]


def test_the_error_without_scipy_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'disttorch\[special\]'"):
        torch.special.bessel_j0(torch.ones(1))
