"""Normalisations: running statistics, versions, error texts. Values: testing/opspec/norm.py."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.nn import functional as F


def test_running_statistics_move_by_momentum():
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0], [5.0, 1.0]])
    mean, var = torch.zeros(2), torch.ones(2)
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean.numpy(), [0.75, 0.75])
    np.testing.assert_allclose(var.numpy(), [0.75 + 0.25 * 4, 0.75 + 0.25 * 7])
    assert mean._version == 1


def test_evaluation_leaves_them_alone():
    x, mean, var = torch.ones(3, 2), torch.ones(2), torch.ones(2) * 4
    y = F.batch_norm(x * 3, mean, var, eps=0.0)
    np.testing.assert_allclose(y.numpy(), np.ones((3, 2)))
    assert mean._version == 0


def test_instance_norm_averages_the_images_statistics():
    x = torch.tensor([[[1.0, 3.0]], [[5.0, 5.0]]])
    mean, var = torch.zeros(1), torch.zeros(1)
    F.instance_norm(x, mean, var, momentum=1.0)
    np.testing.assert_allclose(mean.numpy(), [3.5])
    np.testing.assert_allclose(var.numpy(), [1.0])


ERRORS = (
    ("F.batch_norm(ones(4,3), None, None)", "running_mean must be defined in evaluation mode"),
    (
        "F.batch_norm(ones(4,2), ones(3), ones(3))",
        "running_mean should contain 2 elements not 3",
    ),
    (
        "F.batch_norm(ones(4,3), ones(3), ones(3), ones(2))",
        "weight should contain 3 elements not 2",
    ),
    (
        "F.batch_norm(ones(4,3).double(), ones(3), ones(3))",
        "mixed dtype (CPU): all inputs must share same datatype.",
    ),
    (
        "F.layer_norm(ones(4,3), (4,))",
        "Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[4, 3]",
    ),
    (
        "F.layer_norm(ones(4,3), ())",
        "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
        "element, but got normalized_shape = []",
    ),
    (
        "F.layer_norm(ones(4,3), (3,), ones(2))",
        "Expected weight to be of same shape as normalized_shape, but got weight of shape [2] and "
        "normalized_shape = [3]",
    ),
    (
        "F.rms_norm(ones(4,3), (4,))",
        "Given normalized_shape=[4], expected input with shape [*4], but got input of size[4, 3]",
    ),
    (
        "F.group_norm(ones(4,3), 2)",
        "Expected number of channels in input to be divisible by num_groups, but got input of "
        "shape [4, 3] and num_groups=2",
    ),
    ("F.group_norm(ones(4), 2)", "Expected at least 2 dimensions for input tensor but received 1"),
    (
        "F.instance_norm(ones(4,3,5), use_input_stats=False)",
        "Expected running_mean and running_var to be defined when use_input_stats is false",
    ),
    (
        "F.batch_norm(ones(1,3), None, None, training=True)",
        "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])",
    ),
    (
        "F.batch_norm(ones(4,3), None, None, training=True, eps=-1.0)",
        "batch_norm eps must be positive during training, but got -1.0",
    ),
    (
        "F.instance_norm(ones(4,3,1))",
        "Expected more than 1 spatial element when training, got input size torch.Size([4, 3, 1])",
    ),
    (
        "F.group_norm(ones(1,2), 2)",
        "Expected more than 1 value per channel when training, got input size [1, 2]",
    ),
)


@pytest.mark.parametrize(("expression", "text"), ERRORS)
def test_refuses(expression, text):
    with pytest.raises((RuntimeError, ValueError)) as caught:
        eval(expression, {"F": F, "ones": torch.ones})
    assert str(caught.value) == text


def test_integers_are_refused():
    with pytest.raises(NotImplementedError, match="\"batch_norm\" not implemented for 'Long'"):
        F.batch_norm(torch.ones(4, 3).long(), torch.ones(3), torch.ones(3))
