import pickle

import pytest

import disttorch as torch
from disttorch.comm import counters, phases
from disttorch.utils.data import DataLoader, IterableDataset, TensorDataset
from disttorch.utils.data.dataloader import (
    _BaseDataLoaderIter,
    _MultiProcessingDataLoaderIter,
    _SingleProcessDataLoaderIter,
)


@pytest.fixture
def page(monkeypatch):
    """What a rank counts in under the launcher."""
    board = counters.CounterBoard(1)
    monkeypatch.setattr(counters, "page", board.page(0))
    phases.clear()
    return board


@pytest.mark.parametrize("workers", [0, 2])
def test_iterators_count_their_batches_and_stay_what_they_are(page, workers):
    loader = DataLoader(TensorDataset(torch.arange(10)), 2, num_workers=workers)
    iterator = iter(loader)
    kind = _MultiProcessingDataLoaderIter if workers else _SingleProcessDataLoaderIter
    assert type(iterator) is kind and issubclass(kind, _BaseDataLoaderIter)
    assert len(iterator) == 5 and len(list(iterator)) == 5
    assert page.read(0)["samples"] == 10 and page.read(0)["data_ns"] > 0
    assert len(phases.spans(phases.DATA)) == 5


def test_the_wait_for_data_is_noted_without_a_launcher():
    phases.clear()
    assert len(list(DataLoader(range(6), 2))) == len(phases.spans(phases.DATA)) == 3


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


def test_iterators_have_pytorchs_limits():
    with pytest.raises(TypeError, match="has no len"):
        len(iter(DataLoader(Stream())))
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        pickle.dumps(iter(DataLoader(range(3))))
