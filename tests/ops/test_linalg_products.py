"""Products of vectors, powers of numbers: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.cross(torch.tensor([1,0,0]),torch.tensor([0,1,0]))", "int64", [0, 0, 1]),
    ("torch.linalg.vecdot(x,x)", "float32", [5.0, 50.0]),
    ("torch.linalg.vander(torch.tensor([1,2,3]))", "int64", [[1, 1, 1], [1, 2, 4], [1, 3, 9]]),
    (
        "torch.vander(torch.tensor([1.,2.,3.]),N=2,increasing=True)",
        "float32",
        [[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]],
    ),
)

ERRORS = (
    (
        "torch.linalg.cross(torch.ones(2),torch.ones(2))",
        RuntimeError,
        "linalg.cross: inputs dimension -1 must have length 3. Got 2 and 2",
    ),
    (
        "torch.linalg.cross(torch.ones(3),torch.ones(2,3))",
        RuntimeError,
        "linalg.cross: inputs must have the same number of dimensions.",
    ),
    (
        "torch.cross(torch.ones(2,2),torch.ones(2,2))",
        RuntimeError,
        "no dimension of size 3 in input",
    ),
    (
        "torch.linalg.vecdot(torch.ones(2),torch.ones(2,dtype=torch.float64))",
        RuntimeError,
        (
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type Float "
            "and y of type Double instead"
        ),
    ),
    ("torch.linalg.vander(torch.ones(2),N=1)", RuntimeError, "N must be greater than 1."),
    ("torch.vander(torch.ones(2,2))", RuntimeError, "x must be a one-dimensional tensor."),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
