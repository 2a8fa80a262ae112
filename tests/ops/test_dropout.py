"""Dropout: PyTorch's own masks for a seed, edges, in-place forms."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.nn import functional as F

SEED = 7
# Probability and what PyTorch 2.13 keeps of 12 elements for this seed.
KEPT = (
    (0.5, [1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1]),
    (0.2, [1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1]),
)
IN_PLACE = ("dropout_", "feature_dropout_", "alpha_dropout_", "feature_alpha_dropout_")


@pytest.mark.parametrize(("p", "kept"), KEPT)
def test_mask_is_that_of_pytorch(p, kept):
    torch.manual_seed(SEED)
    x = torch.ones(12, requires_grad=True)
    y = F.dropout(x, p)
    y.sum().backward()
    scaled = np.array(kept, np.float32) * np.float32(1) / np.float32(1 - p)
    np.testing.assert_array_equal(y.detach().numpy(), scaled)
    np.testing.assert_array_equal(x.grad.numpy(), scaled)


def test_channels_are_dropped_whole():
    torch.manual_seed(SEED)
    y = F.dropout2d(torch.ones(2, 4, 1, 2), 0.5).numpy()
    np.testing.assert_array_equal(y[..., 0], y[..., 1])
    np.testing.assert_array_equal(y[:, :, 0, 0], [[2, 2, 0, 0], [0, 0, 2, 0]])


def test_alpha_dropout_drops_to_the_saturated_value():
    torch.manual_seed(SEED)
    y = F.alpha_dropout(torch.zeros(6), 0.3, training=True).numpy()
    kept, dropped = 0.4540920555591583, -1.059548258781433
    np.testing.assert_allclose(y, [kept, kept, dropped, kept, dropped, dropped], rtol=1e-6)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_equals_out_of_place(name):
    x = torch.ones(3, 4, 2)
    torch.manual_seed(SEED)
    expected = getattr(torch, name[:-1])(x, 0.5, True)
    torch.manual_seed(SEED)
    assert getattr(torch, name)(x, 0.5, True) is x
    np.testing.assert_array_equal(x.numpy(), expected.numpy())


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_nothing_to_drop_returns_the_input(p, training):
    x = torch.ones(3)
    assert F.dropout(x, p, training) is x


def test_dropping_everything_gives_zeros_and_no_random_number():
    x = torch.ones(3, requires_grad=True)
    before = torch.get_rng_state().tolist()
    F.dropout(x, 1.0).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    assert torch.get_rng_state().tolist() == before


@pytest.mark.parametrize("p", [-0.5, 1.5])
@pytest.mark.parametrize("name", ["dropout", "dropout1d", "alpha_dropout"])
def test_probability_out_of_range(name, p):
    with pytest.raises(ValueError) as caught:
        getattr(F, name)(torch.ones(2, 2), p)
    assert str(caught.value) == f"dropout probability has to be between 0 and 1, but got {p}"


def test_integers_are_refused():
    with pytest.raises(RuntimeError) as caught:
        F.dropout(torch.ones(4).long(), 0.5)
    assert str(caught.value) == "result type Float can't be cast to the desired output type Long"


def test_deprecated_rank_warns():
    with pytest.warns(UserWarning, match="^dropout2d: Received a 2-D input"):
        F.dropout2d(torch.ones(2, 2))
