"""empty, zeros, ones, full, eye, their relatives, and filling in place.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.zeros(2,3)", "float32", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    ("torch.zeros((2,3))", "float32", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    ("torch.zeros([2,3],dtype=torch.int32)", "int32", [[0, 0, 0], [0, 0, 0]]),
    ("torch.zeros(torch.Size([2]))", "float32", [0.0, 0.0]),
    ("torch.zeros(())", "float32", 0.0),
    ("torch.zeros(torch.tensor(2))", "float32", [0.0, 0.0]),
    ("torch.zeros(2,3,out=torch.empty(0))", "float32", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    ("torch.ones(2,3,dtype=torch.bool)", "bool", [[True, True, True], [True, True, True]]),
    ("torch.ones(size=(2,))", "float32", [1.0, 1.0]),
    ("torch.empty(2,0)", "float32", [[], []]),
    ("torch.full((2,),True)", "bool", [True, True]),
    ("torch.full((2,),1)", "int64", [1, 1]),
    ("torch.full((2,),1.)", "float32", [1.0, 1.0]),
    ("torch.full((2,),1j)", "complex64", [1j, 1j]),
    ("torch.full([2,2],5,dtype=torch.float16)", "float16", [[5.0, 5.0], [5.0, 5.0]]),
    ("torch.full((2,),torch.tensor(3.))", "float32", [3.0, 3.0]),
    ("torch.eye(3)", "float32", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("torch.eye(2,3,dtype=torch.int64)", "int64", [[1, 0, 0], [0, 1, 0]]),
    ("torch.eye(0)", "float32", []),
    ("torch.zeros_like(x,dtype=torch.int64)", "int64", [[0, 0, 0], [0, 0, 0]]),
    ("torch.full_like(x,2)", "float32", [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]),
    ("torch.full_like(x.long(),2.5)", "int64", [[2, 2, 2], [2, 2, 2]]),
    ("x.new_zeros(2,3)", "float32", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    ("x.new_ones([2])", "float32", [1.0, 1.0]),
    ("x.new_full((2,),1)", "float32", [1.0, 1.0]),
    ("x.new_empty((2,0))", "float32", [[], []]),
    ("torch.zeros_like(x.t()).stride()", None, (1, 3)),
    ("torch.zeros_like(x.expand(2,2,3)).stride()", None, (6, 3, 1)),
    ("torch.empty_like(torch.zeros(4,5,6).permute(2,0,1)[::2]).stride()", None, (1, 15, 3)),
    ("torch.empty(2,3,4,5,memory_format=torch.channels_last).stride()", None, (60, 1, 15, 3)),
    (
        "torch.zeros_like(torch.zeros(2,3,4,5).to(memory_format=torch.channels_last)).stride()",
        None,
        (60, 1, 15, 3),
    ),
    ("torch.empty_strided((2,3),(1,2)).stride()", None, (1, 2)),
    ("x.fill_(2)", "float32", [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]),
    ("x.zero_()", "float32", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    ("x.fill_(torch.tensor(3))", "float32", [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]),
)

ERRORS = (
    (
        "torch.zeros()",
        TypeError,
        'zeros() missing 1 required positional arguments: "size"',
    ),
    (
        "torch.ones()",
        TypeError,
        'ones() missing 1 required positional arguments: "size"',
    ),
    (
        "torch.empty()",
        TypeError,
        'empty() missing 1 required positional arguments: "size"',
    ),
    (
        "x.new_zeros()",
        TypeError,
        'new_zeros() missing 1 required positional arguments: "size"',
    ),
    (
        "torch.full(2,3)",
        TypeError,
        "full(): argument 'size' (position 1) must be tuple of ints, not int",
    ),
    (
        "x.fill_(torch.ones(2))",
        RuntimeError,
        "fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions.",
    ),
    (
        "torch.zeros(2.5)",
        TypeError,
        "zeros(): argument 'size' (position 1) must be tuple of ints, not float",
    ),
    (
        "torch.zeros('a')",
        TypeError,
        "zeros(): argument 'size' (position 1) must be tuple of ints, not str",
    ),
    ("torch.zeros(-1)", RuntimeError, "zeros: Dimension size must be non-negative."),
    ("torch.zeros((2,),3)", TypeError, "zeros() takes 1 positional argument but 2 were given"),
    ("torch.eye(-1)", RuntimeError, "n must be greater or equal to 0, got -1"),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
