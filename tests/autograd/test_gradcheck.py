from __future__ import annotations

import pytest

import disttorch as torch
from disttorch.autograd import gradcheck, gradgradcheck


def leaf(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def scaled(factor: float, offset: float = 0.0, second: float = 1.0):
    """Square, with a derivative that is `factor` times the right one, plus `offset`."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            wrong_curvature = 2 * g * x * second + 2 * g.detach() * x.detach() * (1 - second)
            return wrong_curvature * factor + offset

    return Square.apply


@pytest.mark.parametrize("fast_mode", [False, True], ids=["full", "fast"])
@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: x.sin() * x, (leaf(1, 2),)),
        (lambda x, y: (x * y, x + y), (leaf(1, 2), leaf(3))),
        (lambda x, n: x**n, (leaf(1, 2), 3)),
        (lambda x, y: x * y, (leaf(1, 2), torch.ones(2))),
        (lambda z: z * z.conj() + z, (leaf(1 + 2j, 3 - 1j, dtype=torch.complex128),)),
        (lambda z: z.abs(), (leaf(1 + 2j, dtype=torch.complex128),)),
        (lambda x: x * 2j, (leaf(1, 2),)),
        (lambda x: x.sum(), (torch.zeros(0, 3, dtype=torch.float64, requires_grad=True),)),
        (lambda x: x.floor(), (leaf(1.5, 2.5),)),
        (lambda x: (x * 2, x.argmax()), (leaf(1.5, 2.5),)),
    ],
)
def test_right_derivatives_pass(function, inputs, fast_mode):
    assert gradcheck(function, inputs, fast_mode=fast_mode)
    assert gradgradcheck(function, inputs, fast_mode=fast_mode)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("strided", [False, True])
def test_second_derivatives_draw_from_the_default_generator(dtype, strided):
    """As many numbers as PyTorch: what is drawn afterwards reproduces its run."""
    x = torch.ones(2, 3, dtype=dtype, requires_grad=True)
    torch.manual_seed(0)
    assert gradgradcheck(lambda v: v * v, (x,), gen_non_contig_grad_outputs=strided)
    after = torch.rand(2)
    torch.manual_seed(0)
    parts = 2 if dtype.is_complex else 1
    torch.rand(6 * (1 + strided) * parts, dtype=torch.float64)
    assert torch.equal(after, torch.rand(2))


@pytest.mark.parametrize("fast_mode", [False, True], ids=["full", "fast"])
def test_wrong_derivatives_fail(fast_mode):
    x = leaf(1, 2)
    with pytest.raises(
        RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"
    ):
        gradcheck(scaled(1.1), (x,), fast_mode=fast_mode)
    assert gradcheck(scaled(1.1), (x,), fast_mode=fast_mode, raise_exception=False) is False
    assert gradcheck(scaled(1.1), (x,), fast_mode=fast_mode, rtol=0.2)


def test_a_mismatch_prints_both_jacobians_as_tensors():
    with pytest.raises(RuntimeError) as raised:
        gradcheck(scaled(2.0), (torch.tensor([3.0, 5.0], dtype=torch.float64, requires_grad=True),))
    n, a = str(raised.value).split("numerical:")[1].split("analytical:")
    assert n == "tensor([[ 6.0000,  0.0000],\n        [ 0.0000, 10.0000]], dtype=torch.float64)\n"
    assert a == "tensor([[12.,  0.],\n        [ 0., 20.]], dtype=torch.float64)\n"


def test_wrong_second_derivatives_fail():
    x = leaf(1, 2)
    assert gradcheck(scaled(1.0, second=0.5), (x,))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradgradcheck(scaled(1.0, second=0.5), (x,))


def test_a_formula_that_ignores_its_gradient_fails():
    with pytest.raises(RuntimeError, match="backward not multiplied by grad_output"):
        gradcheck(scaled(1.0, offset=1e-7), (leaf(1, 2),))


def test_a_formula_that_changes_its_mind_fails():
    calls = []

    class Drifting(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            calls.append(1)
            return g * (2 + 1e-9 * len(calls))

    with pytest.raises(RuntimeError, match="Backward is not reentrant"):
        gradcheck(Drifting.apply, (leaf(1, 2),))
    assert gradcheck(Drifting.apply, (leaf(1, 2),), nondet_tol=1e-6)


def test_a_hidden_dependence_fails():
    with pytest.raises(RuntimeError, match="expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, (leaf(1, 2),))


def test_undefined_gradients_are_tried():
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            return a + 2 * b

    with pytest.raises((RuntimeError, TypeError)):
        gradcheck(Two.apply, (leaf(1, 2),))


def test_inputs_are_put_back():
    x = leaf(1, 2)
    gradcheck(lambda v: v * v, (x,))
    assert x.tolist() == [1, 2]
    assert x._version == 0


def test_inputs_that_cannot_be_checked():
    with pytest.raises(ValueError, match="expects at least one input tensor to require gradient"):
        gradcheck(lambda x: x, (torch.ones(2),))
    with pytest.warns(UserWarning, match="not a double precision floating point"):
        gradcheck(lambda x: x * 2, (leaf(1, 2, dtype=torch.float32),), eps=1e-2, atol=1e-2)
    with pytest.raises(RuntimeError, match="has a dimension with stride 0"):
        gradcheck(lambda x: x, (torch.ones(1, dtype=torch.float64).expand(3).requires_grad_(),))


@pytest.mark.parametrize("fast_mode", [False, True], ids=["full", "fast"])
def test_forward_mode_is_checked_too(fast_mode):
    options = {"fast_mode": fast_mode, "check_forward_ad": True, "check_batched_grad": True}
    assert gradcheck(lambda x, y: (x * y, x.sum()), (leaf(1, 2), leaf(3, 4)), **options)
    assert gradcheck(lambda z: z * z.conj(), (leaf(1 + 2j, dtype=torch.complex128),), **options)
    assert gradgradcheck(torch.sin, (leaf(1, 2),), check_fwd_over_rev=True)
    with pytest.raises(RuntimeError, match="computed with forward mode mismatch for output 0"):
        gradcheck(scaled(2.0), (leaf(1, 2),), check_forward_ad=True, check_backward_ad=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"check_backward_ad": False}, "at least one of check_forward_ad or check_backward_ad"),
        ({"check_batched_forward_grad": True}, "requires check_forward_ad to be True"),
        (
            {"check_batched_grad": True, "check_forward_ad": True, "check_backward_ad": False},
            "check_batched_grad=True requires check_backward_ad",
        ),
    ],
)
def test_options_that_need_another(options, message):
    with pytest.raises(AssertionError, match=message):
        gradcheck(lambda x: x, (leaf(1),), **options)
