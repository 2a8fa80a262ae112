import numpy as np
import pytest

import disttorch
from disttorch import optim
from disttorch.nn.parameter import Parameter
from disttorch.optim.muon import orthogonalised

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (2, 7)])
def test_singular_values_come_near_one(shape):
    rng = np.random.default_rng(0)
    x = orthogonalised(disttorch.from_numpy(rng.standard_normal(shape)), COEFFICIENTS, 5, 1e-7)
    assert x.dtype is disttorch.bfloat16
    values = np.linalg.svd(x.float().numpy(), compute_uv=False)
    assert np.all((values > 0.3) & (values < 1.4))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"n_steps": 100}, "must be less than 100"),
        ({"coefficients": (1.0, 2.0)}, "exactly 3 values"),
        ({"matrix": disttorch.ones(3)}, "must be a 2D matrix"),
    ],
)
def test_refusals(settings, match):
    usual = {"matrix": disttorch.ones(2, 2), "coefficients": COEFFICIENTS, "n_steps": 5}
    with pytest.raises(ValueError, match=match):
        orthogonalised(**{**usual, **settings}, eps=1e-7)


def test_all_directions_move_alike():
    """A gradient of very different sizes: the step's are of one size."""
    p = Parameter(disttorch.zeros(2, 2))
    p.grad = disttorch.tensor([[100.0, 0.0], [0.0, 0.01]])
    optim.Muon([p], lr=1.0, weight_decay=0.0).step()
    moved = p.detach().numpy()
    assert moved[0, 0] == pytest.approx(-1, abs=0.4)
    assert moved[0, 1] == moved[1, 0] == 0
