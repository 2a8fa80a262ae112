"""In-place operators written by hand: what they write, and what they refuse."""

import pytest

import disttorch as torch

WRITES = (
    ("float_power_", torch.float64, [2.0, 3.0], (2,), [4.0, 9.0]),
    ("abs_", torch.float32, [-2.0, 3.0], (), [2.0, 3.0]),
    ("absolute_", torch.int64, [-2, 3], (), [2, 3]),
    ("renorm_", torch.float32, [[0.0, 1.0], [3.0, 5.0]], (1, 0, 2.0), [[0.0, 1.0], [0.75, 1.25]]),
)


@pytest.mark.parametrize(
    ("name", "dtype", "values", "args", "expected"), WRITES, ids=[w[0] for w in WRITES]
)
def test_writes(name, dtype, values, args, expected):
    x = torch.tensor(values, dtype=dtype)
    assert getattr(x, name)(*args) is x
    assert x.dtype is dtype
    assert torch.allclose(x, torch.tensor(expected, dtype=dtype))


def test_a_formula_of_several_steps_has_its_gradient():
    x = torch.tensor([[3.0, 4.0], [0.1, 0.2]], dtype=torch.float64, requires_grad=True)
    gradients = []
    for y in (x.clone().renorm_(2, 0, 1.0), x.renorm(2, 0, 1.0)):
        gradients.append(torch.autograd.grad((y * y * y).sum(), x)[0])
    assert torch.equal(*gradients)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: torch.ones(2).float_power_(2),
            "the base given to float_power_ has dtype Float but the operation's result requires "
            "dtype Double",
        ),
        (
            lambda: torch.ones(2, dtype=torch.complex64).abs_(),
            "In-place abs is not supported for complex tensors.",
        ),
    ],
)
def test_refused(call, text):
    with pytest.raises(RuntimeError) as error:
        call()
    assert str(error.value) == text


def test_random_slopes_are_pytorchs():
    torch.manual_seed(5)
    x = torch.tensor([-1.0, 2.0, -3.0, -0.5], requires_grad=True)
    y = torch.rrelu(x, training=True)
    expected = torch.tensor([-0.25875312, 2.0, -0.53734869, -0.10008621])
    assert torch.allclose(y, expected)
    y.sum().backward()
    assert torch.allclose(x.grad, expected / x.detach())
    torch.manual_seed(5)
    z = x.detach().clone()
    assert torch.rrelu_(z, training=True) is z
    assert torch.equal(z, y)


def test_conjugates_of_numbers_in_recorded_formulas():
    x = torch.tensor([1 + 2j], requires_grad=True)
    seed = torch.tensor([1 + 0j])
    for create_graph in (False, True):
        (g,) = torch.autograd.grad(x * 2j, x, seed, create_graph=create_graph)
        assert g.tolist() == [-2j]


def test_saved_indices_have_no_history():
    x = torch.tensor([[1.0, 3.0], [2.0, 0.0]], requires_grad=True)
    values = x.max(1, keepdim=True).values
    (g,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    assert not g.requires_grad
