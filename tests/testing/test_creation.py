"""make_tensor: what is drawn, its memory, its errors; PyTorch's numbers where it is installed."""

import warnings

import pytest

import disttorch
from disttorch.testing import assert_close, make_tensor

KINDS = "float32 float64 float16 bfloat16 complex64 complex128 bool uint8 int8 int64".split()
CASES = [
    {},
    {"low": -1, "high": 1},
    {"noncontiguous": True},
    {"exclude_zero": True},
    {"low": 0, "high": 2, "noncontiguous": True},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers_are_of_the_interval(kind, case):
    if kind == "uint8" and case.get("low") == -1:
        case = {"low": 1, "high": 3}
    dtype = getattr(disttorch, kind)
    x = make_tensor(4, 3, dtype=dtype, device="cpu", **case)
    assert x.dtype is dtype and x.shape == (4, 3)
    assert x.is_contiguous() != case.get("noncontiguous", False)
    parts = (disttorch.view_as_real(x.contiguous()) if dtype.is_complex else x).double()
    assert parts.min() >= case.get("low", -9) and parts.max() <= case.get("high", 10)
    if case.get("exclude_zero"):
        assert (x != 0).all()


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers_are_those_of_pytorch(kind, case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from tests.parity.convert import to_ours

    results = []
    for library, make in ((torch, torch.testing.make_tensor), (disttorch, make_tensor)):
        library.manual_seed(3)
        results.append(make((4, 3), dtype=getattr(library, kind), device="cpu", **case))
    theirs, ours = to_ours(results[0]), results[1]
    assert_close(ours, theirs, rtol=1e-15, atol=0)
    assert ours.stride() == results[0].stride()


@pytest.mark.parametrize(
    ("kind", "case", "text"),
    [
        ("float32", {"low": 2, "high": 1}, "`low` must be less than `high`, but got 2 >= 1"),
        ("float32", {"low": float("nan")}, "`low` and `high` cannot be NaN"),
        ("uint8", {"low": -5, "high": -1}, r"but torch.uint8 only supports \[0, 256\)"),
        ("int64", {"requires_grad": True}, "not supported for boolean and integral dtypes"),
        (
            "float32",
            {"noncontiguous": True, "memory_format": disttorch.contiguous_format},
            "mutually exclusive",
        ),
    ],
)
def test_bad_requests_are_refused(kind, case, text):
    with pytest.raises(ValueError, match=text):
        make_tensor(2, dtype=getattr(disttorch, kind), device="cpu", **case)


def test_one_number_alone_is_refused_with_a_warning():
    with pytest.warns(FutureWarning, match="Passing `low==high`"):
        x = make_tensor(2, dtype=disttorch.float32, device="cpu", low=1, high=1)
    assert x.tolist() == [1.0, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make_tensor((), dtype=disttorch.float32, device="cpu", requires_grad=True).is_leaf
