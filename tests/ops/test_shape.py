"""Views with another shape or order of dimensions.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("x.view(3,-1)", "float32", [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]),
    (
        "x.view(torch.int32)",
        "int32",
        [[0, 1065353216, 1073741824], [1077936128, 1082130432, 1084227584]],
    ),
    ("x.view(torch.int16).shape", None, (2, 6)),
    ("x.reshape(torch.tensor(6)).shape", None, (6,)),
    ("torch.zeros(0,3).view(3,0).shape", None, (3, 0)),
    ("x.T", "float32", [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
    ("x.mT.stride()", None, (1, 3)),
    ("torch.zeros(2,3,4).mH.stride()", None, (12, 1, 4)),
    ("x.H", "float32", [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
    ("torch.zeros(3).T", "float32", [0.0, 0.0, 0.0]),
    ("torch.tensor(1.).flatten().shape", None, (1,)),
    ("x.unflatten(1,(-1,3)).shape", None, (2, 1, 3)),
    ("x.squeeze((0,1)).shape", None, (2, 3)),
    ("torch.zeros(1,2,1).squeeze((0,2)).shape", None, (2,)),
    ("torch.tensor(1.).view(1,1).shape", None, (1, 1)),
    ("x.movedim(0,-1).shape", None, (3, 2)),
    ("x.expand(2,-1,-1).stride()", None, (0, 3, 1)),
    (
        "torch.broadcast_tensors(torch.ones(2,1),torch.ones(3))",
        "float32",
        [[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]],
    ),
)

ERRORS = (
    ("x.view(4)", RuntimeError, "shape '[4]' is invalid for input of size 6"),
    (
        "x.t().view(6)",
        RuntimeError,
        "view size is not compatible with input tensor's size and stride (at least one "
        "dimension spans across two contiguous subspaces). Use .reshape(...) instead.",
    ),
    ("x.view(-1,-1)", RuntimeError, "only one dimension can be inferred"),
    ("x.view(-1,4)", RuntimeError, "shape '[-1, 4]' is invalid for input of size 6"),
    ("x.view(-2,3)", RuntimeError, "invalid shape dimension -2 at index 0 of shape [-2, 3]"),
    (
        "x.view(torch.float64)",
        RuntimeError,
        "self.size(-1) must be divisible by 2 to view Float as Double (different element "
        "sizes), but got 3",
    ),
    (
        "torch.zeros(0).view(-1,0)",
        RuntimeError,
        "cannot reshape tensor of 0 elements into shape [-1, 0] because the unspecified "
        "dimension size -1 can be any value and is ambiguous",
    ),
    ("x.reshape(4)", RuntimeError, "shape '[4]' is invalid for input of size 6"),
    (
        "x.squeeze(5)",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 5)",
    ),
    (
        "x.unsqueeze(5)",
        IndexError,
        "Dimension out of range (expected to be in range of [-3, 2], but got 5)",
    ),
    (
        "x.permute(0)",
        RuntimeError,
        "permute(sparse_coo): number of dimensions in the tensor input does not match the "
        "length of the desired ordering of dimensions i.e. input.dim() = 2 is not equal to "
        "len(dims) = 1",
    ),
    ("x.permute(0,0)", RuntimeError, "permute(): duplicate dims are not allowed."),
    (
        "x.permute(0,2)",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 2)",
    ),
    (
        "x.transpose(0,4)",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 4)",
    ),
    (
        "x.expand(4,3)",
        RuntimeError,
        "The expanded size of the tensor (4) must match the existing size (2) at "
        "non-singleton dimension 0.  Target sizes: [4, 3].  Tensor sizes: [2, 3]",
    ),
    (
        "x.expand(3)",
        RuntimeError,
        "expand(torch.FloatTensor{[2, 3]}, size=[3]): the number of sizes provided (1) "
        "must be greater or equal to the number of dimensions in the tensor (2)",
    ),
    (
        "x.expand(-1,-1,-1)",
        RuntimeError,
        "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension 0",
    ),
    (
        "torch.zeros(2,2,2).t()",
        RuntimeError,
        "t() expects a tensor with <= 2 dimensions, but self is 3D",
    ),
    (
        "torch.zeros(3).mT",
        RuntimeError,
        "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.",
    ),
    (
        "torch.zeros(3).H",
        RuntimeError,
        "tensor.H is only supported on matrices (2-D tensors). Got 1-D tensor.",
    ),
    (
        "torch.zeros(2,2,2).H",
        RuntimeError,
        "tensor.H is only supported on matrices (2-D tensors). Got 3-D tensor. For batches "
        "of matrices, consider using tensor.mH",
    ),
    (
        "x.flatten(1,0)",
        RuntimeError,
        "flatten() has invalid args: start_dim cannot come after end_dim",
    ),
    (
        "x.unflatten(1,(2,2))",
        RuntimeError,
        "unflatten: Provided sizes [2, 2] don't multiply up to the size of dim 1 (3) in "
        "the input tensor",
    ),
    (
        "x.movedim(0,4)",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 4)",
    ),
    ("x.movedim((0,0),(0,1))", RuntimeError, "movedim: repeated dim in `source` ([0, 0])"),
    (
        "torch.broadcast_tensors(torch.ones(2),torch.ones(3))",
        RuntimeError,
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


VIEWS = (
    *(lambda x: x.view(6), lambda x: x.reshape(3, 2), lambda x: x.t(), lambda x: x.T),
    *(lambda x: x.permute(1, 0), lambda x: x.unsqueeze(0), lambda x: x.unsqueeze(0).squeeze(0)),
    *(lambda x: x.flatten(), lambda x: x.expand(1, 2, 3), lambda x: x.unflatten(1, (3, 1))),
    *(lambda x: x.movedim(0, 1), lambda x: x.mT, lambda x: x.view(torch.int32)),
)


@pytest.mark.parametrize("view", VIEWS)
def test_views_share_memory(view):
    x = torch.ones(2, 3)
    viewed = view(x)
    x.zero_()
    assert viewed.sum().item() == 0 and viewed._version == x._version == 1
    assert viewed._base is x


@pytest.mark.parametrize("view", VIEWS[:-1])
def test_writing_to_a_view_changes_the_history_of_its_base(view):
    x = torch.ones(2, 3, requires_grad=True)
    base = x.t().clone().t() * 1  # column-major memory, as a transposed copy has
    base = base.contiguous()
    view(base).mul_(3)
    (base * torch.arange(6.0).view(2, 3)).sum().backward()
    assert x.grad.tolist() == [[0, 3, 6], [9, 12, 15]]


def test_views_of_column_major_bases_keep_their_gradients():
    x = torch.ones(3, 2, requires_grad=True)
    base = (x * 1).t().clone()  # keeps the order in memory
    assert base.stride() == (1, 2)
    base.t().view(6)[1:3].mul_(5)
    base.sum().backward()
    assert x.grad.tolist() == [[1, 5], [5, 1], [1, 1]]


def test_reversing_more_dimensions_warns():
    with pytest.warns(UserWarning, match="x.T"):
        assert torch.zeros(2, 3, 4).T.shape == (4, 3, 2)
    with pytest.warns(UserWarning, match="mT"):
        assert torch.tensor(1.0).mT.shape == ()
