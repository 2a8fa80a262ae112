"""Going on in the middle of a pass: the rest is what an uninterrupted pass would have given."""

import pickle
import random

import pytest

import disttorch as torch
from disttorch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    ShardedDataset,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
)

N = 53


class FromPython(Sampler):
    def __len__(self):
        return N

    def __iter__(self):
        return iter(random.sample(range(N), N))


class Restless(RandomSampler):
    """Draws when it is asked for an iterator, not at the first index."""

    def __iter__(self):
        return iter(list(super().__iter__()))


def numbers():
    return TensorDataset(torch.arange(N))


def generator():
    return torch.Generator().manual_seed(4)


SAMPLERS = {
    "shuffle": lambda: dict(shuffle=True),
    "sequential": dict,
    "generator": lambda: dict(shuffle=True, generator=generator()),
    "weighted": lambda: dict(sampler=WeightedRandomSampler([1.0] * N, 70)),
    "replaced": lambda: dict(sampler=RandomSampler(range(N), True, 80)),
    "own generator": lambda: dict(sampler=RandomSampler(range(N), generator=generator())),
    "python": lambda: dict(sampler=FromPython()),
    "restless": lambda: dict(sampler=Restless(range(N))),
    "batches": lambda: dict(batch_sampler=BatchSampler(RandomSampler(range(N)), 5, False)),
    "lists": lambda: dict(batch_sampler=[[i, i + 1] for i in range(30)]),
}


def indices(batches):
    return [i for batch in batches for i in batch[0].tolist()]


def interrupted(loader, n_batches):
    """Indices of the first batches of a pass, and the state then, as it comes back from a file."""
    iterator = iter(loader)
    taken = [i for _ in range(n_batches) for i in next(iterator)[0].tolist()]
    state = pickle.loads(pickle.dumps(loader.state_dict()))
    del iterator
    return taken, state


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 0), (0, 1), (2, 3)])
def test_the_rest_of_a_pass(name, before, after):
    options = {} if name in {"batches", "lists"} else {"batch_size": 5}
    torch.manual_seed(1)
    random.seed(1)
    whole = indices(DataLoader(numbers(), **options, **SAMPLERS[name]()))
    torch.manual_seed(1)
    random.seed(1)
    loader = DataLoader(numbers(), num_workers=before, **options, **SAMPLERS[name]())
    taken, state = interrupted(loader, 4)
    torch.manual_seed(99)
    random.seed(99)
    resumed = DataLoader(numbers(), num_workers=after, **options, **SAMPLERS[name]())
    resumed.load_state_dict(state)
    assert taken + indices(resumed) == whole


def test_another_batch_size():
    torch.manual_seed(1)
    taken, state = interrupted(DataLoader(numbers(), 5, shuffle=True), 3)
    torch.manual_seed(1)
    whole = indices(DataLoader(numbers(), 5, shuffle=True))
    loader = DataLoader(numbers(), 8, shuffle=True, num_workers=1)
    loader.load_state_dict(state)
    assert taken + indices(loader) == whole


def test_twice_in_one_pass():
    torch.manual_seed(1)
    whole = indices(DataLoader(numbers(), 4, shuffle=True))
    torch.manual_seed(1)
    taken, state = interrupted(DataLoader(numbers(), 4, shuffle=True), 2)
    for workers in (2, 1, 0):
        loader = DataLoader(numbers(), 4, shuffle=True, num_workers=workers)
        loader.load_state_dict(state)
        more, state = interrupted(loader, 3)
        taken += more
    loader = DataLoader(numbers(), 4, shuffle=True)
    loader.load_state_dict(state)
    assert taken + indices(loader) == whole


@pytest.mark.parametrize("workers", [0, 2])
def test_later_passes_follow_with_a_generator(workers):
    def loader():
        persistent = dict(persistent_workers=True) if workers else {}
        return DataLoader(
            numbers(), 5, shuffle=True, generator=generator(), num_workers=workers, **persistent
        )

    straight = loader()
    passes = [indices(straight) for _ in range(4)]
    if workers:
        straight._iterator.close()
    first = loader()
    assert indices(first) == passes[0]
    taken, state = interrupted(first, 3)
    if workers:
        first._iterator.close()
    resumed = loader()
    resumed.load_state_dict(state)
    assert taken + indices(resumed) == passes[1]
    assert [indices(resumed) for _ in range(2)] == passes[2:]
    if workers:
        resumed._iterator.close()


def test_a_finished_pass_is_followed_by_the_next():
    loader = DataLoader(numbers(), 5, shuffle=True, generator=generator())
    indices(loader)
    state = loader.state_dict()
    second = indices(loader)
    resumed = DataLoader(numbers(), 5, shuffle=True, generator=generator())
    resumed.load_state_dict(state)
    assert indices(resumed) == second


