import gc
import os
import pickle
from collections import namedtuple

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    default_collate_fn_map,
    get_worker_info,
    lookahead,
)
from disttorch.utils.data.multiprocess import split_rows

N = 24


@pytest.mark.parametrize(
    ("n_rows", "max_parts", "expected"),
    [(8, 2, [0, 4, 8]), (7, 2, [0, 7]), (0, 3, [0, 0]), (13, 3, [0, 4, 8, 13]), (1, 1, [0, 1])],
)
def test_split_rows(n_rows, max_parts, expected):
    assert split_rows(n_rows, max_parts) == expected


class Made(Dataset):
    """`make(i)` is sample i."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return N

    def __getitem__(self, i):
        return self.make(i)


SAMPLES = {
    "numbers of two types": lambda i: i if i < 7 else i + 0.5,
    "mixed dtypes": lambda i: torch.ones(2, dtype=torch.float64 if i > 20 else torch.float32),
    "strings alone": str,
    "strings beside": lambda i: {"a": str(i), "b": [i, torch.ones(2) * i]},
    "no arrays at all": lambda i: (),
    "0-d tensors": torch.tensor,
    "empty tensors": lambda i: torch.zeros(0, 3),
    "numpy scalars": np.float32,
    "bfloat16": lambda i: torch.ones(3, dtype=torch.bfloat16),
    "lists": lambda i: [[i, i], (i, "x")],
}


def described(batch):
    if isinstance(batch, torch.Tensor):
        return str(batch.dtype), list(batch.shape), batch.float().tolist()
    if isinstance(batch, dict):
        return {k: described(v) for k, v in batch.items()}
    return [described(v) for v in batch] if isinstance(batch, (list, tuple)) else batch


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_those_of_no_workers(name, workers):
    data = Made(SAMPLES[name])
    expected = [described(b) for b in DataLoader(data, 8)]
    assert [described(b) for b in DataLoader(data, 8, num_workers=workers)] == expected


class Dropping(Dataset):
    """`__getitems__` leaves some samples out."""

    def __len__(self):
        return N

    def __getitems__(self, indices):
        return [torch.tensor([i]) for i in indices if i % 3]


def test_fewer_samples_than_asked_for():
    batches = [b.flatten().tolist() for b in DataLoader(Dropping(), 8, num_workers=2)]
    assert batches == [[i for i in range(k, k + 8) if i % 3] for k in range(0, N, 8)]


def test_batch_samplers_may_yield_anything_iterable():
    loader = DataLoader(
        Made(int),
        batch_sampler=[(0, 1), range(2, 9), torch.tensor([3])],
        num_workers=2,
    )
    assert [b.tolist() for b in loader] == [[0, 1], list(range(2, 9)), [3]]


@pytest.mark.parametrize("workers", [0, 1])
def test_unbatched_indices_are_passed_as_they_are(workers):
    loader = DataLoader(Made(str), batch_size=None, sampler=[[1, 2], 3], num_workers=workers)
    assert list(loader) == ["[1, 2]", "3"]


def test_registered_types_are_collated_as_whole_batches(monkeypatch):
    def keep(batch, *, collate_fn_map):
        return list(batch)

    monkeypatch.setitem(default_collate_fn_map, complex, keep)
    loader = DataLoader(Made(complex), 8, num_workers=2)
    assert [len(b) for b in loader] == [8, 8, 8]


def test_tasks_larger_than_a_socket_do_not_block():
    """Both sides have more to send than a socket holds, before there are slots."""
    big = np.zeros(300_000, np.int8)
    loader = DataLoader(
        Made(lambda i: big),
        batch_sampler=[[k % N for k in range(40_000)], *([[0]] * 3)],
        num_workers=1,
        collate_fn=lambda samples: [samples[0], os.urandom(1 << 20)],
        timeout=30,
    )
    assert len(list(loader)) == 4


class Uneven(IterableDataset):
    """Worker k of n yields k + 1 numbers."""

    def __iter__(self):
        worker = get_worker_info().id
        return iter([10 * worker + i for i in range(worker + 1)])


def test_the_order_of_streams_is_that_of_torch():
    for _ in range(3):
        batches = [b.tolist() for b in DataLoader(Uneven(), 1, num_workers=3)]
        assert batches == [[0], [10], [20], [11], [21], [22]]


def test_out_of_order_batches_all_come():
    loader = DataLoader(Made(lambda i: i), 4, num_workers=3, in_order=False)
    assert sorted(i for b in loader for i in b.tolist()) == list(range(N))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_costs_one_batch(workers):
    def make(i):
        if i == 5:
            raise ValueError("five")
        return i

    iterator = iter(DataLoader(Made(make), 4, num_workers=workers))
    assert next(iterator).tolist() == [0, 1, 2, 3]
    try:
        next(iterator)
        raise AssertionError("no error")
    except ValueError as error:
        assert "five" in str(error)
    assert next(iterator).tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_dataset_that_raises_stopiteration_does_not_end_the_pass(workers):
    def make(i):
        return next(iter(()))

    try:
        list(DataLoader(Made(make), 4, num_workers=workers))
        raise AssertionError("no error")
    except RuntimeError as error:
        assert "the dataset raised StopIteration" in str(error)


def test_persistent_workers_take_seeds_of_their_own_each_pass():
    torch.manual_seed(0)
    loader = DataLoader(Made(lambda i: torch.rand(1)), 8, num_workers=1, persistent_workers=True)
    passes = [tuple(x for b in loader for x in b.flatten().tolist()) for _ in range(3)]
    assert len(set(passes)) == 3
    state = torch.get_rng_state().tolist()
    list(loader)
    assert torch.get_rng_state().tolist() == state  # as in PyTorch, drawn from once
    loader._iterator.close()


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_fifty_epochs_leave_nothing_behind():
    loader = DataLoader(
        Made(lambda i: torch.ones(20_000)), 8, num_workers=2, persistent_workers=True
    )

    def counts():
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    for epoch in range(50):
        for batch in loader:
            del batch
        if epoch == 4:
            before, memory = counts(), resident()
    assert counts() == before
    assert resident() - memory < 4 << 20
    loader._iterator.close()


class Named(Dataset):
    """Strings in the places where collating leaves a tuple, and where it leaves a list."""

    def __len__(self):
        return 21

    def __getitem__(self, i):
        if i == 20:
            raise KeyError("no such name")
        return i, f"n{i}", {"name": f"m{i}", "x": [float(i), b"b"]}


@pytest.mark.parametrize("workers", [1, 2])
def test_columns_of_strings_are_what_they_are_without_workers(workers):
    some = Subset(Named(), range(20))
    batches = list(DataLoader(some, 10, num_workers=workers))
    assert repr(batches) == repr(list(DataLoader(some, 10)))
    assert [type(column) for column in batches[0]] == [torch.Tensor, tuple, dict]


def test_errors_of_workers_begin_as_pytorchs_do():
    # The text as it is: the shorter form of a KeyError would show its line breaks escaped.
    lines = (
        r"^Caught KeyError in DataLoader worker process 0\.\n"
        r"\(while fetching indices \[14, 15, 16, 17, 18, 19, 20\]\)\n"
        r"Original Traceback \(most recent call last\)"
    )
    with pytest.raises(KeyError, match=lines):
        list(DataLoader(Named(), 7, num_workers=1))


class Numbers(IterableDataset):
    def __len__(self):
        return 2

    def __iter__(self):
        return iter(range(4))


@pytest.mark.parametrize("workers", [0, 1])
def test_warnings_point_at_the_line_that_asked_for_a_batch(workers):
    loader = DataLoader(Numbers(), None, num_workers=workers)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="Length of IterableDataset") as seen:
        list(loader)
    assert {w.filename for w in seen} == {__file__}


@pytest.mark.parametrize("workers", [0, 1])
def test_numbers_that_are_too_large_are_refused_as_without_workers(workers):
    with pytest.raises(ValueError, match="Overflow when unpacking long"):
        list(DataLoader([0, 2**64], 2, num_workers=workers))


class Truncated(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        raise EOFError("Ran out of input")


@pytest.mark.parametrize("collate", [None, list])
def test_an_eof_error_of_the_first_sample_is_the_datasets(collate):
    with pytest.raises(EOFError, match=r"(?s)DataLoader worker process 0.*Ran out of input"):
        next(iter(DataLoader(Truncated(), 4, num_workers=2, collate_fn=collate)))


def local_pair():
    return namedtuple("LocalPair", "first second")


@pytest.mark.parametrize("collate", [None, list])
def test_batches_that_cannot_be_pickled_are_an_error_of_that_batch(collate):
    pair = local_pair()  # its class is found nowhere
    data = Made(lambda i: pair("a", "b") if i == 9 else ("c", "d"))
    iterator = iter(DataLoader(data, 1, num_workers=1, collate_fn=collate))
    outcomes = []
    for _ in range(N):
        try:
            outcomes.append(len(next(iterator)))
        except pickle.PicklingError as error:
            outcomes.append("LocalPair" in str(error))
    assert outcomes == [len(next(iter(DataLoader(data, 1, collate_fn=collate))))] * 9 + [
        True,
        *outcomes[:1] * 14,
    ]


class Answering(IterableDataset):
    """Each sample but the first two waits until the user has had the one before."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def __iter__(self):
        for i in range(6):
            if i >= 2:
                os.read(self.descriptor, 1)
            yield i


