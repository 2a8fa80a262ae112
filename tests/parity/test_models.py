"""Whole models: PyTorch's weights give PyTorch's scores, and training follows the same curve."""

import numpy as np
import pytest

import disttorch
from tests.parity import models

torch = pytest.importorskip("torch", reason="torch not installed")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

N_STEPS = 100


def images(*shape):
    return np.random.RandomState(0).standard_normal(shape).astype(np.float32)


def tokens(*shape):
    return np.random.RandomState(0).randint(0, 50, shape)


def pair(build):
    """The same model in both libraries, with PyTorch's weights as NumPy arrays."""
    torch.manual_seed(0)
    theirs, ours = build(torch), build(disttorch)
    arrays = {k: v.detach().numpy().copy() for k, v in theirs.state_dict().items()}
    report = ours.load_state_dict({k: disttorch.from_numpy(v) for k, v in arrays.items()})
    assert str(report) == "<All keys matched successfully>"
    assert repr(ours) == repr(theirs)
    return ours, theirs


@pytest.mark.parametrize(
    ("build", "input"),
    [
        (models.resnet18, images(2, 3, 64, 64)),
        (models.gpt, tokens(2, 16)),
        (models.tagger, tokens(3, 12)),
        (models.transformer, tokens(2, 10)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_state_dict_of_pytorch_gives_its_scores(build, input, training):
    ours, theirs = pair(build)
    with torch.no_grad(), disttorch.no_grad():
        wanted = theirs.train(training)(torch.from_numpy(input)).numpy()
        actual = ours.train(training)(disttorch.from_numpy(input)).numpy()
    assert np.abs(actual - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())


def curve(lib, model, input, target, make_optimizer):
    """Loss of each step of training on one batch."""
    x, y = lib.from_numpy(input), lib.from_numpy(target)
    optimizer = make_optimizer(lib, model)
    losses = []
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        scores = model(x)
        loss = lib.nn.functional.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def sgd(lib, model):
    return lib.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)


def adam(lib, model):
    return lib.optim.Adam(model.parameters(), lr=1e-3)


@pytest.mark.parametrize(
    ("build", "input", "target", "optimizer"),
    [
        (models.mlp, images(32, 20), tokens(32) % 5, sgd),
        (models.lenet, images(16, 1, 16, 16), tokens(16) % 5, sgd),
        (models.small_resnet, images(8, 3, 8, 8), tokens(8) % 5, sgd),
        (models.tagger, tokens(8, 8), tokens(8) % 5, adam),
        (models.transformer, tokens(4, 6), tokens(4, 6), adam),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_training_follows_the_same_curve(build, input, target, optimizer):
    ours, theirs = pair(build)
    wanted = curve(torch, theirs, input, target, optimizer)
    actual = curve(disttorch, ours, input, target, optimizer)
    assert wanted[-1] < wanted[0]
    assert (np.abs(actual - wanted) / np.abs(wanted)).max() < 1e-3
