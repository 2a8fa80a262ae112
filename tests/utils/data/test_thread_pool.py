import gc
import threading

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

N = 23


class Numbers(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return torch.tensor([i, i + 0.5]), i, f"n{i}"


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        yield from range(info.id, N, info.num_workers)


def threads(dataset, batch_size=4, **options):
    options = {"num_workers": 2, **options}
    return DataLoader(dataset, batch_size, worker_method="thread", **options)


def described(batch):
    rows, numbers, names = batch
    return rows.tolist(), numbers.tolist(), list(names)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_those_of_no_workers(workers):
    expected = [described(b) for b in DataLoader(Numbers(), 4)]
    assert [described(b) for b in threads(Numbers(), num_workers=workers)] == expected


def test_streams_are_read_by_every_thread():
    assert sorted(i for b in threads(Stream()) for i in b.tolist()) == list(range(N))


def test_nothing_is_copied_or_pickled():
    class Unpicklable(Numbers):
        def __init__(self):
            self.lock = threading.Lock()
            self.seen = set()

        def __getitem__(self, i):
            with self.lock:
                self.seen.add(i)
            return i

    data = Unpicklable()
    assert len(list(threads(data))) == 6
    assert data.seen == set(range(N))


def test_each_thread_has_generators_of_its_own():
    class Draws(Numbers):
        def __getitem__(self, i):
            info = get_worker_info()
            rng = info.rng
            torch_draw = torch.rand(1, generator=rng.torch_generator).item()
            draws = rng.random_generator.random(), rng.numpy_generator.random(), torch_draw
            return np.array([info.id, *draws])

    def drawn():
        torch.manual_seed(3)
        loader = threads(Draws(), 1, worker_init_fn=lambda i: None)
        return [b.flatten().tolist() for b in loader]

    first = drawn()
    assert drawn() == first
    assert len({x for row in first for x in row[1:]}) == 3 * N
    assert get_worker_info() is None


def test_errors_name_the_thread_and_the_samples():
    class Bad(Numbers):
        def __getitem__(self, i):
            if i == 9:
                raise KeyError("nine")
            return i

    iterator = iter(threads(Bad()))
    next(iterator), next(iterator)
    try:
        next(iterator)
        raise AssertionError("no error")
    except KeyError as error:
        assert "Caught KeyError in DataLoader worker thread 0" in str(error)
        assert "[8, 9, 10, 11]" in str(error)
    assert next(iterator).tolist() == [12, 13, 14, 15]


def test_threads_end_with_an_abandoned_pass():
    before = threading.active_count()
    iterator = iter(threads(Numbers()))
    next(iterator)
    assert threading.active_count() == before + 2
    del iterator
    gc.collect()
    assert threading.active_count() == before


def test_persistent_threads_serve_all_passes():
    loader = threads(Numbers(), persistent_workers=True)
    expected = [described(b) for b in DataLoader(Numbers(), 4)]
    for _ in range(3):
        assert [described(b) for b in loader] == expected
    loader._iterator.close()


def test_a_stuck_thread_times_out():
    gate = threading.Event()

    class Stuck(Numbers):
        def __getitem__(self, i):
            gate.wait()

    iterator = iter(threads(Stuck(), timeout=0.1))
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.1 seconds"):
        next(iterator)
    gate.set()


def test_other_methods_are_refused():
    with pytest.raises(ValueError, match="worker_method should be"):
        DataLoader(Numbers(), num_workers=1, worker_method="greenlet")
