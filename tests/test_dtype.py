"""Dtypes, limits and promotion; expected results are those of PyTorch 2.13."""

import enum
import pickle

import numpy as np
import pytest

import disttorch as torch

LETTERS = {
    **{"b": torch.bool, "B": torch.uint8, "1": torch.int8, "2": torch.int16, "4": torch.int32},
    **{"8": torch.int64, "h": torch.float16, "g": torch.bfloat16, "f": torch.float32},
    **{"d": torch.float64, "F": torch.complex64, "D": torch.complex128},
}
# promote_types of the row's dtype with each of LETTERS.
LATTICE = (
    *("bB1248hgfdFD", "BB2248hgfdFD", "121248hgfdFD", "222248hgfdFD", "444448hgfdFD"),
    *("888888hgfdFD", "hhhhhhhffdFD", "ggggggfgfdFD", "fffffffffdFD", "ddddddddddDD"),
    *("FFFFFFFFFDFD", "DDDDDDDDDDDD"),
)
OPERATIONS = (
    ("torch.tensor([1]) + 1.5", "float32"),
    ("torch.tensor([1.5]) + 1", "float32"),
    ("torch.tensor([1], dtype=torch.int8) + 300", "int8"),
    ("torch.tensor([1], dtype=torch.int8) + torch.tensor(300)", "int8"),
    ("torch.tensor([1], dtype=torch.int8) + torch.tensor([300])", "int64"),
    (
        "torch.tensor([1.5], dtype=torch.float16) + torch.tensor(1.5, dtype=torch.float64)",
        "float16",
    ),
    (
        "torch.tensor([1.5], dtype=torch.float16) + torch.tensor([1.5], dtype=torch.float64)",
        "float64",
    ),
    ("torch.tensor([1]) + torch.tensor(1.5, dtype=torch.float64)", "float64"),
    ("torch.tensor([True]) + 1", "int64"),
    ("torch.tensor([True]) + True", "bool"),
    ("torch.tensor([1.5]) + 1j", "complex64"),
    ("torch.tensor([1.5], dtype=torch.float64) + 1j", "complex128"),
    ("torch.tensor([1]) * torch.tensor([1.5], dtype=torch.float16)", "float16"),
    ("torch.tensor([1]) / 2", "float32"),
    ("torch.tensor([1], dtype=torch.uint8) - torch.tensor([2], dtype=torch.int8)", "int16"),
    ("torch.tensor(1) + torch.tensor([1], dtype=torch.int16)", "int16"),
    ("torch.tensor(1.5) + torch.tensor([1], dtype=torch.int16)", "float32"),
    (
        "torch.tensor([1.5], dtype=torch.bfloat16) + torch.tensor([1.5], dtype=torch.float16)",
        "float32",
    ),
    ("torch.tensor([1.5], dtype=torch.bfloat16) * 2.5", "bfloat16"),
)


@pytest.mark.parametrize(("row", "expected"), list(zip(LETTERS, LATTICE, strict=True)))
def test_promote_types(row, expected):
    found = [torch.promote_types(LETTERS[row], other) for other in LETTERS.values()]
    assert found == [LETTERS[letter] for letter in expected]


@pytest.mark.parametrize(("expression", "expected"), OPERATIONS)
def test_result_dtype_of_operators(expression, expected):
    assert eval(expression).dtype is getattr(torch, expected)


def test_numbers_follow_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.tensor(1.5).dtype is torch.float64
        assert (torch.tensor([1]) + 1.5).dtype is torch.float64
        assert torch.tensor(1j).dtype is torch.complex128
        assert torch.zeros(2).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_default_dtype_is_floating():
    with pytest.raises(TypeError, match="only floating-point types"):
        torch.set_default_dtype(torch.int32)


LIMITS = (
    (torch.float16, 16, 0.0009765625, 65504.0, 6.103515625e-05, 1e-3),
    (torch.bfloat16, 16, 0.0078125, 3.3895313892515355e38, 1.1754943508222875e-38, 1e-2),
    (
        torch.float32,
        32,
        1.1920928955078125e-07,
        3.4028234663852886e38,
        1.1754943508222875e-38,
        1e-6,
    ),
    (
        torch.float64,
        64,
        2.220446049250313e-16,
        1.7976931348623157e308,
        2.2250738585072014e-308,
        1e-15,
    ),
)


@pytest.mark.parametrize(("dtype", "bits", "eps", "largest", "tiny", "resolution"), LIMITS)
def test_finfo(dtype, bits, eps, largest, tiny, resolution):
    info = torch.finfo(dtype)
    assert (info.bits, info.eps, info.max, info.min, info.tiny, info.smallest_normal) == (
        *(bits, eps, largest, -largest, tiny, tiny),
    )
    assert info.resolution == pytest.approx(resolution)