def test_the_default_generator_stays_the_users():
    loader = DataLoader(numbers(), 5, shuffle=True)
    _, state = interrupted(loader, 2)
    torch.manual_seed(77)
    expected = torch.rand(1).item()
    torch.manual_seed(77)
    resumed = DataLoader(numbers(), 5, shuffle=True)
    resumed.load_state_dict(state)
    iterator = iter(resumed)
    assert torch.rand(1).item() == expected
    next(iterator)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2), (2, 3)])
@pytest.mark.parametrize("wrapped", [False, True])
def test_another_number_of_ranks(before, after, wrapped):
    def loader(rank, world_size, batch_size):
        order = dict(sampler=RandomSampler(range(N))) if wrapped else dict(dataset=range(N), seed=3)
        sampler = DistributedSampler(num_replicas=world_size, rank=rank, pad=False, **order)
        sampler.set_epoch(2)
        return DataLoader(numbers(), batch_size, sampler=sampler)

    parts = [interrupted(loader(r, before, 4), 3) for r in range(before)]
    states = [state for _, state in parts]
    assert all(s["sampler"] == states[0]["sampler"] for s in states)
    seen = [i for taken, _ in parts for i in taken]
    resumed = [loader(r, after, 3) for r in range(after)]
    for r, one in enumerate(resumed):
        one.load_state_dict(states[r % before])
    seen += [i for one in resumed for i in indices(one)]
    assert sorted(seen) == list(range(N))
    again = [i for one in resumed for i in indices(one)]  # the next pass is whole
    assert sorted(again) == list(range(N))


class Stream(IterableDataset):
    """Sharded by itself: worker k of n yields k, k + n, ..."""

    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter([torch.tensor([i]) for i in range(first, N, step)])


def flat(batches):
    return [i for batch in batches for i in batch.flatten().tolist()]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("n_batches", [1, 4, 9])
def test_streams_with_the_same_workers(workers, n_batches):
    whole = flat(DataLoader(Stream(), 4, num_workers=workers))
    loader = DataLoader(Stream(), 4, num_workers=workers)
    iterator = iter(loader)
    taken = flat(next(iterator) for _ in range(n_batches))
    state = loader.state_dict()
    del iterator
    resumed = DataLoader(Stream(), 4, num_workers=workers)
    resumed.load_state_dict(state)
    assert taken + flat(resumed) == whole
    assert flat(resumed) == whole


def test_streams_with_other_workers_are_refused():
    loader = DataLoader(Stream(), 4, num_workers=2)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    del iterator
    with pytest.raises(ValueError, match=r"read by 2 workers.*ShardedDataset"):
        DataLoader(Stream(), 4, num_workers=1).load_state_dict(state)


class Counting(IterableDataset):
    """Knows its own position."""

    def __init__(self):
        self.position = 0

    def __iter__(self):
        info = get_worker_info()
        step = info.num_workers if info else 1
        mine = range(info.id if info else 0, N, step)
        while self.position < len(mine):
            self.position += 1
            yield mine[self.position - 1]
        self.position = 0

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


@pytest.mark.parametrize("method", ["multiprocessing", "thread"])
@pytest.mark.parametrize("workers", [0, 2])
def test_stateful_streams_are_told_their_position(workers, method):
    def loader():
        return DataLoader(Counting(), 4, num_workers=workers, worker_method=method)

    whole = flat(loader())
    first = loader()
    iterator = iter(first)
    taken = flat(next(iterator) for _ in range(5))
    state = first.state_dict()
    assert state["dataset_states"][0] == {"position": 12 if workers else 20}
    del iterator
    resumed = loader()
    resumed.load_state_dict(state)
    assert taken + flat(resumed) == whole


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("method", ["multiprocessing", "thread"])
def test_stateful_streams_that_start_over_at_their_end_repeat_nothing(batch_size, workers, method):
    def loader():
        kind = {"num_workers": workers, "worker_method": method}
        return DataLoader(Counting(), batch_size, **kind)

    def values(batches):
        return [i for b in batches for i in (flat([b]) if batch_size else [b])]

    whole = values(loader())
    n_batches = len(list(loader()))
    for n_taken in range(n_batches - workers, n_batches + 1):
        first = loader()
        iterator = iter(first)
        taken = values(next(iterator) for _ in range(n_taken))
        state = pickle.loads(pickle.dumps(first.state_dict()))
        del iterator
        resumed = loader()
        resumed.load_state_dict(state)
        assert taken + values(resumed) == whole
        assert values(resumed) == whole  # the next pass is whole


class Numbers(IterableDataset):
    def __iter__(self):
        return iter(range(N))

    def __len__(self):
        return N


@pytest.mark.parametrize("readers", [(2, 0, 3), (0, 2, 1), (3, 3, 2)])
def test_shared_out_streams_go_on_with_other_workers(readers):
    state, seen = None, []
    for workers in readers:
        loader = DataLoader(ShardedDataset(Numbers()), 3, num_workers=workers)
        if state is not None:
            loader.load_state_dict(state)
        iterator = iter(loader)
        seen += flat(next(iterator) for _ in range(4))
        state = loader.state_dict()
        del iterator
    loader = DataLoader(ShardedDataset(Numbers()), 3, num_workers=2, persistent_workers=True)
    loader.load_state_dict(state)
    seen += flat(loader)
    assert sorted(seen) == list(range(N))
    assert sorted(flat(loader)) == list(range(N))  # the next pass is whole
    loader._iterator.close()


