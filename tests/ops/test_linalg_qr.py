"""QR decompositions and reflections: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.linalg.qr(torch.eye(2),mode='r').Q", "float32", []),
    ("torch.linalg.qr(torch.ones(3,2),mode='complete').Q.shape", None, (3, 3)),
    ("torch.geqrf(torch.tensor([[3.],[4.]]))", "float32", [[[-5.0], [0.5]], [1.600000023841858]]),
    (
        "torch.orgqr(*torch.geqrf(torch.tensor([[3.],[4.]])))",
        "float32",
        [[-0.6000000238418579], [-0.800000011920929]],
    ),
)

ERRORS = (
    (
        "torch.linalg.qr(torch.ones(3))",
        RuntimeError,
        "linalg.qr: The input tensor A must have at least 2 dimensions.",
    ),
    (
        "torch.linalg.qr(torch.eye(2),mode='x')",
        RuntimeError,
        (
            "qr received unrecognized mode 'x' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        ),
    ),
    (
        "torch.linalg.qr(torch.rand(3,2,requires_grad=True),mode='r').R.sum().backward()",
        RuntimeError,
        (
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. "
            "Please use linalg.qr(A, mode='reduced') if you are going to differentiate through "
            "linalg.qr."
        ),
    ),
    (
        ("torch.linalg.qr(torch.rand(3,2,requires_grad=True),mode='complete').R.sum().backward()"),
        RuntimeError,
        "The QR decomposition is not differentiable when mode='complete' and nrows > ncols.",
    ),
    (
        "torch.linalg.householder_product(torch.ones(2,3),torch.ones(2))",
        RuntimeError,
        (
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal "
            "to input.shape[-1]"
        ),
    ),
    (
        "torch.linalg.householder_product(torch.ones(3,2),torch.ones(3))",
        RuntimeError,
        (
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal "
            "to tau.shape[-1]"
        ),
    ),
    (
        "torch.ormqr(torch.eye(3),torch.ones(3),torch.ones(4,2))",
        RuntimeError,
        "torch.ormqr: other.shape[-2] must be equal to input.shape[-2]",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
