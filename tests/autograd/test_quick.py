"""The short `apply` of an operator does what `Op.apply` does, in values, history and errors."""

import inspect

import pytest

import disttorch as torch
from disttorch.autograd.quick import QUICK_OPS
from disttorch.ops.matmul import Linear

# Linear takes no three operands of one shape; it has a test of its own.
OPS = [op for op in QUICK_OPS if not op.__subclasses__() and op is not Linear]
DIMS = {"dim": (0,), "keepdim": False}
# Of the operators with numbers or keywords: how many tensors they take here, and what follows.
SETTINGS = {
    **dict.fromkeys(("Softmax", "LogSoftmax", "Cumsum"), (1, (), {"dim": 0})),
    "Cast": (1, (), {"np_dtype": torch.float64.np}),
    **dict.fromkeys(("Sum", "Mean"), (1, (), DIMS)),
    "Std": (1, (), {**DIMS, "correction": 1}),
    "Norm": (1, (), {**DIMS, "p": 2.0}),
    "Argument": (1, (), {"name": "argmax", "axis": None, "keepdims": False}),
    "Clamp": (1, (0.2, None), {}),
    "Pow": (1, (3,), {}),
    **dict.fromkeys(("Cat", "Stack"), (3, (), {"dim": 0})),
    **dict.fromkeys(("IndexSelect", "Take", "MaskedSelect"), (2, (), {"template": (0,)})),
    "Gather": (2, (), {"dim": 0}),
    "FillNumber": (2, (), {"value": 1}),
}
PICK_BY_NUMBER = {"IndexSelect", "Take", "Gather"}  # where others take a mask
OPERANDS = {
    "float32": lambda: torch.linspace(0.1, 0.9, 6),
    "0-d": lambda: torch.tensor(0.5),
    "float64 matrix": lambda: torch.linspace(0.1, 0.9, 6, dtype=torch.float64).view(2, 3).t(),
    "bfloat16": lambda: torch.linspace(0.1, 0.9, 4).bfloat16(),
    "int64": lambda: torch.arange(1, 5),
    "uint8": lambda: torch.arange(1, 5, dtype=torch.uint8),
    "bool": lambda: torch.tensor([True, False]),
    "complex64": lambda: torch.tensor([0.3 + 0.4j, 0.2 - 0.1j]),
    "empty": lambda: torch.empty(0),
}


def outcome(apply, op, operand, requires_grad):
    """Everything that can be seen of a result and its gradients, or the error."""
    n_inputs = len(inspect.signature(op.forward).parameters) - 1
    n_inputs, numbers, keywords = SETTINGS.get(op.op_name, (n_inputs, (), {}))
    inputs = [OPERANDS[operand]() for _ in range(n_inputs - (op.apart is not None))]
    if op.op_name in PICK_BY_NUMBER:
        inputs = [torch.atleast_1d(x) for x in inputs]
    x = inputs[0]
    if op.apart is not None:
        places = torch.arange(x.numel()).view(x.shape) % 2
        inputs.insert(op.apart, places if op.op_name in PICK_BY_NUMBER else places == 0)
    if requires_grad and (x.is_floating_point() or x.is_complex()):
        x.requires_grad_()
    try:
        y = apply(*inputs, *numbers, **keywords)
    except (RuntimeError, TypeError, ValueError, IndexError, Warning) as error:
        return type(error), str(error)
    seen = [y.dtype, y.shape, y.requires_grad, y.is_leaf, type(y.grad_fn), y.tolist()]
    if y.requires_grad:
        (g,) = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)
        seen += [g.dtype, g.tolist(), g.requires_grad]
    return seen


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_short_way_equals_the_ordinary_one(op, operand):
    for requires_grad in (False, True):
        short = outcome(op.apply, op, operand, requires_grad)
        full = outcome(op.apply.otherwise, op, operand, requires_grad)
        assert repr(short) == repr(full)


@pytest.mark.parametrize("op", QUICK_OPS, ids=lambda op: op.__name__)
def test_subclasses_have_an_apply_of_their_own(op):
    for subclass in op.__subclasses__():
        assert subclass.apply is not op.apply


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
@pytest.mark.parametrize("wanted", ["x", "w", "b", "xwb", ""])
def test_short_linear_equals_the_ordinary_one(shape, wanted):
    x = torch.rand(shape, requires_grad="x" in wanted)
    w, b = torch.rand(5, 4, requires_grad="w" in wanted), torch.rand(5, requires_grad="b" in wanted)
    for given in ((x, w, b), (x, w)):
        short, full = Linear.apply(*given), Linear.apply.otherwise(*given)
        assert short.tolist() == full.tolist() and short.requires_grad == full.requires_grad
        inputs = [t for t in given if t.requires_grad]
        if inputs:
            pairs = [torch.autograd.grad(y.exp().sum(), inputs) for y in (short, full)]
            for ours, theirs in zip(*pairs, strict=True):
                assert ours.tolist() == theirs.tolist()


def test_what_was_saved_is_watched():
    x, y = torch.rand(3, requires_grad=True), torch.rand(3)
    z = x * y
    y.mul_(2)
    with pytest.raises(RuntimeError, match=r"\[torch.FloatTensor \[3\]\] is at version 1"):
        z.sum().backward()


def test_only_what_a_wanted_gradient_reads_is_kept():
    x, y = torch.rand(3, requires_grad=True), torch.rand(3)
    z = y * x
    assert z.grad_fn.next_functions[0][0] is None
    x.detach().mul_(2)  # only y's gradient would read it
    z.sum().backward()
    torch.testing.assert_close(x.grad, y)


def test_shapes_that_do_not_broadcast_raise_pytorchs_error():
    with pytest.raises(RuntimeError, match=r"The size of tensor a \(2\) must match"):
        torch.ones(2) + torch.ones(3)


INPLACE = {
    "tensor": lambda x: x.add_(torch.ones(3)),
    "number": lambda x: x.mul_(2.0),
    "itself": lambda x: x.add_(x),
    "row": lambda x: x.sub_(torch.ones(1)),
    "alpha": lambda x: x.add_(torch.ones(3), alpha=2),
    "alpha, a float": lambda x: x.add_(torch.ones(3), alpha=2.0),
    "operator": lambda x: x.__itruediv__(torch.full((3,), 2.0)),
}
AFTER = {
    **{"tensor": [2.0, 3.0, 4.0], "number": [2.0, 4.0, 6.0], "itself": [2.0, 4.0, 6.0]},
    **{"alpha, a float": [3.0, 4.0, 5.0]},
    **{"row": [0.0, 1.0, 2.0], "alpha": [3.0, 4.0, 5.0], "operator": [0.5, 1.0, 1.5]},
}


@pytest.mark.parametrize("name", INPLACE)
def test_writing_in_place_bumps_the_version_and_keeps_the_memory(name):
    x = torch.tensor([1.0, 2.0, 3.0])
    alias = x.view(3)
    assert INPLACE[name](x) is x
    assert alias.tolist() == AFTER[name]
    assert x._version == alias._version == 1


def test_writing_in_place_to_a_leaf_is_refused():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.mul_(torch.ones(3))
    with torch.no_grad():
        x.mul_(torch.full((3,), 2.0))
    assert x.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint8, torch.bool])
@pytest.mark.parametrize("shape", [(3,), (), (200, 200)], ids=["small", "0-d", "large"])
def test_casts_to_integers_require_no_grad(kind, shape):
    x = torch.ones(shape, requires_grad=True)
    y = x.to(kind)
    assert not y.requires_grad and y.is_leaf
    assert y.numpy().all()
    assert x.double().requires_grad
