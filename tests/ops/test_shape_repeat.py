"""flip, roll, repeat and their relatives.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.flip(x,[0,1])", "float32", [[5.0, 4.0, 3.0], [2.0, 1.0, 0.0]]),
    ("x.roll(1)", "float32", [[5.0, 0.0, 1.0], [2.0, 3.0, 4.0]]),
    ("x.roll((1,1),(0,1))", "float32", [[5.0, 3.0, 4.0], [2.0, 0.0, 1.0]]),
    ("torch.rot90(x)", "float32", [[2.0, 5.0], [1.0, 4.0], [0.0, 3.0]]),
    ("x.tile(2)", "float32", [[0.0, 1.0, 2.0, 0.0, 1.0, 2.0], [3.0, 4.0, 5.0, 3.0, 4.0, 5.0]]),
    ("x.repeat(2,1,1).shape", None, (2, 2, 3)),
    (
        "x.repeat_interleave(2,dim=0)",
        "float32",
        [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [3.0, 4.0, 5.0]],
    ),
    (
        "x.repeat_interleave(torch.tensor([1,2]),dim=0)",
        "float32",
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [3.0, 4.0, 5.0]],
    ),
    ("torch.repeat_interleave(torch.tensor([1,2,0]))", "int64", [0, 1, 1]),
)

ERRORS = (
    ("torch.flip(x,[0,0])", RuntimeError, "dim 0 appears multiple times in the list of dims"),
    ("torch.roll(x,(1,2),0)", RuntimeError, "shifts and dimensions must align. shifts: 2, dims:1"),
    (
        "torch.roll(torch.tensor(1.),1,0)",
        IndexError,
        "Dimension specified as 0 but tensor has no dimensions",
    ),
    (
        "torch.rot90(torch.ones(3))",
        RuntimeError,
        "expected total dims >= 2, but got total dims = 1",
    ),
    (
        "x.repeat(2)",
        RuntimeError,
        "Number of dimensions of repeat dims can not be smaller than number of dimensions "
        "of tensor",
    ),
    (
        "x.repeat_interleave(torch.tensor([1,2,3]),0)",
        RuntimeError,
        "repeats must have the same size as input along dim, but got repeats.size(0) = 3 "
        "and input.size(0) = 2",
    ),
    ("torch.repeat_interleave(torch.tensor([-1]))", RuntimeError, "repeats can not be negative"),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
