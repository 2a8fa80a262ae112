"""Fourier transforms: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.fft.fft(x)",
        "complex64",
        [
            [(3 + 0j), (-1.5 + 0.8660253882408142j), (-1.5 - 0.8660253882408142j)],
            [(12 + 0j), (-1.5 + 0.8660253882408142j), (-1.5 - 0.8660253882408142j)],
        ],
    ),
    (
        "torch.fft.rfft(x,norm='ortho')",
        "complex64",
        [
            [(1.7320507764816284 + 0j), (-0.8660253882408142 + 0.4999999701976776j)],
            [(6.928203105926514 + 0j), (-0.8660253882408142 + 0.4999999701976776j)],
        ],
    ),
    ("torch.fft.irfft(torch.fft.rfft(x))", "float32", [[0.75, 2.25], [5.25, 6.75]]),
    ("torch.fft.fft2(x,s=(2,2))", "complex64", [[(8 + 0j), (-2 + 0j)], [(-6 + 0j), 0j]]),
    ("torch.fft.fft(torch.tensor([1,2]))", "complex64", [(3 + 0j), (-1 + 0j)]),
    ("torch.fft.hfft(x,n=3)", "float32", [[2.0, -1.0, -1.0], [11.0, -1.0, -1.0]]),
    ("torch.fft.ihfftn(x).shape", None, (2, 2)),
)

ERRORS = (
    (
        "torch.fft.fft(torch.ones(4),n=0)",
        RuntimeError,
        "Invalid number of data points (0) specified",
    ),
    ("torch.fft.fft(torch.ones(4),norm='x')", RuntimeError, 'Invalid normalization mode: "x"'),
    (
        "torch.fft.fft(torch.ones(4),dim=5)",
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 5)",
    ),
    ("torch.fft.fft(torch.ones(4).half())", RuntimeError, "Unsupported dtype Half"),
    (
        "torch.fft.fft(torch.tensor(1.))",
        IndexError,
        "Dimension specified as -1 but tensor has no dimensions",
    ),
    (
        "torch.fft.rfft(torch.ones(4)+0j)",
        RuntimeError,
        "rfft expects a real input tensor, but got ComplexFloat",
    ),
    (
        "torch.fft.rfftn(torch.ones(4)+0j)",
        RuntimeError,
        "rfftn expects a real-valued input tensor, but got ComplexFloat",
    ),
    ("torch.fft.irfft(torch.ones(1))", RuntimeError, "Invalid number of data points (0) specified"),
    (
        "torch.fft.fft2(torch.ones(3))",
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got -2)",
    ),
    (
        "torch.fft.fftn(torch.ones(3,4),s=(1,2,3))",
        RuntimeError,
        "Got shape with 3 values but input tensor only has 2 dimensions.",
    ),
    (
        "torch.fft.fftn(torch.ones(3,4),s=(1,),dim=(0,1))",
        RuntimeError,
        "When given, dim and shape arguments must have the same length",
    ),
    ("torch.fft.fftn(torch.ones(3,4),dim=(0,0))", RuntimeError, "FFT dims must be unique"),
    (
        "torch.fft.rfftn(torch.ones(3,4),dim=())",
        RuntimeError,
        "rfftn must transform at least one axis",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
