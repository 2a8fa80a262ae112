"""What a tensor is: sizes, state, conversion to Python and NumPy, copies, attributes."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import disttorch as torch


@pytest.fixture
def x():
    return torch.arange(6.0).view(2, 3).clone()


def test_sizes(x):
    assert x.shape == x.size() == (2, 3) and isinstance(x.shape, torch.Size)
    assert (x.size(-1), x.ndim, x.dim(), x.numel(), x.nelement()) == (3, 2, 2, 6, 6)
    assert (x.stride(), x.stride(0), x.t().stride()) == ((3, 1), 3, (1, 3))
    assert (x.element_size(), x.itemsize, x.nbytes) == (4, 4, 24)
    assert len(x) == 2 and x.is_contiguous() and not x.t().is_contiguous()


def test_kind(x):
    assert x.dtype is torch.float32 and x.device == torch.device("cpu")
    assert x.is_floating_point() and not x.is_complex() and x.is_signed()
    assert not (x.is_cuda or x.is_sparse)
    assert x.type() == "torch.FloatTensor"
    assert x.type(torch.int64).type("torch.DoubleTensor").dtype is torch.float64


ERRORS = (
    (
        lambda x: x.size(2),
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 2)",
    ),
    (lambda x: x.item(), RuntimeError, "a Tensor with 6 elements cannot be converted to Scalar"),
    (bool, RuntimeError, "Boolean value of Tensor with more than one value is ambiguous"),
    (lambda x: bool(x[:0]), RuntimeError, "Boolean value of Tensor with no values is ambiguous"),
    (lambda x: len(x.sum()), TypeError, "len() of a 0-d tensor"),
    (lambda x: iter(x.sum()), TypeError, "iteration over a 0-d tensor"),
    (
        lambda x: range(x.sum()),
        TypeError,
        "only integer tensors of a single element can be converted to an index",
    ),
    (
        lambda x: x.requires_grad_().numpy(),
        RuntimeError,
        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
    ),
    (
        lambda x: x.long().requires_grad_(),
        RuntimeError,
        "only Tensors of floating point dtype can require gradients",
    ),
    (
        lambda x: setattr(x, "grad", 3),
        TypeError,
        "assigned grad expected to be a Tensor or None but got grad of type int",
    ),
    (
        lambda x: setattr(x, "grad", torch.ones(2)),
        RuntimeError,
        "attempting to assign a gradient of size '[2]' to a tensor of size '[2, 3]'. Please ensure "
        "that the gradient and the tensor are the same size",
    ),
    (lambda x: setattr(x, "grad", x), RuntimeError, "can't assign Variable as its own grad"),
    (lambda x: setattr(x, "data", 3), TypeError, "Variable data has to be a tensor, but got int"),
    (lambda x: x[0].detach_(), RuntimeError, None),
    (lambda x: copy.deepcopy(x.requires_grad_() * 2), RuntimeError, None),
    (
        lambda x: setattr(x.requires_grad_(), "data", torch.ones(2, dtype=torch.int64)),
        RuntimeError,
        "data set to a tensor that requires gradients must be floating point or complex dtype",
    ),
    (
        lambda x: setattr(x.requires_grad_() * 2, "requires_grad", True),
        RuntimeError,
        "you can only change requires_grad flags of leaf variables.",
    ),
    (lambda x: setattr(x, "requires_grad", 1), RuntimeError, "requires_grad must be a bool"),
    (
        lambda x: x.requires_grad_("yes"),
        TypeError,
        "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not str",
    ),
    (lambda x: x.type("foo"), ValueError, "invalid type: 'foo'"),
    (
        lambda x: x.requires_grad_().exp().backward([1.0, 1.0]),
        TypeError,
        "gradients can be either Tensors or None, but got float",
    ),
)


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(x, call, error, text):
    with pytest.raises(error) as caught:
        call(x)
    assert text is None or str(caught.value) == text


def test_to_python(x):
    assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert torch.tensor(3).tolist() == 3
    assert (x[1, 2].item(), int(x[1, 2]), float(x[0, 1]), complex(x[0, 1])) == (5.0, 5, 1.0, 1)
    assert isinstance(torch.tensor([2], dtype=torch.bfloat16).item(), float)
    assert bool(torch.tensor([1])) and not torch.tensor(0.0)
    assert [10, 20][torch.tensor(1)] == 20
    assert f"{x[0, 1]:.2f}" == "1.00"
    assert [row.tolist() for row in x] == x.tolist()


def test_numpy_shares_memory_both_ways(x):
    array = x.numpy()
    array[0, 0] = 7
    x[0, 1] = 8
    assert x[0, 0].item() == 7 and array[0, 1] == 8
    assert np.asarray(x) is not None and np.asarray(x, dtype=np.int64).dtype == np.int64
    assert np.add(np.ones(3, np.float32), x[0].numpy()).tolist() == [8.0, 9.0, 3.0]


def test_dlpack_shares_memory(x):
    array = np.from_dlpack(x)
    x[0, 0] = 9
    assert array[0, 0] == 9


def test_detach_and_data_share_memory(x):
    x.requires_grad_()
    y = x * 1
    detached, data = y.detach(), y.data
    with torch.no_grad():
        y[0, 0] = 5
    assert detached[0, 0].item() == data[0, 0].item() == 5
    assert not (detached.requires_grad or data.requires_grad)
    before = y._version
    detached.zero_()
    assert y._version == before + 1  # writes through detach() are seen, through data are not
    data.zero_()
    assert y._version == before + 1


def test_views_share_the_version_counter(x):
    view = x[0]
    assert view._base is x and view._is_view() and not x._is_view()
    view.add_(1)
    assert x._version == view._version == 1
    assert x[0].tolist() == [1.0, 2.0, 3.0]


def test_requires_grad_and_leaves(x):
    assert x.is_leaf and not x.requires_grad
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad and not y.is_leaf and y.grad_fn.name() == "MulBackward0"
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf"):
        y.requires_grad = False
    y.detach_()
    assert y.is_leaf and not y.requires_grad


def test_grad_of_a_non_leaf_warns(x):
    y = x.requires_grad_() * 2
    with pytest.warns(UserWarning, match="The .grad attribute of a Tensor that is not a leaf"):
        assert y.grad is None


def test_copies_keep_gradient_and_user_attributes(x):
    x.requires_grad_()
    x.grad = torch.ones(2, 3)
    x.note = ["kept"]
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.tolist() == x.tolist() and twin.requires_grad and twin.note == ["kept"]
        twin.detach().zero_()
    assert x.detach().sum().item() == 15
    assert copy.deepcopy(x).grad.tolist() == x.grad.tolist()


def test_deepcopy_keeps_what_is_shared():
    a = torch.ones(2)
    first, second = copy.deepcopy([a, a])
    assert first is second


def test_contains_and_hash(x):
    assert 3 in x and 9 not in x
    assert len({x, x, x.clone()}) == 2
    with pytest.raises(RuntimeError, match="only supports Tensor or scalar"):
        assert "a" in x


def test_tensors_die_by_reference_count(x):
    gc.disable()
    try:
        y = (x.requires_grad_() * 2)[0].view(3).exp()
        dead = [weakref.ref(y), weakref.ref(y.grad_fn)]
        del y
        assert [reference() for reference in dead] == [None, None]
    finally:
        gc.enable()


def test_constructor():
    assert torch.Tensor(2, 3).shape == (2, 3)
    assert torch.Tensor([1, 2]).dtype is torch.float32
    assert torch.Tensor().shape == (0,)
    assert torch.is_tensor(torch.Tensor(torch.Size([2])))


def test_strides_of_empty_tensors_are_those_of_a_row_major_one():
    assert torch.ones(2, 0, 3).stride() == (3, 3, 1)
    assert torch.ones(0).stride() == (1,) and torch.ones(0, 5).stride(0) == 5


def test_a_pickled_result_becomes_a_leaf():
    y = (torch.ones(2, requires_grad=True) * 2).exp()
    twin = pickle.loads(pickle.dumps(y))
    assert twin.is_leaf and twin.requires_grad and torch.equal(twin, y)


def test_state_is_in_slots_and_the_dict_is_the_users(x):
    assert x.__dict__ == {} and x.layout is torch.strided
    x.note = "kept"
    assert x.__dict__ == {"note": "kept"}
    assert copy.deepcopy(x).note == pickle.loads(pickle.dumps(x)).note == "kept"
