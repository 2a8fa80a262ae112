"""Pinned batches, with a driver that counts what it gives away."""

import collections
import gc
import threading

import numpy as np
import pytest

import disttorch as torch
from disttorch.backends.base import BACKEND_BY_TYPE
from disttorch.testing import fake_device
from disttorch.utils.data import DataLoader, TensorDataset
from disttorch.utils.data.pinning import pin

N = 20


class Driver(fake_device.FakeBackend):
    """A device with page-locked memory."""

    pins_memory = True

    def __init__(self):
        super().__init__()
        self.n_allocations = 0

    def pinned_empty(self, shape, np_dtype):
        self.n_allocations += 1
        return np.empty(shape, np_dtype)


@pytest.fixture
def driver(monkeypatch):
    driver = Driver()
    monkeypatch.setitem(BACKEND_BY_TYPE, fake_device.FakeArray, driver)
    return driver


def dataset():
    return TensorDataset(torch.arange(N * 3).reshape(N, 3).float(), torch.arange(N))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_pinned_and_equal(driver, workers):
    plain = [[t.tolist() for t in b] for b in DataLoader(dataset(), 4)]
    loader = DataLoader(dataset(), 4, num_workers=workers, pin_memory=True)
    assert [[t.tolist() for t in b] for b in loader] == plain
    assert driver.n_allocations == 2 * len(plain)


def test_persistent_workers_pin_every_pass(driver):
    loader = DataLoader(dataset(), 4, num_workers=1, pin_memory=True, persistent_workers=True)
    for _ in range(3):
        assert [i for b in loader for i in b[1].tolist()] == list(range(N))
    next(iter(loader))  # abandoned
    assert [i for b in loader for i in b[1].tolist()] == list(range(N))
    loader._iterator.close()


def test_an_abandoned_pass_ends_its_thread(driver):
    before = threading.active_count()
    iterator = iter(DataLoader(dataset(), 4, num_workers=1, pin_memory=True))
    next(iterator)
    del iterator
    gc.collect()
    assert threading.active_count() == before


def test_errors_come_where_they_occurred(driver):
    class Bad:
        def __len__(self):
            return 12

        def __getitem__(self, i):
            if i == 5:
                raise ValueError("five")
            return i

    iterator = iter(DataLoader(Bad(), 4, num_workers=1, pin_memory=True))
    assert next(iterator).tolist() == [0, 1, 2, 3]
    try:
        next(iterator)
        raise AssertionError("no error")
    except ValueError as error:
        assert "five" in str(error)
    assert next(iterator).tolist() == [8, 9, 10, 11]
    with pytest.raises(StopIteration):
        next(iterator)


def test_only_delivered_batches_count(driver):
    loader = DataLoader(dataset(), 4, num_workers=1, pin_memory=True)
    iterator = iter(loader)
    next(iterator)
    assert loader.state_dict()["n_batches"] == 1
    iterator.close()


def test_structures_are_kept(driver):
    class Own:
        def pin_memory(self):
            return "pinned"

    Pair = collections.namedtuple("Pair", "a b")
    x = torch.ones(2)
    batch = {"t": (x, "text"), "l": [x, Own()], "p": Pair(x, None)}
    pinned = pin(batch, driver)
    assert isinstance(pinned["t"], tuple)
    assert isinstance(pinned["p"], Pair)
    assert pinned["t"][1] == "text"
    assert pinned["l"][1] == "pinned"
    assert pinned["p"].a.tolist() == [1, 1]
    assert driver.n_allocations == 3


def test_without_a_device_pytorchs_warning():
    loader = DataLoader(dataset(), 4, pin_memory=True)
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert len(list(loader)) == 5


def test_the_device_is_no_choice(driver):
    loader = DataLoader(dataset(), 4, pin_memory=True, pin_memory_device="cuda")
    with pytest.warns(UserWarning, match="pin_memory_device is deprecated"):
        assert len(list(loader)) == 5
