import warnings

import pytest

import disttorch as torch
from disttorch.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    lookahead,
)
from disttorch.utils.data.lookahead import Lookahead


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(lookahead.time, "monotonic", lambda: now[0])
    return now


def deliver(ahead, clock, n, each_s, n_most):
    for _ in range(n):
        clock[0] += each_s
        ahead.delivered(n_most)


@pytest.mark.parametrize(
    ("each_s", "n_most", "n_ahead"),
    [
        (1.0, 32, 4),  # batches that take long: as many as were asked for
        (2e-3, 32, 4),
        (0.45e-3, 32, 8),
        (0.1e-3, 32, 32),
        (0.0, 32, 32),
        (0.1e-3, 4, 4),  # no room for more
    ],
)
def test_quickly_taken_batches_are_made_further_ahead(clock, each_s, n_most, n_ahead):
    ahead = Lookahead(4)
    deliver(ahead, clock, 8, each_s, n_most)
    assert ahead.n == n_ahead
    deliver(ahead, clock, 8, 1.0, n_most)
    assert ahead.n == 4


def test_many_batches_are_asked_for_together(clock):
    ahead = Lookahead(4)
    assert [ahead.n_wanted(n) for n in (0, 3, 4)] == [4, 1, 0]
    deliver(ahead, clock, 8, 1e-4, 32)
    assert [ahead.n_wanted(n) for n in (0, 24, 25, 32, 40)] == [32, 8, 0, 0, 0]


class Seen(SequentialSampler):
    """Counts how far it was read."""

    n_read = 0

    def __iter__(self):
        for index in super().__iter__():
            self.n_read += 1
            yield index


def test_prefetch_factor_has_the_last_word_and_own_samplers_are_read_no_further():
    data = TensorDataset(torch.arange(4000))
    sampler = Seen(data)
    loader = DataLoader(data, 4, sampler=sampler, num_workers=2)
    for delivered, _ in enumerate(loader, 1):
        assert sampler.n_read <= 4 * (delivered + 4)
    assert delivered == 1000

    may = [
        DataLoader(data, 4, num_workers=2),
        DataLoader(data, 4, True, num_workers=2),
        DataLoader(data, 4, num_workers=2, prefetch_factor=2),
        DataLoader(data, 4, sampler=sampler, num_workers=2),
        DataLoader(data, 4, sampler=RandomSampler(data, True), num_workers=2),
        DataLoader(data, 4, num_workers=2, collate_fn=list),
        DataLoader(data, batch_sampler=[[0], [1]], num_workers=2),
    ]
    assert [loader._looks_further for loader in may] == [True, True] + 5 * [False]


@pytest.mark.parametrize("persistent", [False, True])
def test_small_batches_come_once_and_in_order_however_far_ahead_they_are_made(persistent):
    data = TensorDataset(torch.arange(6000))
    loader = DataLoader(data, 3, num_workers=2, persistent_workers=persistent)
    for _ in range(3):
        iterator = iter(loader)
        furthest, samples = 0, []
        for (batch,) in iterator:
            furthest = max(furthest, len(iterator._batches))
            samples += batch.tolist()
        assert samples == list(range(6000))
        assert 4 <= furthest <= 32


def test_fewer_are_made_ahead_as_soon_as_there_is_room_for_fewer(clock):
    ahead = Lookahead(4)
    deliver(ahead, clock, 8, 1e-4, 32)
    deliver(ahead, clock, 1, 1e-4, 6)
    assert ahead.n == 6


class Growing(Dataset):
    """A kilobyte a sample at first, a megabyte later."""

    def __len__(self):
        return 260

    def __getitem__(self, i):
        return torch.zeros(1 << (18 if i >= 200 else 8))


def test_batches_that_have_grown_are_not_made_as_far_ahead(monkeypatch):
    monkeypatch.setattr(lookahead, "_SPAN_S", 1e6)  # as if they took no time
    loader = DataLoader(Growing(), 1, num_workers=2)
    iterator = iter(loader)
    under_way = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in iterator:
            under_way.append(len(iterator._batches))
    assert max(under_way[:200]) == 32
    assert max(under_way[232:]) <= 4
