"""Window functions: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.hann_window(4)", "float32", [0.0, 0.5, 1.0, 0.5]),
    (
        "torch.hamming_window(4)",
        "float32",
        [0.08000001311302185, 0.5400000214576721, 1.0, 0.5400000214576721],
    ),
    ("torch.bartlett_window(4)", "float32", [0.0, 0.5, 1.0, 0.5]),
    (
        "torch.kaiser_window(4)",
        "float32",
        [5.2773437346331775e-05, 0.21567265689373016, 1.0, 0.21567265689373016],
    ),
    (
        "torch.blackman_window(5,periodic=False)",
        "float32",
        [
            -2.9802322387695312e-08,
            0.3400000035762787,
            1.0,
            0.3399999737739563,
            -2.9802322387695312e-08,
        ],
    ),
    ("torch.hann_window(1)", "float32", [1.0]),
    ("torch.hann_window(0)", "float32", []),
    (
        "torch.hamming_window(3,False,0.6,0.4)",
        "float32",
        [0.20000001788139343, 1.0, 0.20000001788139343],
    ),
    (
        "torch.kaiser_window(3,True,2.0,dtype=torch.float64)",
        "float64",
        [0.4386762798370488, 0.9243138756260794, 0.9243138756260794],
    ),
)

ERRORS = (
    (
        "torch.hann_window(-1)",
        RuntimeError,
        "hann_window requires non-negative window_length, got window_length=-1",
    ),
    (
        "torch.hann_window(3,dtype=torch.int64)",
        RuntimeError,
        (
            "hann_window expects floating point dtypes, got: TensorOptions(dtype=long int, "
            "device=cpu, layout=Strided (default), requires_grad=false (default), "
            "pinned_memory=false, memory_format=(nullopt))"
        ),
    ),
    (
        "torch.kaiser_window(-1)",
        RuntimeError,
        "kaiser_window requires non-negative window_length, got window_length=-1",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
