"""Approximate decompositions: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

ERRORS = (
    (
        "torch.pca_lowrank(torch.ones(3,2),q=3)",
        ValueError,
        "q(=3) must be non-negative integer and not greater than min(m, n)=2",
    ),
    (
        "torch.pca_lowrank(torch.ones(3,2),niter=-1)",
        ValueError,
        "niter(=-1) must be non-negative integer",
    ),
)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