def test_limits_print_as_in_pytorch():
    assert repr(torch.finfo(torch.float32)) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, "
        "smallest_normal=1.17549e-38, tiny=1.17549e-38, dtype=float32)"
    )
    assert repr(torch.iinfo(torch.int8)) == "iinfo(min=-128, max=127, dtype=int8)"


@pytest.mark.parametrize(
    ("call", "text"),
    (
        (lambda: torch.finfo(torch.int32), "requires a floating point input type"),
        (lambda: torch.iinfo(torch.float32), "requires an integer input type"),
    ),
)
def test_limits_refuse_the_other_kind(call, text):
    with pytest.raises(TypeError, match=text):
        call()


@pytest.mark.parametrize("dtype", LETTERS.values(), ids=str)
def test_dtypes_are_singletons(dtype):
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert getattr(torch, str(dtype).removeprefix("torch.")) is dtype
    assert torch.zeros(1, dtype=dtype).dtype is dtype
    assert dtype.itemsize == torch.zeros(1, dtype=dtype).element_size()


def test_kinds():
    assert torch.bfloat16.is_floating_point and not torch.complex64.is_floating_point
    assert torch.complex64.is_complex and torch.complex64.to_real() is torch.float32
    assert torch.float64.to_complex() is torch.complex128
    assert torch.int8.is_signed and not torch.uint8.is_signed and not torch.bool.is_signed


def test_arrays_no_tensor_can_hold_are_refused():
    with pytest.raises(TypeError, match=r"can't convert np.ndarray of type numpy.object_"):
        torch.from_numpy(np.array([None]))


def test_foreign_byte_order_is_refused():
    foreign = np.array([1.0, 2.0], dtype=">f4")
    for make in (torch.from_numpy, torch.tensor, torch.as_tensor):
        with pytest.raises(ValueError, match="byte order different from the native byte order"):
            make(foreign)


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16), ids=str)
def test_half_means_are_taken_in_single_precision(dtype):
    x = torch.full((70_000,), 2.0, dtype=dtype)  # neither the sum nor the count fits float16
    assert x.mean().item() == 2 and x.mean().dtype is dtype
    assert x.view(2, -1).mean(1, keepdim=True).tolist() == [[2.0], [2.0]]


PYTHON_TYPES = (
    ("torch.ones(2, dtype=float)", "float64"),
    ("torch.rand(2, dtype=float)", "float64"),
    ("torch.arange(2, dtype=float)", "float64"),
    ("torch.full((2,), 1, dtype=bool)", "bool"),
    ("torch.tensor([1.5], dtype=int)", "int64"),
    ("torch.as_tensor([1.5], dtype=int)", "int64"),
    ("torch.zeros_like(torch.ones(2), dtype=int)", "int64"),
    ("torch.ones(2).to(bool)", "bool"),
    ("torch.ones(2).sum(dtype=float)", "float64"),
    ("torch.ones(2, dtype=complex)", "complex128"),
)


@pytest.mark.parametrize(("expression", "expected"), PYTHON_TYPES)
def test_python_types_name_dtypes(expression, expected):
    assert eval(expression).dtype is getattr(torch, expected)


def test_other_dtype_arguments_are_refused():
    for wrong in ("float32", np.float32, 3):
        with pytest.raises(TypeError, match="argument 'dtype' must be"):
            torch.ones(2, dtype=wrong)


def test_numbers_of_numpy_are_numbers():
    assert torch.arange(np.int64(3)).dtype is torch.int64
    assert torch.arange(0, np.float64(1), 0.5).tolist() == [0, 0.5]
    assert torch.ones(2, 3).sum(np.int64(0)).shape == (3,)
    for product in (np.float32(2) * torch.ones(2), torch.ones(2) * np.float64(2)):
        assert product.dtype is torch.float32 and product.tolist() == [2, 2]
    x = torch.ones(2)
    np.add(x, 1, out=x.numpy())
    assert x.tolist() == [2, 2] and torch.is_tensor(np.add(x, 1))


def test_members_of_enumerations_are_numbers():
    class Size(enum.IntEnum):
        SMALL = 2

    class Rate(float, enum.Enum):
        SLOW = 0.5

    assert (torch.tensor([1.5]) * Size.SMALL).tolist() == [3.0]
    assert (torch.tensor([4]) * Rate.SLOW).tolist() == [2.0]
