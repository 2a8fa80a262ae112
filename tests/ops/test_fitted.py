from __future__ import annotations

import math

import pytest

import disttorch as torch

OVERFLOW = "value cannot be converted to type {} without overflow"
LONG = (ValueError, "Overflow when unpacking long long")
NEGATIVE = (OverflowError, "can't convert negative int to unsigned")
TOO_BIG = (OverflowError, "int too big to convert")

# What is made of a list of numbers: its elements, or the error.
LISTS = (
    ([0, 2**63], None, LONG),
    ([-1, 2**63], None, LONG),
    ([0, 2**64 - 1], None, LONG),
    ([0, 2**64], "int32", LONG),
    ([0, 2**63], "int16", LONG),
    ([0, 2**63], "uint64", [0, 2**63]),
    ([2**63 + 1, 0], "uint64", [2**63 + 1, 0]),
    ([2**53 + 1, 0.5], "int64", [2**53 + 1, 0]),
    ([0, 2**64], "uint64", TOO_BIG),
    ([0, -1], "uint64", NEGATIVE),
    ([0, 1.0], "uint64", (TypeError, "an integer is required")),
    ([0, 2**70], "float32", [0.0, float(2**70)]),
    ([2**70], "bfloat16", [float(2**70)]),
    ([0, 2**63], "bool", [False, True]),
    ([-1, -255], "uint8", [255, 1]),
    ([-256], "uint8", (RuntimeError, OVERFLOW.format("uint8"))),
    ([300], "uint8", (RuntimeError, OVERFLOW.format("uint8"))),
    ([255.9], "uint8", (RuntimeError, OVERFLOW.format("uint8"))),
    ([-0.5], "uint8", (RuntimeError, OVERFLOW.format("uint8"))),
    ([-3.7, 3.7], "int8", [-3, 3]),
    ([0.0, math.nan], "int64", (RuntimeError, OVERFLOW.format("int64"))),
    ([0.0, -math.inf], "int64", (RuntimeError, OVERFLOW.format("int64"))),
    ([1e30], "int64", (RuntimeError, OVERFLOW.format("int64"))),
    ([1j], "float32", (TypeError, "must be real number, not complex")),
    ([1j], "int8", (TypeError, "'complex' object cannot be interpreted as an integer")),
)
# What an element becomes that a number is written to, by `fill_` and `full`, then by ``x[0] =``.
NUMBERS = (
    (300, "uint8", (RuntimeError, OVERFLOW.format("uint8_t")), None),
    (-1, "uint8", 255, None),
    (-0.5, "uint16", (RuntimeError, OVERFLOW.format("uint16_t")), None),
    (255.9, "uint8", (RuntimeError, OVERFLOW.format("uint8_t")), None),
    (math.nan, "int64", (RuntimeError, OVERFLOW.format("int64_t")), None),
    (1e39, "float32", (RuntimeError, OVERFLOW.format("float")), None),
    (1e39, "complex64", (RuntimeError, OVERFLOW.format("c10::complex<float>")), None),
    (1e39, "bfloat16", (RuntimeError, OVERFLOW.format("c10::BFloat16")), math.inf),
    (math.inf, "float32", math.inf, None),
    (2 + 0j, "int8", 2, None),
    (2j, "bool", True, None),
    (2**63, "bfloat16", 2.0**63, LONG),
    (2**63, "uint64", 2**63, LONG),
    (-(2**63) - 1, "float64", NEGATIVE, LONG),
    (2**64, "float64", TOO_BIG, LONG),
)


def assert_makes(make, expected):
    """Check what a call returns as a list, or the error that it raises."""
    if isinstance(expected, list):
        assert make().tolist() == expected
        return
    error, text = expected
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize(("data", "dtype", "expected"), LISTS)
def test_lists(data, dtype, expected):
    kind = None if dtype is None else getattr(torch, dtype)
    assert_makes(lambda: torch.tensor(data, dtype=kind), expected)


@pytest.mark.parametrize(("number", "dtype", "filled", "assigned"), NUMBERS)
def test_numbers(number, dtype, filled, assigned):
    kind = getattr(torch, dtype)

    def assign():
        x = torch.zeros(2, dtype=kind)
        x[0] = number
        return x[:1]

    filled = filled if isinstance(filled, tuple) else [filled]
    assert_makes(lambda: torch.zeros(1, dtype=kind).fill_(number), filled)
    assert_makes(lambda: torch.full((1,), number, dtype=kind), filled)
    if assigned is not None:
        filled = assigned if isinstance(assigned, tuple) else [assigned]
    assert_makes(assign, filled)


def outcome(library, data, dtype, way):
    """What one library makes of the first number, as text."""
    kind = getattr(library, dtype)
    try:
        if way == "tensor":
            return repr(library.tensor([0, data], dtype=kind).tolist())
        x = library.zeros(2, dtype=kind)
        if way == "fill_":
            return repr(x.fill_(data).tolist())
        x[0] = data
        return repr(x.tolist())
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


EDGES = (
    *(-(2**63) - 1, -(2**63), -(2**31) - 1, -256, -129, -1, 255, 256, 2**31, 2**63, 2**64 - 1),
    *(2**64, 10**30, -3.7, -0.5, 255.9, 65520.0, 1e10, 1e39, math.inf, math.nan, True, 2 + 0j, 1j),
)


@pytest.mark.parity
@pytest.mark.parametrize("way", ["tensor", "fill_", "assignment"])
@pytest.mark.parametrize(
    "dtype",
    [
        *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
        *("float16", "bfloat16", "float32", "float64", "complex64"),
    ],
)
def test_equals_torch(dtype, way):
    oracle = pytest.importorskip("torch", reason="torch not installed")
    assert {n: outcome(torch, n, dtype, way) for n in EDGES} == {
        n: outcome(oracle, n, dtype, way) for n in EDGES
    }