@pytest.mark.parametrize(("before", "after"), [(1, 2), (3, 2)])
def test_shared_out_streams_go_on_with_other_ranks(before, after, monkeypatch):
    def loader(rank, world_size, workers):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(world_size))
        return DataLoader(ShardedDataset(Numbers()), 2, num_workers=workers)

    seen, states = [], []
    for rank in range(before):
        first = loader(rank, before, 1)
        iterator = iter(first)
        seen += flat(next(iterator) for _ in range(3))
        states.append(first.state_dict())
        del iterator
    for rank in range(after):
        resumed = loader(rank, after, 2)
        resumed.load_state_dict(states[0])
        seen += flat(resumed)
    assert sorted(seen) == list(range(N))


def test_out_of_order_batches_are_not_repeated():
    loader = DataLoader(numbers(), 2, num_workers=2, in_order=False)
    iterator = iter(loader)
    taken = [i for _ in range(7) for i in next(iterator)[0].tolist()]
    state = loader.state_dict()
    del iterator
    resumed = DataLoader(numbers(), 2, num_workers=1, in_order=False)
    resumed.load_state_dict(state)
    assert sorted(taken + indices(resumed)) == list(range(N))


def test_other_states_are_refused():
    with pytest.raises(ValueError, match="not a state of a DataLoader"):
        DataLoader(numbers()).load_state_dict({"epoch": 3})


class Remembering(torch.utils.data.Dataset):
    """A map-style dataset with a state: how many samples were asked of this copy."""

    n_asked = 0

    def __len__(self):
        return N

    def __getitem__(self, index):
        self.n_asked += 1
        return torch.tensor([index, self.n_asked])

    def state_dict(self):
        return {"n_asked": self.n_asked}

    def load_state_dict(self, state):
        self.n_asked = state["n_asked"]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_map_style_datasets_are_told_their_state(workers):
    def rows(batches):
        return [row for batch in batches for row in batch.tolist()]

    def loader(n_workers=workers):
        return DataLoader(Remembering(), 4, num_workers=n_workers)

    whole = rows(loader())
    first = loader()
    iterator = iter(first)
    taken = rows(next(iterator) for _ in range(5))
    state = pickle.loads(pickle.dumps(first.state_dict()))
    del iterator
    resumed = loader()
    resumed.load_state_dict(state)
    assert taken + rows(resumed) == whole
    with pytest.raises(ValueError, match=rf"{max(1, workers)} cop.*num_workers={max(1, workers)}"):
        loader(3).load_state_dict(state)


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 0), (0, 2), (3, 1)])
def test_threads_share_the_state_of_a_map_style_dataset(before, after):
    def loader(n_workers, **kind):
        return DataLoader(Remembering(), 4, num_workers=n_workers, **kind)

    first = loader(before, worker_method="thread")
    iterator = iter(first)
    for _ in range(2):
        next(iterator)
    state = first.state_dict()
    n_asked = state["dataset_states"][0]["n_asked"]
    assert n_asked >= 4  # that of one of the first two batches, by different threads
    del iterator
    resumed = loader(after, worker_method="thread" if after != 1 else "multiprocessing")
    resumed.load_state_dict(state)
    assert resumed.state_dict()["dataset_states"] == {} and n_asked  # no pass has begun
    iterator = iter(resumed)
    assert resumed.state_dict()["dataset_states"] == state["dataset_states"]
    assert next(iterator)[:, 1].min() > n_asked
    del iterator
    if before > 1:
        with pytest.raises(ValueError, match="1 copy of it"):
            loader(2).load_state_dict(state)


class Unguarded(IterableDataset):
    """Its state is not a copy: it changes as samples are read."""

    def __init__(self):
        self.state = {"position": 0}

    def __iter__(self):
        while self.state["position"] < N:
            self.state["position"] += 1
            yield self.state["position"] - 1

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


@pytest.mark.parametrize("method", [None, "multiprocessing", "thread"])
def test_states_are_those_of_the_batch_also_if_the_dataset_goes_on_with_them(method):
    kinds = {} if method is None else {"worker_method": method, "num_workers": 1}
    kinds |= {} if method is None else {"prefetch_factor": 8}
    loader = DataLoader(Unguarded(), 2, **kinds)
    iterator = iter(loader)
    delivered = [i for _ in range(5) for i in next(iterator).tolist()]
    state = loader.state_dict()
    assert delivered + [i for b in iterator for i in b.tolist()] == list(range(N))
    for _ in range(2):  # nor does going on from it change it
        resumed = DataLoader(Unguarded(), 2, **kinds)
        resumed.load_state_dict(state)
        assert [i for b in resumed for i in b.tolist()] == list(range(10, N))
