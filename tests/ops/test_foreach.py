"""`_foreach_*` functions do to each tensor what the operator does to one."""

import pytest

import disttorch as torch


def lists():
    return [torch.tensor([0.5, 0.25]), torch.tensor([1.0, 2.0, 3.0])]


# Name, operands after the list, and the operator of one tensor and its operand.
CASES = (
    ("sqrt", (), lambda x, _: x.sqrt()),
    ("add", (2,), lambda x, y: x + y),
    ("mul", ([2.0, 3.0],), lambda x, y: x * y),
    ("sub", (lists(),), lambda x, y: x - y),
    ("div", (torch.tensor(4.0),), lambda x, y: x / y),
    ("pow", (torch.tensor([1.0, 2.0]),), lambda x, y: x**y),
    ("lerp", (lists(), 0.5), lambda x, y: x.lerp(y, 0.5)),
    ("maximum", (0.4,), lambda x, y: x.clamp(min=y)),
    ("minimum", (lists(),), lambda x, y: x.minimum(y)),
)


def rows(operand):
    """One operand for each of the two tensors."""
    if isinstance(operand, torch.Tensor) and operand.ndim:
        operand = operand.tolist()
    return operand if isinstance(operand, list) else [operand] * 2


@pytest.mark.parametrize(("name", "operands", "one"), CASES, ids=[c[0] for c in CASES])
def test_each_tensor_gets_what_the_operator_gives(name, operands, one):
    first = rows(operands[0]) if operands else [None] * 2
    expected = [one(x, y).tolist() for x, y in zip(lists(), first, strict=True)]
    result = getattr(torch, f"_foreach_{name}")(lists(), *operands)
    assert type(result) is tuple
    assert [y.tolist() for y in result] == expected
    given = lists()
    assert getattr(torch, f"_foreach_{name}_")(given, *operands) is given
    assert [x.tolist() for x in given] == expected


def test_factors_of_products_and_quotients():
    x = lists()
    for factor in ({"value": 2.0}, {}):
        y = torch._foreach_addcmul(x, x, x, **factor)
        assert y[0].tolist() == torch.addcmul(x[0], x[0], x[0], **factor).tolist()
    y = torch._foreach_addcdiv(x, x, x, [1.0, 2.0])
    assert y[1].tolist() == torch.addcdiv(x[1], x[1], x[1], value=2.0).tolist()


def test_reductions_copies_and_zeros():
    x = lists()
    assert [n.item() for n in torch._foreach_norm(x, 1)] == [0.75, 6.0]
    assert [n.item() for n in torch._foreach_max(x)] == [0.5, 3.0]
    assert [n.item() for n in torch._foreach_powsum(x, 2)] == [0.3125, 14.0]
    copies = torch._foreach_clone(x)
    torch._foreach_zero_(x)
    assert x[1].tolist() == [0.0, 0.0, 0.0]
    torch._foreach_copy_(x, copies)
    assert x[1].tolist() == [1.0, 2.0, 3.0]


def test_gradients_flow():
    x = [t.requires_grad_() for t in lists()]
    torch._foreach_mul(x, [2.0, 3.0])[1].sum().backward()
    assert x[1].grad.tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: torch._foreach_add([], 1), RuntimeError, "must have at least one tensor"),
        (lambda: torch._foreach_add(lists(), lists()[:1]), RuntimeError, "got 2 and 1"),
        (lambda: torch._foreach_add(lists()[0], 1), TypeError, "got \\(Tensor, int\\)"),
        (lambda: torch._foreach_nothing, AttributeError, "has no attribute '_foreach_nothing'"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
