"""Frequencies: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.fft.fftfreq(5,d=0.5)",
        "float32",
        [0.0, 0.4000000059604645, 0.800000011920929, -0.800000011920929, -0.4000000059604645],
    ),
    ("torch.fft.rfftfreq(4)", "float32", [0.0, 0.25, 0.5]),
    ("torch.fft.fftfreq(0)", "float32", []),
    ("torch.fft.fftshift(x)", "float32", [[5.0, 3.0, 4.0], [2.0, 0.0, 1.0]]),
    ("torch.fft.ifftshift(x,dim=1)", "float32", [[1.0, 2.0, 0.0], [4.0, 5.0, 3.0]]),
)

ERRORS = (
    (
        "torch.fft.fftfreq(4,dtype=torch.int64)",
        RuntimeError,
        "fftfreq requires a floating point or complex dtype",
    ),
    (
        "torch.fft.fftshift(torch.ones(2,2),dim=3)",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 3)",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
