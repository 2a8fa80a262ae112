"""Eigenvalues: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.linalg.eigvalsh(torch.tensor([[2.,9.],[1.,2.]]))", "float32", [1.0, 3.0]),
    ("torch.linalg.eigvalsh(torch.tensor([[2.,1.],[9.,2.]]),UPLO='U')", "float32", [1.0, 3.0]),
)

ERRORS = (
    (
        "torch.linalg.eigh(torch.ones(2,3))",
        RuntimeError,
        "linalg.eigh: A must be batches of square matrices, but they are 2 by 3 matrices",
    ),
    (
        "torch.linalg.eigh(torch.eye(2),UPLO='x')",
        RuntimeError,
        "Expected UPLO argument to be 'L' or 'U', but got x",
    ),
    (
        "torch.linalg.eigh(torch.eye(2).long())",
        NotImplementedError,
        "\"linalg_eigh_cpu\" not implemented for 'Long'",
    ),
    (
        "torch.linalg.eigvals(torch.eye(2).long())",
        RuntimeError,
        "Unknown Complex ScalarType for Long",
    ),
    (
        "torch.linalg.eig(torch.ones(3))",
        RuntimeError,
        "linalg.eig: The input tensor A must have at least 2 dimensions.",
    ),
    (
        (
            "torch.linalg.eigh(torch.tensor([[1.,2.j],[-2.j,4.]],"
            "requires_grad=True))[1].sum().abs().backward()"
        ),
        RuntimeError,
        (
            "linalg_eigh_backward: The eigenvectors in the complex case are specified up to "
            "multiplication by e^{i phi}. The specified loss function depends on this "
            "quantity, so it is ill-defined."
        ),
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
