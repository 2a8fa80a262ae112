"""Counts by inversion and rejection: PyTorch's numbers, and the state left behind."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.random import default_generator, fill_binomial, fill_gamma, fill_poisson


def filled(fill, *parameters):
    torch.manual_seed(5)
    arrays = [np.array(p, np.float32) for p in parameters]
    return fill(np.empty(arrays[0].shape, np.float32), *arrays)


def test_binomial():
    drawn = filled(fill_binomial, [0, 3, 10, 40, 100, 400], [0.5, 0.3, 0.9, 0.5, 0.02, 0.97])
    assert drawn.tolist() == [0, 1, 9, 18, 4, 390]
    assert torch.rand(1).item() == pytest.approx(0.5273253321647644)


def test_binomial_of_certain_and_impossible_outcomes():
    drawn = filled(fill_binomial, [7, 7, 0, 5], [0.0, 1.0, 0.5, np.nan])
    np.testing.assert_array_equal(drawn, [0, 7, 0, np.nan])


def test_poisson():
    assert filled(fill_poisson, [0, 0.5, 3, 9, 20, 400]).tolist() == [0, 1, 2, 10, 18, 416]


def test_gamma():
    drawn = filled(fill_gamma, [0.1, 0.5, 1, 2, 9, 40])
    expected = [2.47844255e-05, 1.35336947, 0.05217972, 0.86331952, 7.12609529, 44.17788696]
    np.testing.assert_allclose(drawn, expected, rtol=1e-6)
    assert torch.rand(1).item() == pytest.approx(0.2638806700706482)


def test_strided_outputs_are_filled_in_memory_order():
    rates = np.array([[1.0, 20.0], [5.0, 0.5]])
    torch.manual_seed(5)
    plain = fill_poisson(np.empty((2, 2)), rates)
    torch.manual_seed(5)
    turned = fill_poisson(np.empty((2, 2)).T, rates.T).T
    np.testing.assert_array_equal(plain, turned)


@pytest.mark.parametrize("fill", [fill_binomial, fill_gamma])
def test_narrow_types_are_refused(fill):
    arrays = [np.ones(2)] * (2 if fill is fill_binomial else 1)
    with pytest.raises(NotImplementedError, match="not implemented for 'Half'"):
        fill(np.empty(2, np.float16), *arrays, default_generator)


def test_binomial_operator():
    torch.manual_seed(5)
    drawn = torch.binomial(torch.tensor([[10.0], [40.0]]), torch.tensor([0.5, 0.5, 0.5]))
    assert drawn.shape == (2, 3)
    with pytest.raises(RuntimeError, match="Found dtype Double but expected Float"):
        torch.binomial(torch.ones(2), torch.ones(2, dtype=torch.float64))
