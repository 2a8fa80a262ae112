"""Variances and deviations: warnings name the function that was called."""

import pytest

import disttorch as torch


@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
@pytest.mark.parametrize("shape", [(1,), (3, 1)], ids=str)
def test_too_few_numbers_warn_in_the_name_that_was_called(name, shape):
    with pytest.warns(UserWarning, match=rf"^{name}\(\): degrees of freedom is <= 0\. Correction"):
        getattr(torch, name)(torch.ones(shape), -1)
