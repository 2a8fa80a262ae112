"""The keyword `out`."""

import pytest

import disttorch as torch


def test_writes_into_the_tensor_and_returns_it():
    out = torch.zeros(2, 4)
    memory = out._array
    assert torch.cat([torch.ones(2, 2), torch.ones(2, 2)], 1, out=out) is out
    assert out._array is memory and out.sum().item() == 8 and out._version == 1


def test_casts_but_not_to_a_lower_category():
    out = torch.zeros(2, 2, dtype=torch.float64)
    assert torch.stack([torch.ones(2)] * 2, out=out).dtype is torch.float64
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output"):
        torch.stack([torch.ones(2)] * 2, out=torch.zeros(2, 2, dtype=torch.int64))


def test_resizing_warns_unless_there_was_nothing():
    assert torch.cat([torch.ones(2)], out=torch.empty(0)).shape == (2,)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        torch.cat([torch.ones(2)], out=torch.empty(3))


def test_refuses_to_be_differentiated():
    with pytest.raises(RuntimeError, match=r"mm\(\): functions with out=\.\.\. arguments"):
        torch.mm(torch.ones(2, 2, requires_grad=True), torch.ones(2, 2), out=torch.empty(2, 2))


A, V, L = torch.ones(2, 2), torch.ones(2), torch.tensor([0, 1])
DOUBLE = "Expected out tensor to have dtype float, but got double instead"
LONG = "Expected out tensor to have dtype long int, but got int instead"
SCALAR = "self and result must have the same scalar type"


def wide(*size):
    return torch.zeros(*size, dtype=torch.float64)


def pair(*size):
    return wide(*size), torch.zeros(*size, dtype=torch.int64)


OTHER_DTYPES = (
    (lambda: torch.mm(A, A, out=wide(2, 2)), DOUBLE),
    (lambda: torch.matmul(A, A, out=wide(2, 2)), DOUBLE),
    (lambda: torch.bmm(A[None], A[None], out=wide(1, 2, 2)), DOUBLE),
    (lambda: torch.addmm(A, A, A, out=wide(2, 2)), DOUBLE),
    (lambda: torch.dot(V, V, out=wide(())), "result dtype Double does not match input dtype Float"),
    (lambda: torch.max(A, 1, out=pair(2)), DOUBLE),
    (lambda: torch.max(A, 1, out=(torch.zeros(2), torch.zeros(2, dtype=torch.int32))), LONG),
    (lambda: torch.argmax(A, 1, out=torch.zeros(2, dtype=torch.int32)), LONG),
    (lambda: torch.sort(A, 1, out=pair(2, 2)), DOUBLE),
    (lambda: torch.topk(A, 1, out=pair(2, 1)), DOUBLE),
    (lambda: torch.kthvalue(A, 1, out=pair(2)), "output values must be of same type as input"),
    (
        lambda: torch.mode(A, 1, out=pair(2)),
        "expected scalar type 'Float' but got 'Double' for values output",
    ),
    (
        lambda: torch.median(A, 1, out=pair(2)),
        "Expected tensor for 'values' to have the same type as tensor for argument #2 'self'; but "
        "type torch.DoubleTensor does not equal torch.FloatTensor (while checking arguments for "
        "median)",
    ),
    (
        lambda: torch.amax(A, 1, out=wide(2)),
        "Expected the dtype for input and out to match, but got Float for input's dtype and Double "
        "for out's dtype.",
    ),
    (lambda: torch.index_select(V, 0, L, out=wide(2)), f"index_select(): {SCALAR}"),
    (lambda: torch.masked_select(V, V > 0, out=wide(2)), f"masked_select(): {SCALAR}"),
    (
        lambda: torch.take(V, L, out=wide(2)),
        "take(): self and out expected to have the same dtype, but got self.dtype = Float and "
        "out.dtype = Double",
    ),
    (
        lambda: torch.complex(wide(2), wide(2), out=torch.zeros(2, dtype=torch.complex64)),
        "Expected object of scalar type ComplexDouble but got scalar type ComplexFloat for "
        "argument 'out'",
    ),
)


@pytest.mark.parametrize(("call", "text"), OTHER_DTYPES)
def test_refuses_another_dtype(call, text):
    with pytest.raises(RuntimeError) as error:
        call()
    assert str(error.value) == text


def test_casts_where_pytorch_does():
    assert torch.outer(V, V, out=wide(2, 2)).dtype is torch.float64
    assert torch.addr(A, V, V, out=wide(2, 2)).tolist() == [[2, 2], [2, 2]]
    assert torch.max(A, out=wide(())) == 1


def test_results_are_not_written_over_an_input():
    x, i = torch.arange(6.0), torch.tensor([2, 0, 1])
    for call in (
        lambda: torch.gather(x, 0, i, out=x),
        lambda: torch.take(x, i, out=x),
        lambda: torch.masked_select(x, x > 2, out=x),
        lambda: torch.kthvalue(x, 5, out=(x, torch.empty((), dtype=torch.int64))),
    ):
        with pytest.raises(RuntimeError, match="refer to a single memory location"):
            call()
    assert x.tolist() == [0, 1, 2, 3, 4, 5]
