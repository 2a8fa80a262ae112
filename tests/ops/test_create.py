"""tensor, as_tensor, from_numpy and their relatives.

Expected results are those of PyTorch 2.13.
"""

import numpy as np
import pytest

import disttorch as torch

NAN, INF = float("nan"), float("inf")

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.tensor([[1,2],[3,4.]])", "float32", [[1.0, 2.0], [3.0, 4.0]]),
    ("torch.tensor([1,True,2j])", "complex64", [(1 + 0j), (1 + 0j), 2j]),
    ("torch.tensor([])", "float32", []),
    ("torch.tensor([[]])", "float32", [[]]),
    ("torch.tensor(5)", "int64", 5),
    ("torch.tensor(True)", "bool", True),
    ("torch.tensor(2.5)", "float32", 2.5),
    ("torch.tensor([True,False])", "bool", [True, False]),
    ("torch.tensor(1j)", "complex64", 1j),
    ("torch.tensor([torch.tensor(1),torch.tensor(2.5)])", "float32", [1.0, 2.5]),
    ("torch.tensor([torch.tensor(1.,dtype=torch.float64),2])", "float64", [1.0, 2.0]),
    ("torch.tensor([np.float32(1),2.5])", "float32", [1.0, 2.5]),
    ("torch.tensor([np.float64(1),2])", "float64", [1.0, 2.0]),
    ("torch.tensor(np.float32(1))", "float32", 1.0),
    ("torch.tensor([np.ones(2),np.zeros(2)])", "float64", [[1.0, 1.0], [0.0, 0.0]]),
    ("torch.tensor(np.arange(3,dtype=np.int32))", "int32", [0, 1, 2]),
    ("torch.tensor([-1],dtype=torch.uint8)", "uint8", [255]),
    ("torch.tensor([1.5],dtype=torch.int32)", "int32", [1]),
    ("torch.tensor([1e300])", "float32", [INF]),
    ("torch.tensor([1,0],dtype=torch.bool)", "bool", [True, False]),
    ("torch.tensor(range(3))", "int64", [0, 1, 2]),
    ("torch.as_tensor([1,2])", "int64", [1, 2]),
    ("torch.as_tensor(np.arange(3.))", "float64", [0.0, 1.0, 2.0]),
    ("torch.as_tensor(x,dtype=torch.float64)", "float64", [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    ("torch.as_tensor(x) is x", None, True),
    ("torch.scalar_tensor(3)", "float32", 3.0),
    ("x.new_tensor([1,2])", "float32", [1.0, 2.0]),
    ("x.long().new_tensor([1.5])", "int64", [1]),
)

ERRORS = (
    ("torch.tensor([[1,2],[1]])", ValueError, "expected sequence of length 2 at dim 1 (got 1)"),
    ("torch.tensor([[1,2],1])", TypeError, "not a sequence"),
    (
        "torch.tensor([torch.ones(2),torch.ones(2)])",
        ValueError,
        "only one element tensors can be converted to Python scalars",
    ),
    ("torch.tensor('a')", TypeError, "new(): invalid data type 'str'"),
    ("torch.tensor(['a'])", ValueError, "too many dimensions 'str'"),
    ("torch.tensor(None)", RuntimeError, "Could not infer dtype of NoneType"),
    (
        "torch.tensor([300],dtype=torch.uint8)",
        RuntimeError,
        "value cannot be converted to type uint8 without overflow",
    ),
    (
        "torch.tensor([float('nan')],dtype=torch.int32)",
        RuntimeError,
        "value cannot be converted to type int32 without overflow",
    ),
    ("torch.tensor([2**63])", ValueError, "Overflow when unpacking long long"),
    (
        "torch.tensor(2**40, dtype=torch.int32)",
        RuntimeError,
        "value cannot be converted to type int32 without overflow",
    ),
    (
        "torch.tensor([1],requires_grad=True)",
        RuntimeError,
        "Only Tensors of floating point and complex dtype can require gradients",
    ),
    ("torch.from_numpy([1])", TypeError, "expected np.ndarray (got list)"),
    (
        "torch.from_numpy(np.array(['a']))",
        TypeError,
        "can't convert np.ndarray of type numpy.str_. The only supported types are: "
        "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, "
        "uint64, uint32, uint16, uint8, and bool.",
    ),
    (
        "torch.from_numpy(np.ones(3)[::-1]).sum()",
        ValueError,
        "At least one stride in the given numpy array is negative, and tensors with "
        "negative strides are not currently supported. (You can probably work around this "
        "by making a copy of your array  with array.copy().) ",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


def test_from_numpy_shares_memory():
    array = np.zeros(3)
    tensor = torch.from_numpy(array)
    array[0] = 1
    tensor[1] = 2
    assert tensor.tolist() == array.tolist() == [1, 2, 0]
    assert torch.as_tensor(array)._array is array


def test_tensor_copies():
    array = np.zeros(3)
    made = [torch.tensor(array), torch.asarray(array, copy=True)]
    array[0] = 1
    assert [t.tolist() for t in made] == [[0, 0, 0]] * 2


WARNINGS = (
    (lambda: torch.tensor(torch.ones(2)), "To copy construct from a tensor"),
    (lambda: torch.from_numpy(np.broadcast_to(1.0, 3)), "The given NumPy array is not writable"),
)


@pytest.mark.parametrize(("call", "text"), WARNINGS)
def test_warnings(call, text):
    with pytest.warns(UserWarning, match=text):
        call()


def test_requires_grad():
    leaf = torch.tensor([1.0], requires_grad=True)
    assert leaf.is_leaf and leaf.requires_grad
    assert not torch.as_tensor([1.0]).requires_grad