def test_samples_may_wait_for_what_is_done_with_those_before():
    reader, writer = os.pipe()
    seen = []
    data = Answering(reader)
    for i in DataLoader(data, None, num_workers=1, prefetch_factor=6, timeout=5):
        seen.append(i)
        if i >= 1:
            os.write(writer, b"1")
    assert seen == list(range(6))
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("persistent", [False, True])
def test_forked_copies_of_a_used_loader_share_nothing(persistent):
    data = Made(lambda i: torch.full((100,), i))
    loader = DataLoader(data, 2, num_workers=1, persistent_workers=persistent)
    live = iter(loader)
    live.first = next(live)
    kept = loader if persistent else DataLoader(data, 2, num_workers=1)
    if not persistent:
        list(kept)
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if not persistent:
                    with pytest.raises(RuntimeError, match="after a fork"):
                        list(live)
                seen = [b[:, 0].tolist() for _ in range(20) for b in kept]
                status = int(seen != 20 * [[i, i + 1] for i in range(0, N, 2)])
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert [b[0, 0].item() for b in live] == list(range(2, N, 2))
    live.close()


class ByWhom(Dataset):
    """Samples of half a megabyte, of another length from the tenth batch on, and their worker."""

    def __len__(self):
        return 160

    def __getitem__(self, i):
        return np.zeros((1 << 19) + (i >= 40), np.uint8), get_worker_info().id


def test_who_fetches_a_sample_does_not_depend_on_how_far_ahead_it_is(monkeypatch):
    fetched = []
    for span_s in (0, 1e6):
        monkeypatch.setattr(lookahead, "_SPAN_S", span_s)
        fetched.append([ids.tolist() for _, ids in DataLoader(ByWhom(), 4, num_workers=2)])
    assert fetched[0] == fetched[1]
