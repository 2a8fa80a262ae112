import pytest

import disttorch
from disttorch import nn
from disttorch.nn.utils import prune


@pytest.fixture
def linear():
    module = nn.Linear(3, 2, bias=False)
    module.weight = nn.Parameter(disttorch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]))
    return module


@pytest.mark.parametrize(
    ("apply", "want"),
    [
        (lambda m: prune.l1_unstructured(m, "weight", 2), [[0, 0, 3], [-4, 5, -6]]),
        (lambda m: prune.l1_unstructured(m, "weight", 0.5), [[0, 0, 0], [-4, 5, -6]]),
        (lambda m: prune.ln_structured(m, "weight", 1, 2, dim=0), [[0, 0, 0], [-4, 5, -6]]),
        (lambda m: prune.ln_structured(m, "weight", 1, 1, dim=1), [[0, -2, 3], [0, 5, -6]]),
        (lambda m: prune.identity(m, "weight"), [[1, -2, 3], [-4, 5, -6]]),
    ],
)
def test_what_is_pruned(linear, apply, want):
    apply(linear)
    assert linear.weight.tolist() == want
    assert linear(disttorch.eye(3)).T.tolist() == want
    assert list(linear.state_dict()) == ["weight_orig", "weight_mask"]


def test_pruned_entries_get_no_gradient(linear):
    prune.l1_unstructured(linear, "weight", 3)
    linear(disttorch.ones(1, 3)).sum().backward()
    assert linear.weight_orig.grad.tolist() == [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def test_pruning_goes_on_from_what_is_left(linear):
    prune.l1_unstructured(linear, "weight", 2)
    prune.l1_unstructured(linear, "weight", 2)
    assert linear.weight.tolist() == [[0.0, 0.0, 0.0], [0.0, 5.0, -6.0]]
    prune.remove(linear, "weight")
    assert list(linear.state_dict()) == ["weight"]
    assert linear.weight.tolist() == [[0.0, 0.0, 0.0], [0.0, 5.0, -6.0]]


def test_over_several_layers(linear):
    other = nn.Linear(2, 1, bias=False)
    other.weight = nn.Parameter(disttorch.tensor([[0.5, 10.0]]))
    pairs = [(linear, "weight"), (other, "weight")]
    prune.global_unstructured(pairs, prune.L1Unstructured, amount=3)
    assert linear.weight.tolist() == [[0.0, 0.0, 3.0], [-4.0, 5.0, -6.0]]
    assert other.weight.tolist() == [[0.0, 10.0]]
    assert prune.is_pruned(nn.Sequential(linear))


def test_a_failed_pruning_leaves_the_parameter(linear):
    with pytest.raises(ValueError, match="should be smaller than the number of parameters"):
        prune.l1_unstructured(linear, "weight", 7)
    assert list(linear.state_dict()) == ["weight"]
