from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch
from disttorch.testing.fake_device import FakeArray, FakeBackend

BACKEND = FakeBackend()
xp = BACKEND.xp


@pytest.fixture
def fake():
    return BACKEND.asarray([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "forbidden",
    [
        np.asarray,
        np.sum,
        np.exp,
        lambda a: a + np.ones(3),
        lambda a: np.ones(3) * a,
        lambda a: np.multiply(a, 2),
        lambda a: xp.add(a, np.ones(3)),
        lambda a: a[np.array([0, 1])],
        lambda a: a.__setitem__(0, np.ones(())),
        lambda a: xp.concatenate([a, np.ones(3)]),
        lambda a: xp.sum(a, where=a > 1),
        lambda a: xp.maximum.accumulate(a, axis=0),
        lambda a: xp.errstate(all="ignore"),
        lambda a: xp.vectorize(a, otypes=[float]),
        lambda a: a.flags.writeable,
        lambda a: a.ctypes,
        lambda a: xp.exp(torch.ones(3)),
    ],
)
def test_what_the_array_library_refuses(fake, forbidden):
    with pytest.raises((TypeError, AttributeError)):
        forbidden(fake)


def test_results_stay_on_the_device(fake):
    for result in (fake + 1, fake[0], fake.sum(), xp.exp(fake), xp.max(fake), fake > 1, fake.T):
        assert type(result) is FakeArray
    assert fake[0].shape == ()


def test_elements_are_views(fake):
    fake[1][...] = 9
    assert fake.get().tolist() == [1, 9, 3]


def test_copies_to_and_from_the_host():
    host = np.ones(2)
    fake = BACKEND.asarray(host)
    host[:] = 5
    assert BACKEND.to_host(fake).tolist() == [1, 1]
    assert xp.asarray([fake[0], 2.0]).get().tolist() == [1, 2]
    assert float(fake[0]) == 1.0


def test_in_place_operators_write_the_same_memory(fake):
    view = fake[:2]
    view *= 10
    assert fake.get().tolist() == [10, 20, 3]


def test_tensors_of_two_devices_do_not_mix(fake):
    x = torch.Tensor._wrap(fake)
    assert str(x.device) == "fake"
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        x + torch.ones(3, dtype=torch.float64)
    with pytest.raises(TypeError, match="can't convert fake device type tensor to numpy"):
        x.numpy()
