"""Slots that become too small: the batch comes all the same, and later ones fit."""

import itertools
import os
import signal
import warnings

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset

N = 400


class Rows(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return torch.full((500,), i), i


class Ragged(Rows):
    """All samples of a batch of eight have one length, which grows."""

    def __getitem__(self, i):
        return np.full((100 * (1 + i // 8),), i)


def grown(seen):
    return [str(w.message) for w in seen if "did not fit its slot" in str(w.message)]


def batches_of(*sizes):
    ends = np.cumsum([0, *sizes])
    return [list(range(a, b)) for a, b in itertools.pairwise(ends)]


def collected(batch):
    return batch  # any function of the user's: batches are made whole


@pytest.mark.parametrize("workers", [1, 2])
def test_more_rows_than_the_first_batches_had(workers):
    sizes = [4, 4, 4, 4, 4, 40, 4, 4, 4, 4, 4, 4, 4, 4, 4, 100, 4, 4, 40, 100]
    loader = DataLoader(Rows(), batch_sampler=batches_of(*sizes), num_workers=workers)
    iterator = iter(loader)
    with pytest.warns(UserWarning, match="did not fit its slot") as seen:
        batches = [(x.tolist(), y.tolist()) for x, y in iterator]
    assert len(grown(seen)) == 1
    assert [y for _, y in batches] == batches_of(*sizes)
    assert all(x == [[i] * 500 for i in y] for x, y in batches)


@pytest.mark.parametrize("workers", [1, 2])
def test_whole_batches_that_grow(workers):
    loader = DataLoader(Ragged(), 8, num_workers=workers, collate_fn=np.stack)
    iterator = iter(loader)
    first = iterator._store
    with pytest.warns(UserWarning, match="did not fit its slot") as seen:
        shapes = []
        for k, batch in enumerate(iterator):
            assert (batch == np.arange(8 * k, 8 * k + 8)[:, None]).all()
            shapes.append(batch.shape)
            slot_nbytes = first.current.ring.slot_nbytes
    assert shapes == [(8, 100 * (1 + k)) for k in range(N // 8)]
    assert len(grown(seen)) == 1
    assert slot_nbytes >= 8 * 8 * 100 * 40


def test_samples_of_many_shapes_go_to_slots_as_whole_batches():
    loader = DataLoader(Ragged(), 8, num_workers=2)
    iterator = iter(loader)
    with pytest.warns(UserWarning, match="did not fit its slot"):
        batches = [b.tolist() for b in iterator]
    assert batches == [[[i] * 100 * (1 + i // 8) for i in range(k, k + 8)] for k in range(0, N, 8)]
    assert not loader._kept[0].can_use_rows


def test_batches_that_are_held_outlive_the_growth():
    sizes = [4] * 5 + [60] + [4] * 20
    loader = DataLoader(Rows(), batch_sampler=batches_of(*sizes), num_workers=2)
    with pytest.warns(UserWarning, match="did not fit its slot"):
        kept = list(loader)
    assert [y.tolist() for _, y in kept] == batches_of(*sizes)
    assert all(x[:, 0].tolist() == y.tolist() for x, y in kept)


def test_the_next_pass_starts_with_the_larger_slots():
    loader = DataLoader(Rows(), batch_sampler=batches_of(*[4] * 5, 60, 4, 4), num_workers=1)
    with pytest.warns(UserWarning, match="did not fit its slot"):
        list(loader)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(loader)


class Dying(Rows):
    """A file tells whether the worker that fetches sample 61 was killed already."""

    def __init__(self, marker):
        self.marker = marker

    def __getitem__(self, i):
        if i == 61 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


@pytest.mark.fault
def test_a_worker_killed_while_slots_grow(tmp_path):
    """Its successor knows only of the newest slots."""
    sizes = [4] * 3 + [40] + [4] * 20
    loader = DataLoader(Dying(tmp_path / "killed"), batch_sampler=batches_of(*sizes), num_workers=2)
    with pytest.warns(UserWarning) as seen:
        batches = [y.tolist() for _, y in loader]
    assert batches == batches_of(*sizes)
    assert any("SIGKILL" in str(w.message) for w in seen)
