"""Softmax: large numbers, dtypes, error texts. Values: testing/opspec/softmax.py."""

import numpy as np
import pytest

import disttorch as torch


def test_large_numbers_do_not_overflow():
    x = torch.tensor([1000.0, 1000.0, -1000.0])
    assert torch.softmax(x, 0).tolist() == [0.5, 0.5, 0.0]
    np.testing.assert_allclose(
        torch.log_softmax(x, 0).numpy(), [-np.log(2), -np.log(2), -2000 - np.log(2)], rtol=1e-6
    )


def test_dtype_is_cast_before():
    y = torch.softmax(torch.tensor([1, 1]), 0, dtype=torch.float64)
    assert y.dtype == torch.float64
    assert y.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("function", "kernel"),
    [
        (torch.softmax, "softmax_lastdim_kernel_impl"),
        (torch.log_softmax, "log_softmax_lastdim_kernel_impl"),
    ],
)
def test_integers_are_refused(function, kernel):
    with pytest.raises(NotImplementedError) as caught:
        function(torch.ones(3).long(), 0)
    assert str(caught.value) == f"\"{kernel}\" not implemented for 'Long'"


def test_dimension_out_of_range():
    with pytest.raises(IndexError, match="expected to be in range of"):
        torch.softmax(torch.ones(2, 3), 2)
