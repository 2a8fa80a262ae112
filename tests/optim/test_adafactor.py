import numpy as np
import pytest

import disttorch
from disttorch import optim
from disttorch.nn.parameter import Parameter


def stepped(values, grad, **settings):
    p = Parameter(disttorch.tensor(values))
    p.grad = disttorch.tensor(grad)
    optimiser = optim.Adafactor([p], **settings)
    optimiser.step()
    return p, optimiser.state[p]


def test_a_matrix_keeps_a_row_and_a_column():
    p, state = stepped([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]])
    assert list(state) == ["step", "row_var", "col_var"]
    # After the first step the averages are the mean squares themselves.
    np.testing.assert_allclose(state["row_var"].numpy(), [[2.5], [12.5]])
    np.testing.assert_allclose(state["col_var"].numpy(), [[5.0, 10.0]])
    assert p.tolist() != [[1.0, 2.0], [3.0, 4.0]]


def test_the_step_is_relative_to_the_parameter():
    """Of a vector the update has size 1 an element, times its own root mean square times lr."""
    p, state = stepped([2.0, -2.0], [3.0, 0.5], lr=0.01)
    assert list(state) == ["step", "variance"]
    np.testing.assert_allclose(p.detach().numpy(), [2 - 0.02, -2 - 0.02], rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"lr": -1.0}, "Learning rate should be >= 0 but is: -1.0"),
        ({"beta2_decay": 0.8}, "beta2_decay should be <= 0 but is: 0.8"),
        ({"eps": (None, -1.0)}, "epsilon2 should be >= 0"),
        ({"d": 0.5}, "Clipping threshold d should be >= 1"),
    ],
)
def test_refusals(settings, match):
    with pytest.raises(ValueError, match=match):
        optim.Adafactor([Parameter(disttorch.ones(1))], **settings)
