import collections
import gc
import os
import signal
import warnings

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    TensorDataset,
    get_worker_info,
)

N = 37
WORKERS = (0, 1, 3)


class Rows(Dataset):
    """Sample i is (row of i, i, its name)."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return torch.tensor([i, i + 0.5]), i, f"n{i}"


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, N, step))


def flat(batches):
    return [i for batch in batches for i in batch[1].tolist()]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("batch_size", "drop_last"), [(1, False), (8, False), (8, True), (50, False)]
)
def test_every_sample_once_and_in_order(workers, batch_size, drop_last):
    loader = DataLoader(Rows(), batch_size, num_workers=workers, drop_last=drop_last)
    batches = list(loader)
    expected = list(range(N // batch_size * batch_size if drop_last else N))
    assert len(batches) == len(loader)
    assert flat(batches) == expected
    for rows, numbers, names in batches:
        assert rows.dtype is torch.float32
        assert numbers.dtype is torch.int64
        assert rows.tolist() == [[i, i + 0.5] for i in numbers.tolist()]
        assert list(names) == [f"n{i}" for i in numbers.tolist()]


@pytest.mark.parametrize("workers", WORKERS)
def test_batches_that_are_kept_stay_valid_while_slots_are_reused(workers):
    loader = DataLoader(Rows(), 2, num_workers=workers)
    kept = [batch[0] for batch in loader]
    gc.collect()
    assert [row for rows in kept for row in rows.tolist()] == [[i, i + 0.5] for i in range(N)]


def test_slots_come_back_when_their_batch_dies():
    loader = DataLoader(Rows(), 2, num_workers=2)
    iterator = iter(loader)
    for batch in iterator:
        assert 1 <= iterator._slots.n_lent <= 2
        del batch
    assert iterator._slots.n_lent == 0
    assert len(iterator._slots.free) == iterator._slots.n_slots


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffled_order_depends_on_the_seed_alone(workers):
    def order(seed):
        torch.manual_seed(seed)
        return flat(DataLoader(Rows(), 5, shuffle=True, num_workers=workers))

    assert order(1) == order(1) != order(2)
    assert sorted(order(3)) == list(range(N))


@pytest.mark.parity
def test_shuffled_order_is_torchs():
    reference = pytest.importorskip("torch", reason="torch is not installed")
    import torch.utils.data as reference_data

    torch.manual_seed(7)
    reference.manual_seed(7)
    ours = [b.tolist() for _ in range(2) for b in DataLoader(range(N), 5, shuffle=True)]
    theirs_loader = reference_data.DataLoader(range(N), 5, shuffle=True)
    assert ours == [b.tolist() for _ in range(2) for b in theirs_loader]


@pytest.mark.parametrize("workers", WORKERS)
def test_custom_collate_gets_whole_batches(workers):
    loader = DataLoader(
        Rows(), 4, num_workers=workers, collate_fn=lambda b: {"n": len(b), "i": b[-1][1]}
    )
    assert [b["n"] for b in loader] == [4] * 9 + [1]


@pytest.mark.parametrize("workers", WORKERS)
def test_streams_are_read_to_their_end_by_every_worker(workers):
    loader = DataLoader(Stream(), 4, num_workers=workers)
    assert sorted(i for b in loader for i in b.tolist()) == list(range(N))


def test_unbatched_samples_are_converted():
    loader = DataLoader(np.arange(4.0), batch_size=None, num_workers=1)
    assert [x.item() for x in loader] == [0, 1, 2, 3]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_start_methods(method):
    data = TensorDataset(torch.tensor(np.arange(8.0)))
    loader = DataLoader(data, 4, num_workers=2, multiprocessing_context=method)
    assert [b[0].tolist() for b in loader] == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("method", ["multiprocessing", "thread"])
def test_a_pass_outlives_its_loader(method):
    """Persistent workers, too, which end with it: the check for leaks would see them."""
    made = dict(num_workers=2, persistent_workers=True, worker_method=method)
    assert [b.tolist() for b in DataLoader([*range(5)], 2, **made)] == [[0, 1], [2, 3], [4]]
    batches = iter(DataLoader([*range(5)], 2, **made))
    assert next(batches).tolist() == [0, 1]


def test_persistent_workers_serve_all_epochs():
    loader = DataLoader(Rows(), 6, num_workers=2, persistent_workers=True)
    pids = set()
    for _ in range(3):
        iterator = iter(loader)
        pids |= set(iterator._pool.pids)
        assert flat(iterator) == list(range(N))
    next(iter(loader))  # an abandoned pass
    assert flat(loader) == list(range(N))
    assert len(pids) == 2
    loader._iterator.close()


def error_of(loader, kind):
    """Text of the error of a pass; no traceback is kept, which would keep the iterator alive."""
    try:
        list(loader)
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


class Unequal(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return torch.tensor([0.0] * (3 if i < 6 else 4))


@pytest.mark.parametrize("workers", WORKERS)
def test_unequal_samples_are_pytorchs_error(workers):
    text = error_of(DataLoader(Unequal(), 8, num_workers=workers), RuntimeError)
    assert "stack expects each tensor to be equal size" in text


@pytest.mark.parametrize("workers", WORKERS)
def test_batches_of_another_shape_still_arrive(workers):
    loader = DataLoader(
        Unequal(), num_workers=workers, batch_sampler=[[0, 1, 2, 3], [6, 7], [4, 5]]
    )
    assert [list(b.shape) for b in loader] == [[4, 3], [2, 4], [2, 3]]


class Failing(Rows):
    def __getitem__(self, i):
        if i == 20:
            raise KeyError("the lost key")
        return super().__getitem__(i)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_raising_sample_shows_type_traceback_and_indices(workers):
    loader = DataLoader(Failing(), 8, num_workers=workers)
    text = error_of(loader, KeyError)
    assert "the lost key" in text
    assert "Original Traceback (most recent call last)" in text
    assert "20" in text.partition("Original")[0]
    assert "raised by sample 20 of the dataset" in text


class Coded(Exception):
    """Takes a number first and a text by name."""

    message = "none"

    def __init__(self, code=0, message=""):
        super().__init__(code, message)


class Fussy(Exception):
    """Cannot be made of a text."""

    def __init__(self, a, b):
        super().__init__(a, b)


@pytest.mark.parametrize(("kind", "raised"), [(Coded, Coded), (Fussy, RuntimeError)])
def test_errors_that_are_made_otherwise(kind, raised):
    class Raises(Rows):
        def __getitem__(self, i):
            raise kind(1, "the text")

    text = error_of(DataLoader(Raises(), 8, num_workers=1), raised)
    assert f"Caught {kind.__name__} in DataLoader worker process 0" in text


class KillsItself(Rows):
    """The first fetch of sample 11 kills its worker; a file remembers that it happened."""

    def __init__(self, marker):
        self.marker = marker

    def __getitem__(self, i):
        if i == 11 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


@pytest.mark.fault
@pytest.mark.parametrize("workers", [1, 3])
def test_a_killed_worker_costs_one_warning(workers, tmp_path):
    loader = DataLoader(KillsItself(tmp_path / "killed"), 8, num_workers=workers)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert flat(loader) == list(range(N))
    lost = [str(w.message) for w in seen if "was lost" in str(w.message)]
    assert len(lost) == 1
    assert "SIGKILL" in lost[0]


@pytest.mark.fault
def test_a_sample_that_kills_every_worker_is_named():
    class Deadly(Rows):
        def __getitem__(self, i):
            os._exit(9) if i == 5 else None
            return super().__getitem__(i)

    with (
        warnings.catch_warnings(),
        pytest.raises(RuntimeError, match=r"exited unexpectedly.*status 9"),
    ):
        warnings.simplefilter("ignore")
        list(DataLoader(Deadly(), 4, num_workers=1))


class Stuck(Rows):
    def __getitem__(self, i):
        signal.pause()


def test_timeout_and_abandoned_workers_end():
    iterator = iter(DataLoader(Stuck(), 4, num_workers=2, timeout=0.2))
    processes = [member.process for member in iterator._pool._members]
    sentinels = [os.pidfd_open(p.pid) for p in processes]
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0.2 seconds"):
        next(iterator)
    del iterator
    gc.collect()
    for pidfd in sentinels:
        assert __import__("select").select([pidfd], [], [], 5)[0], "a worker is still there"
        os.close(pidfd)


def test_worker_seeds_differ_between_workers_and_epochs():
    class Draws(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return [np.random.random(), torch.rand(1).item(), get_worker_info().id]

    torch.manual_seed(0)
    loader = DataLoader(Draws(), 1, num_workers=2)
    drawn = [tuple(x.item() for x in sample) for _ in range(2) for sample in loader]
    assert len({d[0] for d in drawn}) == len({d[1] for d in drawn}) == 8
    torch.manual_seed(0)
    assert [tuple(x.item() for x in s) for s in loader] == drawn[:4]


REFUSED = [
    (dict(num_workers=-1), ValueError, "num_workers option should be non-negative"),
    (dict(timeout=-1), ValueError, "timeout option should be non-negative"),
    (dict(prefetch_factor=2), ValueError, "prefetch_factor option could only be specified"),
    (dict(persistent_workers=True), ValueError, "persistent_workers option needs num_workers > 0"),
    (dict(sampler=[0], shuffle=True), ValueError, "sampler option is mutually exclusive with"),
    (dict(batch_sampler=[[0]], batch_size=2), ValueError, "batch_sampler option is mutually"),
    (dict(batch_size=None, drop_last=True), ValueError, "batch_size=None option disables"),
    (dict(batch_size=0), ValueError, "batch_size should be a positive integer value"),
]


@pytest.mark.parametrize(("arguments", "kind", "text"), REFUSED)
def test_misuse_is_refused(arguments, kind, text):
    with pytest.raises(kind, match=text):
        DataLoader(Rows(), **arguments)


def test_no_prefetching_is_refused():
    with pytest.raises(AssertionError, match="prefetch_factor must be greater than 0"):
        iter(DataLoader(Rows(), num_workers=1, prefetch_factor=0))


def test_streams_refuse_an_order():
    with pytest.raises(ValueError, match="expected unspecified shuffle option"):
        DataLoader(Stream(), shuffle=True)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("pad", [True, False])
def test_distributed_sampler_shares_out_every_index(world_size, drop_last, pad):
    shares = [
        list(DistributedSampler(range(N), world_size, r, seed=3, drop_last=drop_last, pad=pad))
        for r in range(world_size)
    ]
    seen = collections.Counter(i for share in shares for i in share)
    if drop_last:
        assert len(seen) == N // world_size * world_size == sum(seen.values())
    else:
        assert set(seen) == set(range(N))
        assert sum(seen.values()) == (-(-N // world_size) * world_size if pad else N)
    if pad or drop_last:
        assert len({len(s) for s in shares}) == 1


def test_distributed_sampler_reorders_each_epoch():
    sampler = DistributedSampler(range(N), 2, 0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_batch_sampler_groups():
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
