from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch
from disttorch.testing import assert_close

CLOSE = [
    (torch.tensor([1.0]), torch.tensor([1.0 + 1e-6])),
    (torch.tensor([1]), torch.tensor([1])),
    ([1.0, 2.0], [1.0, 2.0]),
    ({"a": torch.ones(2)}, {"a": torch.ones(2)}),
    (1.0, 1.0 + 1e-9),
    (torch.zeros(0), torch.zeros(0)),
]
DIFFERENT = [
    (torch.tensor([1.0]), torch.tensor([1.1]), "Mismatched elements: 1 / 1"),
    (torch.ones(2), torch.ones(3), "'shape' do not match"),
    (torch.ones(2), torch.ones(2, dtype=torch.float64), "'dtype' do not match"),
    (torch.tensor([np.nan]), torch.tensor([np.nan]), "Mismatched elements"),
    ([1.0], [1.0, 2.0], "length of the sequences"),
    ({"a": 1}, {"b": 1}, "keys of the mappings"),
    ([1.0, 2.0], [1.0, 3.0], r"The failure occurred for item \[1\]$"),
    ({"a": [1, 2]}, {"a": [1, 3]}, r"The failure occurred for item \['a'\]\[1\]$"),
    (
        *(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.5]])),
        r"^Tensor-likes are not close!\n\nMismatched elements: 1 / 2 \(50.0%\)\n"
        r"Greatest absolute difference: 0.5 at index \(0, 1\) \(up to 1e-05 allowed\)\n"
        r"Greatest relative difference: 0.2\d* at index \(0, 1\) \(up to 1.3e-06 allowed\)$",
    ),
    (
        *(torch.tensor([True]), torch.tensor([False])),
        r"^Tensor-likes are not equal!\n\nMismatched elements: 1 / 1 \(100.0%\)\n"
        r"Greatest absolute difference: 1 at index \(0,\)\n"
        r"Greatest relative difference: inf at index \(0,\)$",
    ),
    (
        *(1.0, 2.0),
        r"^Scalars are not close!\n\nExpected 2.0 but got 1.0.\n"
        r"Absolute difference: 1.0 \(up to 1e-07 allowed\)\n"
        r"Relative difference: 0.5 \(up to 1e-07 allowed\)$",
    ),
]


@pytest.mark.parametrize(("a", "b"), CLOSE)
def test_close_things_pass(a, b):
    assert_close(a, b)


@pytest.mark.parametrize(("a", "b", "message"), DIFFERENT)
def test_different_things_raise(a, b, message):
    with pytest.raises(AssertionError, match=message):
        assert_close(a, b)


@pytest.mark.parametrize("other", ["float16", "float32", "int64", "bool", "complex64", "uint8"])
@pytest.mark.parametrize("shape", [(2,), ()], ids=str)
def test_dtypes_that_differ_are_reported_in_their_common_one(other, shape):
    a = torch.ones(shape, dtype=torch.bfloat16)
    for actual, expected in (
        (a, a.to(getattr(torch, other)) * 0),
        (a.to(getattr(torch, other)), a * 0),
    ):
        with pytest.raises(AssertionError, match=r"bsolute difference: 1\.0"):
            assert_close(actual, expected, check_dtype=False)


def test_options():
    assert_close(torch.tensor([1.0]), torch.tensor([1.1]), rtol=0.2, atol=0.0)
    assert_close(torch.tensor([np.nan]), torch.tensor([np.nan]), equal_nan=True)
    assert_close(torch.ones(2), torch.ones(2, dtype=torch.float64), check_dtype=False)
    with pytest.raises(ValueError, match="must be either specified or unspecified"):
        assert_close(1.0, 1.0, rtol=0.1)
    with pytest.raises(AssertionError, match="my words"):
        assert_close(1.0, 2.0, msg="my words")
    with pytest.raises(AssertionError, match="'stride\\(\\)' do not match"):
        assert_close(torch.ones(2, 3).t(), torch.ones(3, 2), check_stride=True)
