"""Pseudo-inverses, ranks, least squares: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.linalg.matrix_rank(torch.ones(3,3))", "int64", 1),
    (
        "torch.linalg.pinv(torch.ones(2,2))",
        "float32",
        [[0.2499999850988388, 0.2499999701976776], [0.2500000298023224, 0.25]],
    ),
    ("torch.linalg.matrix_rank(torch.diag(torch.tensor([1.,1e-3])),tol=0.1)", "int64", 1),
    (
        "torch.linalg.lstsq(torch.eye(3)[:,:2],torch.ones(3,1),driver='gelsd')",
        None,
        [[[1.0], [1.0]], [1.0], 2, [1.0, 1.0]],
    ),
    (
        "torch.linalg.lstsq(torch.ones(4,2),torch.ones(4))[0]",
        "float32",
        [0.5000000596046448, 0.5000001788139343],
    ),
)

ERRORS = (
    (
        "torch.linalg.lstsq(torch.eye(3),torch.ones(4,2))",
        RuntimeError,
        "torch.linalg.lstsq: input.size(-2) should match other.size(-2)",
    ),
    (
        "torch.linalg.lstsq(torch.eye(3),torch.ones(3,1),driver='x')",
        RuntimeError,
        ("torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"),
    ),
    (
        "torch.linalg.lstsq(torch.ones(3),torch.ones(3))",
        RuntimeError,
        "torch.linalg.lstsq: input must have at least 2 dimensions.",
    ),
    (
        "torch.linalg.pinv(torch.ones(3))",
        RuntimeError,
        (
            "linalg.pinv(Float{[3]}): expected a tensor with 2 or more dimensions of float, "
            "double, cfloat or cdouble types"
        ),
    ),
    (
        "torch.linalg.matrix_rank(torch.ones(3))",
        RuntimeError,
        "torch.linalg.matrix_rank: The input tensor input must have at least 2 dimensions.",
    ),
    (
        "torch.linalg.matrix_rank(torch.eye(2).long())",
        RuntimeError,
        "This function doesn't handle types other than float and double",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
