"""Arguments that should be Tensors and are not: PyTorch's words."""

import pytest

import disttorch as torch

X = torch.ones(3)

TEXTS = (
    (lambda: torch.sum([1, 2]), "sum(): argument 'input' (position 1) must be Tensor, not list"),
    (lambda: torch.sum(input=[1]), "sum(): argument 'input' (position 1) must be Tensor, not list"),
    (lambda: torch.exp(1.5), "exp(): argument 'input' (position 1) must be Tensor, not float"),
    (lambda: torch.sin_([1]), "sin_(): argument 'input' (position 1) must be Tensor, not list"),
    (
        lambda: torch.gather(X, 0, [1]),
        "gather(): argument 'index' (position 3) must be Tensor, not list",
    ),
    (
        lambda: torch.maximum(X, 2),
        "maximum(): argument 'other' (position 2) must be Tensor, not int",
    ),
    (lambda: X.maximum(2), "maximum(): argument 'other' (position 1) must be Tensor, not int"),
    (
        lambda: torch.logical_and(1, X),
        "logical_and(): argument 'input' (position 1) must be Tensor, not int",
    ),
    (
        lambda: torch.lt(2, X),
        "lt() received an invalid combination of arguments - got (int, Tensor), but expected one "
        "of:\n * (Tensor input, Tensor other, *, Tensor out = None)\n * (Tensor input, Number "
        "other, *, Tensor out = None)",
    ),
)


@pytest.mark.parametrize(("call", "text"), TEXTS, ids=[t[:25] for _, t in TEXTS])
def test_texts(call, text):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value) == text


def test_other_attribute_errors_stay():
    class Odd:
        @property
        def mean(self):
            raise AttributeError("of the user's own")

    with pytest.raises(AttributeError, match="of the user's own"):
        torch.sum(X, Odd().mean)


def test_python_operators_take_numbers_on_either_side():
    assert (2 < X).tolist() == [False] * 3
    assert torch.eq(X, 1).all()
