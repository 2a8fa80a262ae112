from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch

OPERANDS = {
    "f32": lambda: torch.ones(2),
    "f64": lambda: torch.ones(2, dtype=torch.float64),
    "f16": lambda: torch.ones(2, dtype=torch.float16),
    "bf16": lambda: torch.ones(2, dtype=torch.bfloat16),
    "i64": lambda: torch.ones(2, dtype=torch.int64),
    "u8": lambda: torch.ones(2, dtype=torch.uint8),
    "bool": lambda: torch.ones(2, dtype=torch.bool),
    "c64": lambda: torch.ones(2, dtype=torch.complex64),
    "0-d f64": lambda: torch.tensor(1.0, dtype=torch.float64),
    "0-d i64": lambda: torch.tensor(1),
    "int": lambda: 1,
    "float": lambda: 1.0,
    "True": lambda: True,
    "1j": lambda: 1j,
    "np.float64": lambda: np.float64(1.0),
    "np.int32": lambda: np.int32(1),
}


@pytest.mark.parametrize(
    ("a", "b", "total", "quotient"),
    [
        ("f32", "f64", "float64", "float64"),
        ("f32", "i64", "float32", "float32"),
        ("f16", "bf16", "float32", "float32"),
        ("i64", "i64", "int64", "float32"),
        ("u8", "bool", "uint8", "float32"),
        ("bool", "bool", "bool", "float32"),
        ("f32", "c64", "complex64", "complex64"),
        ("f64", "c64", "complex128", "complex128"),
        ("f32", "0-d f64", "float32", "float32"),
        ("i64", "0-d f64", "float64", "float64"),
        ("u8", "0-d i64", "uint8", "float32"),
        ("0-d i64", "0-d f64", "float64", "float64"),
        ("f16", "float", "float16", "float16"),
        ("bf16", "float", "bfloat16", "bfloat16"),
        ("bf16", "int", "bfloat16", "bfloat16"),
        ("i64", "float", "float32", "float32"),
        ("u8", "int", "uint8", "float32"),
        ("bool", "int", "int64", "float32"),
        ("bool", "True", "bool", "float32"),
        ("f32", "1j", "complex64", "complex64"),
        ("f64", "1j", "complex128", "complex128"),
        ("f32", "np.float64", "float32", "float32"),
        ("i64", "np.int32", "int64", "float32"),
    ],
)
def test_result_dtype_whichever_comes_first(a, b, total, quotient):
    x, y = OPERANDS[a](), OPERANDS[b]()
    for first, second in ((x, y), (y, x)):
        assert (first + second).dtype.name == total
        assert (first / second).dtype.name == quotient


def test_the_default_dtype_is_what_integers_become():
    torch.set_default_dtype(torch.float64)
    try:
        assert (torch.tensor([1]) / 2).dtype is torch.float64
        assert torch.tensor([1]).exp().dtype is torch.float64
        assert (torch.tensor([1]) + 1.5).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_numbers_wrap_around_in_small_integers():
    x = torch.tensor([250], dtype=torch.uint8)
    assert (x + 10).tolist() == [4]
    assert (x + 300).tolist() == [38]


@pytest.mark.parametrize(
    ("dtype", "total"), [(torch.float32, torch.complex64), (torch.float64, torch.complex128)]
)
def test_a_complex_operand_without_dimensions_leaves_the_precision(dtype, total):
    assert (torch.ones(2, dtype=dtype) + torch.tensor(1j, dtype=torch.complex128)).dtype is total


def test_integers_are_not_divided_in_place():
    with pytest.raises(RuntimeError, match=r"result type Float can't be cast .* output type Long"):
        torch.tensor([4, 2]).div_(torch.tensor([2, 2]))
