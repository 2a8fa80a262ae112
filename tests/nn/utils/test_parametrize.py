import pytest

import disttorch
from disttorch import nn
from disttorch.nn.utils import parametrizations, parametrize


class Square(nn.Module):
    """x -> x**2, with the positive root as its inverse."""

    def forward(self, x):
        return x**2

    def right_inverse(self, x):
        return x.sqrt()


@pytest.fixture
def linear():
    module = nn.Linear(2, 2, bias=False)
    module.weight = nn.Parameter(disttorch.tensor([[1.0, 4.0], [9.0, 16.0]]))
    return parametrize.register_parametrization(module, "weight", Square())


def test_the_value_is_kept_and_the_original_trained(linear):
    assert linear.weight.tolist() == [[1.0, 4.0], [9.0, 16.0]]
    assert linear.parametrizations.weight.original.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    linear.weight.sum().backward()
    assert [name for name, _ in linear.named_parameters()] == ["parametrizations.weight.original"]
    original = linear.parametrizations.weight.original
    assert original.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_assignment_goes_through_the_inverse(linear):
    original = linear.parametrizations.weight.original
    linear.weight = disttorch.full((2, 2), 25.0)
    assert original.tolist() == [[5.0, 5.0], [5.0, 5.0]]


def test_other_modules_keep_their_class(linear):
    assert type(linear).__name__ == "ParametrizedLinear"
    assert isinstance(linear, nn.Linear)
    assert type(nn.Linear(1, 1)) is nn.Linear
    parametrize.remove_parametrizations(linear, "weight")
    assert type(linear) is nn.Linear
    assert linear.weight.tolist() == [[1.0, 4.0], [9.0, 16.0]]


def test_states_can_be_loaded(linear):
    other = nn.Linear(2, 2, bias=False)
    parametrize.register_parametrization(other, "weight", Square(), unsafe=True)
    other.load_state_dict(linear.state_dict())
    assert other.weight.tolist() == linear.weight.tolist()


def test_a_cache_computes_once(linear):
    with parametrize.cached():
        assert linear.weight is linear.weight
    assert linear.weight is not linear.weight


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_stays_orthogonal(shape, name):
    module = nn.Linear(shape[1], shape[0], bias=False)
    parametrizations.orthogonal(module, orthogonal_map=name)
    optimiser = disttorch.optim.SGD(module.parameters(), lr=0.3)
    for _ in range(3):
        optimiser.zero_grad()
        (module.weight**3).sum().backward()
        optimiser.step()
    w = module.weight if shape[0] >= shape[1] else module.weight.T
    one = disttorch.eye(min(shape))
    assert disttorch.allclose(w.T @ w, one, atol=1e-4)


def test_spectral_norm_is_one():
    module = parametrizations.spectral_norm(nn.Linear(6, 4), n_power_iterations=20)
    largest = disttorch.linalg.svdvals(module.weight.detach())[0]
    assert largest.item() == pytest.approx(1, rel=1e-3)


def test_weight_norm_has_its_lengths():
    module = parametrizations.weight_norm(nn.Linear(6, 4))
    with disttorch.no_grad():
        module.parametrizations.weight.original0.fill_(2.0)
    assert module.weight.norm(dim=1).tolist() == pytest.approx([2.0] * 4)
