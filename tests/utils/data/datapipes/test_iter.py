"""Data pipes against the results that PyTorch's documentation and its own pipes give."""

import random

import pytest

from disttorch.utils.data import DataLoader, IterDataPipe, MapDataPipe, functional_datapipe
from disttorch.utils.data import datapipes as ours


def reference(module):
    """A module of PyTorch's; the test is skipped without."""
    return pytest.importorskip(module, reason="torch is not installed")


N = 10


def even(x):
    return x % 2 == 0


def double(x):
    return 2 * x


def listed(x):
    return x.tolist()


def parity(x):
    return x % 2


def streams(pipes):
    return pipes.iter.IterableWrapper(range(N))


def pairs(pipes):
    return pipes.iter.IterableWrapper([(i, i + 1, "x") for i in range(4)])


def words(pipes):
    return pipes.iter.IterableWrapper(["a", "bb", "cc", "d", "ee", "fff", "g"])


ITER = {
    "wrap": streams,
    "map": lambda p: streams(p).map(double),
    "map column": lambda p: pairs(p).map(double, input_col=0),
    "map columns": lambda p: pairs(p).map(max, input_col=[0, 1]),
    "map to column": lambda p: pairs(p).map(double, input_col=0, output_col=2),
    "map appended": lambda p: pairs(p).map(double, input_col=0, output_col=-1),
    "filter": lambda p: streams(p).filter(even),
    "filter column": lambda p: pairs(p).filter(even, input_col=1),
    "batch": lambda p: streams(p).batch(4),
    "batch dropped": lambda p: streams(p).batch(4, drop_last=True),
    "unbatch": lambda p: streams(p).batch(2).batch(2).unbatch(2),
    "unbatch all": lambda p: streams(p).batch(2).batch(2).unbatch(-1),
    "collate": lambda p: streams(p).batch(4).collate().map(listed),
    "concat": lambda p: streams(p).concat(streams(p)),
    "mux": lambda p: streams(p).mux(words(p)),
    "zip": lambda p: streams(p).zip(words(p)),
    "group": lambda p: words(p).groupby(len),
    "group sizes": lambda p: words(p).groupby(len, group_size=2, keep_key=True),
    "group small buffer": lambda p: words(p).groupby(len, buffer_size=3),
    "shard": lambda p: streams(p).sharding_filter(),
    "shuffle": lambda p: streams(p).shuffle(buffer_size=4).set_seed(3),
    "shuffle off": lambda p: streams(p).shuffle().set_shuffle(False),
    "sampler": lambda p: p.iter.Sampler(streams(p)),
    "fork": lambda p: p.iter.Zipper(*streams(p).fork(3)),
    "fork in turn": lambda p: p.iter.Concater(*streams(p).fork(2)),
    "demux": lambda p: p.iter.Zipper(*streams(p).demux(2, parity)),
}
MAPS = {
    "wrap": lambda p: p.map.SequenceWrapper(range(N)),
    "map": lambda p: p.map.SequenceWrapper(range(N)).map(double),
    "concat": lambda p: p.map.SequenceWrapper("ab").concat(p.map.SequenceWrapper("cd")),
    "zip": lambda p: p.map.SequenceWrapper("ab").zip(p.map.SequenceWrapper(range(N))),
    "batch": lambda p: p.map.SequenceWrapper(range(N)).batch(4),
    "batch dropped": lambda p: p.map.SequenceWrapper(range(N)).batch(4, drop_last=True),
}
EXPECTED = {
    "map": [2 * i for i in range(N)],
    "filter": [0, 2, 4, 6, 8],
    "batch": [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]],
    "zip": list(zip(range(N), ["a", "bb", "cc", "d", "ee", "fff", "g"], strict=False)),
    "group": [["a", "d", "g"], ["bb", "cc", "ee"], ["fff"]],
    "demux": [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_streams(name):
    pipe = ITER[name](ours)
    assert list(pipe) == EXPECTED[name]
    assert list(pipe) == EXPECTED[name]  # again


@pytest.mark.parity
@pytest.mark.parametrize("name", ITER)
def test_streams_are_pytorchs(name):
    theirs = reference("torch.utils.data.datapipes")
    assert list(ITER[name](ours)) == list(ITER[name](theirs))


@pytest.mark.parity
@pytest.mark.parametrize("name", MAPS)
def test_maps_are_pytorchs(name):
    theirs, mine = MAPS[name](reference("torch.utils.data.datapipes")), MAPS[name](ours)
    assert len(mine) == len(theirs)
    assert [mine[i] for i in range(len(mine))] == [theirs[i] for i in range(len(theirs))]
    assert isinstance(mine, MapDataPipe)


def test_a_newer_iterator_ends_the_older():
    pipe = streams(ours).map(double)
    first = iter(pipe)
    assert next(first) == 0
    assert next(iter(pipe)) == 0
    with pytest.raises(RuntimeError, match="This iterator has been invalidated"):
        next(first)


def test_files(tmp_path):
    for name in ("b.txt", "a.txt", "c.bin"):
        (tmp_path / name).write_text(name)
    paths = ours.iter.FileLister(str(tmp_path), "*.txt")
    assert [text for _, text in paths.open_files().read_from_stream()] == ["a.txt", "b.txt"]


def test_names_become_methods_once():
    @functional_datapipe("plus_one_of_tests")
    class PlusOne(IterDataPipe):
        def __init__(self, source):
            self.source = source

        def __iter__(self):
            return (x + 1 for x in self.source)

    try:
        assert list(streams(ours).plus_one_of_tests()) == list(range(1, N + 1))
        with pytest.raises(Exception, match="already taken"):
            functional_datapipe("plus_one_of_tests")(PlusOne)
    finally:
        del IterDataPipe.functions["plus_one_of_tests"]


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_share_a_stream_out(workers):
    pipe = streams(ours).sharding_filter().map(double)
    batches = list(DataLoader(pipe, 3, num_workers=workers))
    assert sorted(i for b in batches for i in b.tolist()) == [2 * i for i in range(N)]


def test_shuffling_loaders_shuffle_the_pipe():
    random.seed(0)
    pipe = streams(ours).shuffle()
    shuffled = [b.item() for b in DataLoader(pipe, shuffle=True)]
    assert sorted(shuffled) == list(range(N))
    assert shuffled != list(range(N))
    assert [b.item() for b in DataLoader(pipe, shuffle=False)] == list(range(N))


BAD = [
    (lambda: streams(ours).batch(0), AssertionError, "larger than 0"),
    (lambda: streams(ours).fork(0), ValueError, "Expected `num_instances` larger than 0"),
    (lambda: streams(ours).shuffle(buffer_size=0), AssertionError, "larger than 0"),
    (lambda: list(streams(ours).filter(parity)), ValueError, "Boolean output is required"),
    (ours.iter.Concater, ValueError, "Expected at least one DataPipe"),
    (lambda: ours.iter.Zipper([1]), TypeError, "All inputs are required to be `IterDataPipe`"),
    (lambda: len(streams(ours).filter(even)), TypeError, "has no len"),
    (lambda: streams(ours).nothing, AttributeError, "has no attribute 'nothing'"),
]


@pytest.mark.parametrize(("call", "kind", "text"), BAD)
def test_misuse_is_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
