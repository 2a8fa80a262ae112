"""Singular values: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

from disttorch.errors import LinAlgError

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.linalg.svdvals(torch.tensor([[3.,0.],[0.,-4.]]))", "float32", [4.0, 3.0]),
    (
        "torch.svd(torch.ones(3,2),compute_uv=False)[0]",
        "float32",
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    ),
    ("torch.linalg.svd(torch.ones(3,2)).U.shape", None, (3, 3)),
    ("torch.linalg.svd(torch.ones(3,2),full_matrices=False).U.shape", None, (3, 2)),
)

ERRORS = (
    (
        "torch.linalg.svd(torch.ones(3))",
        RuntimeError,
        "linalg.svd: The input tensor A must have at least 2 dimensions.",
    ),
    (
        "torch.linalg.svd(torch.ones(2,2).long())",
        RuntimeError,
        "linalg.svd: Expected a floating point or complex tensor as input. Got Long",
    ),
    (
        "torch.linalg.svd(torch.full((2,2),torch.nan))",
        LinAlgError,
        (
            "linalg.svd: The algorithm failed to converge because the input matrix contained "
            "non-finite values."
        ),
    ),
    (
        "torch.linalg.svd(torch.ones(2,2),driver='gesvd')",
        RuntimeError,
        (
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs "
            "with cuSOLVER backend."
        ),
    ),
    (
        "torch.svd(torch.ones(3))",
        RuntimeError,
        "linalg.svd: input should have at least 2 dimensions, but has 1 dimensions instead",
    ),
    (
        (
            "torch.linalg.svd(torch.tensor([[1.,2.j],[3.,4.]],"
            "requires_grad=True))[0].sum().abs().backward()"
        ),
        RuntimeError,
        (
            "svd_backward: The singular vectors in the complex case are specified up to "
            "multiplication by e^{i phi}. The specified loss function depends on this phase "
            "term, making it ill-defined."
        ),
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
