"""Casts, copies, memory formats.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("x.to(torch.float64)", "float64", [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    ("x.to(x) is x", None, True),
    ("x.to('cpu') is x", None, True),
    ("x.to(torch.float32) is x", None, True),
    ("x.to(torch.float32,copy=True) is x", None, False),
    ("x.to(torch.float32,False,True) is x", None, False),
    ("x.to(device='cpu',dtype=torch.int32)", "int32", [[0, 1, 2], [3, 4, 5]]),
    ("x.to('cpu',torch.int32)", "int32", [[0, 1, 2], [3, 4, 5]]),
    ("x.to(torch.tensor(1.).double())", "float64", [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    ("x.type_as(torch.tensor(1))", "int64", [[0, 1, 2], [3, 4, 5]]),
    ("x.float() is x", None, True),
    ("x.bool()", "bool", [[False, True, True], [True, True, True]]),
    ("x.byte()", "uint8", [[0, 1, 2], [3, 4, 5]]),
    ("x.bfloat16()", "bfloat16", [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    ("x.cpu() is x", None, True),
    ("x.contiguous() is x", None, True),
    ("x.is_pinned()", None, False),
    ("torch.is_complex(x)", None, False),
    ("torch.is_floating_point(x)", None, True),
    ("torch.tensor([1.7,-1.7]).to(torch.uint8)", "uint8", [1, 255]),
    ("torch.tensor([1.5,2.5,-2.5]).int()", "int32", [1, 2, -2]),
    ("torch.ones(3,dtype=torch.int32).copy_(torch.tensor([1.5,2.5,-2.5]))", "int32", [1, 2, -2]),
    ("x.copy_(torch.ones(3))", "float32", [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]),
    ("x.copy_(3)", "float32", [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]),
    ("x.t().clone().stride()", None, (1, 3)),
    ("x[:, ::2].clone().stride()", None, (2, 1)),
    ("x.expand(2,2,3).clone().stride()", None, (6, 3, 1)),
    ("x.t().contiguous().stride()", None, (2, 1)),
    ("x.t().double().stride()", None, (1, 3)),
    ("torch.zeros(2,3,4,5).to(memory_format=torch.channels_last).stride()", None, (60, 1, 15, 3)),
    (
        "torch.zeros(2,3,4,5).to(memory_format=torch.channels_last).double().clone().stride()",
        None,
        (60, 1, 15, 3),
    ),
    (
        "torch.zeros(2,3,4,5).contiguous(memory_format=torch.channels_last).is_contiguous"
        "(memory_format=torch.channels_last)",
        None,
        True,
    ),
    ("torch.zeros(2,1,4,5).is_contiguous(memory_format=torch.channels_last)", None, True),
    ("torch.zeros(2,3,4,5).is_contiguous(memory_format=torch.channels_last)", None, False),
)

ERRORS = (
    (
        "torch.zeros(2,3).contiguous(memory_format=torch.channels_last)",
        RuntimeError,
        "required rank 4 tensor to use channels_last format",
    ),
    ("x.type_as(3)", TypeError, "type_as(): argument 'other' (position 1) must be Tensor, not int"),
    (
        "x.copy_(torch.ones(4))",
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
    ),
    (
        "x.copy_(torch.ones(2,2,3))",
        RuntimeError,
        "output with shape [2, 3] doesn't match the broadcast shape [2, 2, 3]",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


def test_there_is_no_cuda_here():
    for move in (lambda x: x.cuda(), lambda x: x.to("cuda"), lambda x: x.to("cuda:0")):
        with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
            move(torch.ones(2))


def test_pinning_does_nothing_without_cuda():
    x = torch.ones(2)
    assert x.pin_memory() is x and not x.is_pinned()


def test_gradients_flow_through_casts_and_copies():
    x = torch.ones(3, requires_grad=True)
    target = torch.zeros(2, 3, dtype=torch.float64)
    target.copy_(x.double().half())
    (target * torch.arange(6.0).view(2, 3)).sum().backward()
    assert x.grad.tolist() == [3, 5, 7] and x.grad.dtype is torch.float32


def test_complex_to_real_warns():
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        assert torch.tensor([1 + 2j]).float().tolist() == [1.0]


def test_unknown_destinations_are_refused():
    with pytest.raises(TypeError, match=r"to\(\) received an invalid combination of arguments"):
        torch.ones(2).to([1])


def test_moves_between_devices_carry_gradients():
    from disttorch.testing import fake_device  # noqa: F401 - registers the device

    x = torch.ones(3, requires_grad=True)
    y = x.to("fake") * 2
    assert str(y.device) == "fake"
    (y.to("cpu") * 3).sum().backward()
    assert x.grad.tolist() == [6, 6, 6]
