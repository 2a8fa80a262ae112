"""torch.signal.windows: weights and errors.

Expected results are those of PyTorch 2.13.
"""

import numpy as np
import pytest

import disttorch
from disttorch.signal import windows

VALUES = (
    ("bartlett", {}, [0.0, 0.5, 1.0, 0.5, 0.0], [0.0, 0.5, 1.0, 0.5]),
    ("blackman", {}, [0.0, 0.34, 1.0, 0.34, 0.0], [0.0, 0.34, 1.0, 0.34]),
    ("cosine", {}, [0.3090, 0.8090, 1.0, 0.8090, 0.3090], [0.3090, 0.8090, 1.0, 0.8090]),
    ("exponential", {}, [0.1353, 0.3679, 1.0, 0.3679, 0.1353], [0.1353, 0.3679, 1.0, 0.3679]),
    ("gaussian", {}, [0.1353, 0.6065, 1.0, 0.6065, 0.1353], [0.1353, 0.6065, 1.0, 0.6065]),
    ("general_cosine", {"a": [0.5, 0.3]}, [0.2, 0.5, 0.8, 0.5, 0.2], [0.2, 0.5, 0.8, 0.5]),
    ("general_hamming", {}, [0.08, 0.54, 1.0, 0.54, 0.08], [0.08, 0.54, 1.0, 0.54]),
    ("hamming", {}, [0.08, 0.54, 1.0, 0.54, 0.08], [0.08, 0.54, 1.0, 0.54]),
    ("hann", {}, [0.0, 0.5, 1.0, 0.5, 0.0], [0.0, 0.5, 1.0, 0.5]),
    ("kaiser", {}, [5e-05, 0.2157, 1.0, 0.2157, 5e-05], [5e-05, 0.2157, 1.0, 0.2157]),
    ("nuttall", {}, [0.0004, 0.2270, 1.0, 0.2270, 0.0004], [0.0004, 0.2270, 1.0, 0.2270]),
)

ERRORS = (
    (lambda: windows.hann(-1), ValueError, "general_cosine requires non-negative window length"),
    (lambda: windows.bartlett(3, dtype=disttorch.int64), ValueError, "bartlett expects float32"),
    (lambda: windows.exponential(5, center=1), ValueError, "Center must be None for symmetric"),
    (lambda: windows.exponential(5, tau=-1), ValueError, "Tau must be positive, got: -1 instead."),
    (lambda: windows.gaussian(5, std=0), ValueError, "Standard deviation must be positive, got: 0"),
    (lambda: windows.kaiser(5, beta=-1), ValueError, "beta must be non-negative, got: -1 instead."),
    (lambda: windows.general_cosine(5, a=[]), ValueError, "Coefficients cannot be empty"),
    (lambda: windows.general_cosine(5, a=3), TypeError, "Coefficients must be a list/tuple"),
)


@pytest.mark.parametrize(("name", "options", "symmetric", "periodic"), VALUES)
def test_weights(name, options, symmetric, periodic):
    window = getattr(windows, name)
    found = window(5, **options)
    assert found.dtype is disttorch.float32
    np.testing.assert_allclose(found.numpy(), symmetric, atol=1e-4)
    np.testing.assert_allclose(window(4, sym=False, **options).numpy(), periodic, atol=1e-4)
    assert window(1, **options).tolist() == [1.0]
    assert window(0, **options).tolist() == []


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
