"""Products of matrices and vectors.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch
from disttorch.ops.matmul import linear

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("x@x.t()", "float32", [[5.0, 14.0], [14.0, 50.0]]),
    ("x.long()@x.long().t()", "int64", [[5, 14], [14, 50]]),
    ("x.half()@x.half().t()", "float16", [[5.0, 14.0], [14.0, 50.0]]),
    ("x.bfloat16()@x.bfloat16().t()", "bfloat16", [[5.0, 14.0], [14.0, 50.0]]),
    ("torch.mm(torch.ones(2,0),torch.ones(0,2))", "float32", [[0.0, 0.0], [0.0, 0.0]]),
    ("torch.mm(x,x.t(),out=torch.empty(0))", "float32", [[5.0, 14.0], [14.0, 50.0]]),
    (
        "torch.addmm(torch.ones(2),x,x.t(),beta=0.5,alpha=2)",
        "float32",
        [[10.5, 28.5], [28.5, 100.5]],
    ),
    ("x.addmm_(torch.eye(2),x)", "float32", [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]),
)

ERRORS = (
    (
        "torch.nn.Linear(2,3)([1,2])",
        TypeError,
        "linear(): argument 'input' (position 1) must be Tensor, not list",
    ),
    (
        "torch.nn.functional.linear(x,5)",
        TypeError,
        "linear(): argument 'weight' (position 2) must be Tensor, not int",
    ),
    (
        "torch.mm(torch.ones(2,3),torch.ones(4,5))",
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
    ),
    ("torch.mm(torch.ones(2),torch.ones(4,5))", RuntimeError, "self must be a matrix"),
    (
        "torch.ones(2,3)@torch.ones(4)",
        RuntimeError,
        "size mismatch, got input (2), mat (2x3), vec (4)",
    ),
    (
        "torch.ones(3)@torch.ones(4)",
        RuntimeError,
        "inconsistent tensor size, expected tensor [3] and src [4] to have the same number "
        "of elements, but got 3 and 4 elements respectively",
    ),
    (
        "torch.ones(3)@torch.ones(4,5)",
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (1x3 and 4x5)",
    ),
    (
        "torch.ones(3)@torch.ones(2,4,5)",
        RuntimeError,
        "Expected size for first two dimensions of batch2 tensor to be: [2, 3] but got: [2, 4].",
    ),
    (
        "torch.ones(2,2,3)@torch.ones(4,5)",
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (4x3 and 4x5)",
    ),
    (
        "torch.ones(2,3)@torch.ones(2,4,5)",
        RuntimeError,
        "Expected size for first two dimensions of batch2 tensor to be: [2, 3] but got: [2, 4].",
    ),
    (
        "torch.ones(2,2,3)@torch.ones(3,3,5)",
        RuntimeError,
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0",
    ),
    (
        "torch.ones(2,2,3)@torch.ones(2,4,5)",
        RuntimeError,
        "Expected size for first two dimensions of batch2 tensor to be: [2, 3] but got: [2, 4].",
    ),
    (
        "torch.tensor(1.)@torch.ones(3)",
        RuntimeError,
        "both arguments to matmul need to be at least 1D, but they are 0D and 1D",
    ),
    (
        "torch.ones(2,3)@torch.ones(3,5).double()",
        RuntimeError,
        "expected m1 and m2 to have the same dtype, but got: float != double",
    ),
    ("torch.bmm(torch.ones(2,3),torch.ones(2,4,5))", RuntimeError, "batch1 must be a 3D tensor"),
    (
        "torch.bmm(torch.ones(2,2,3),torch.ones(2,4,5))",
        RuntimeError,
        "Expected size for first two dimensions of batch2 tensor to be: [2, 3] but got: [2, 4].",
    ),
    (
        "torch.mv(torch.ones(2,3),torch.ones(4))",
        RuntimeError,
        "size mismatch, got input (2), mat (2x3), vec (4)",
    ),
    (
        "torch.mv(torch.ones(2),torch.ones(4))",
        RuntimeError,
        "vector + matrix @ vector expected, got 1, 1, 1",
    ),
    (
        "torch.dot(torch.ones(2,2),torch.ones(4))",
        RuntimeError,
        "1D tensors expected, but got 2D and 1D tensors",
    ),
    (
        "torch.dot(torch.ones(2),torch.ones(2).double())",
        RuntimeError,
        "dot : expected both vectors to have same dtype, but found Float and Double",
    ),
    (
        "torch.outer(torch.ones(2,2),torch.ones(4))",
        RuntimeError,
        "outer: Expected 1-D argument self, but got 2-D",
    ),
    (
        "torch.addmm(torch.ones(3),torch.ones(2,3),torch.ones(3,5))",
        RuntimeError,
        "The expanded size of the tensor (5) must match the existing size (3) at "
        "non-singleton dimension 1.  Target sizes: [2, 5].  Tensor sizes: [3]",
    ),
    (
        "torch.mm(torch.ones(2,2).bool(),torch.ones(2,2).bool())",
        NotImplementedError,
        "\"addmm_impl_cpu_\" not implemented for 'Bool'",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


def test_linear_is_one_node():
    x = torch.ones(2, 4, 3, requires_grad=True)
    y = linear(x, torch.ones(5, 3), torch.ones(5))
    assert y.shape == (2, 4, 5) and y.grad_fn.next_functions[0][0].name() == (
        "torch::autograd::AccumulateGrad"
    )


@pytest.mark.parametrize(
    ("x", "weight", "bias", "text"),
    (
        ((2, 3), (4, 5), None, "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)"),
        ((2, 2, 3), (5, 4), None, "mat1 and mat2 shapes cannot be multiplied (4x3 and 4x5)"),
        (
            *((2, 3), (5, 3), (4,)),
            "The expanded size of the tensor (5) must match the existing size (4) at non-singleton "
            "dimension 1.  Target sizes: [2, 5].  Tensor sizes: [4]",
        ),
    ),
)
def test_linear_refuses(x, weight, bias, text):
    with pytest.raises(RuntimeError) as caught:
        linear(torch.ones(x), torch.ones(weight), None if bias is None else torch.ones(bias))
    assert str(caught.value) == text


def test_linear_of_short_floats_is_rounded_after_the_bias():
    x, w = torch.tensor([[1.0, 1.0]]).bfloat16(), torch.tensor([[256.0, 1.0]]).bfloat16()
    y = torch.nn.functional.linear(x, w, torch.tensor([-256.0]).bfloat16())
    assert y.dtype == torch.bfloat16
    assert y.item() == 1
    z = torch.addmm(torch.tensor([-128.0]).bfloat16(), x, w.T, beta=2)
    assert z.dtype == torch.bfloat16
    assert z.item() == 1


def test_sums_with_a_factor_of_short_floats_are_rounded_once():
    a, b = torch.tensor([-256.0]), torch.tensor([257.0 / 256]).bfloat16()
    exact = 256.5 * b.item() - 256
    assert torch.add(a, b, alpha=256.5).item() == exact
    assert torch.sub(a, b, alpha=-256.5).item() == exact
    short = torch.add(a.bfloat16(), b, alpha=256.5)
    assert short.dtype == torch.bfloat16
    assert short.item() == torch.tensor(exact).bfloat16().item()
    assert torch.add(torch.tensor(1.0), b, alpha=0.5).dtype == torch.bfloat16
