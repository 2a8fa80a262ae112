"""The names and signatures of `utils.data` are PyTorch's, and so are batches and refusals."""

import inspect

import pytest

import disttorch
from disttorch.utils import data

reference = pytest.importorskip("torch", reason="torch is not installed")
theirs = pytest.importorskip("torch.utils.data", reason="torch is not installed")
pytestmark = pytest.mark.parity

NAMES = [n for n in dir(theirs) if not n.startswith("__")]
MODULES = ["dataset", "sampler", "distributed", "dataloader", "datapipes.iter", "datapipes.map"]
# Decoding by file name needs a table of decoders of other packages.
LEFT_OUT = {"RoutedDecoder"}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert hasattr(data, name)
    assert name in dir(data)


@pytest.mark.parametrize("module", MODULES)
def test_modules(module):
    original = theirs
    copy = data
    for part in module.split("."):
        original, copy = getattr(original, part), getattr(copy, part)
    public = getattr(original, "__all__", None) or [
        name
        for name, value in vars(original).items()
        if inspect.isclass(value) and value.__module__ == original.__name__ and name[0] != "_"
    ]
    assert set(public) - LEFT_OUT <= set(dir(copy))


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isclass(getattr(theirs, n))])
def test_signatures(name):
    """Parameters, defaults and public attributes; ours may have more keywords at the end."""

    def parameters(kind):
        try:
            found = inspect.signature(kind.__init__).parameters.values()
        except ValueError:
            return []
        return [(p.name, p.kind, str(p.default)) for p in found if p.kind is not p.VAR_KEYWORD]

    original, copy = getattr(theirs, name), getattr(data, name)
    expected = parameters(original)
    if name not in {"_DatasetKind", "Sampler", "DistributedSampler", "random_split"}:
        assert parameters(copy)[: len(expected)] == expected
    # More workers than cores are no reason to warn: ours wait without running.
    mine = {*dir(copy), "multiprocessing_context", "check_worker_number_rationality"}
    assert {n for n in dir(original) if n[0] != "_"} <= mine


def described(batch):
    if hasattr(batch, "tolist"):
        return str(batch.dtype).partition(".")[2], list(batch.shape), batch.tolist()
    if isinstance(batch, dict):
        return {k: described(v) for k, v in batch.items()}
    return [described(v) for v in batch] if isinstance(batch, (list, tuple)) else batch


def rows(torch):
    return torch.utils.data.TensorDataset(torch.arange(46).reshape(23, 2) / 2, torch.arange(23))


class Nested:
    """Samples of many types; `torch` is the package whose tensors they hold."""

    def __init__(self, torch):
        self.torch = torch

    def __len__(self):
        return 23

    def __getitem__(self, i):
        x = self.torch.arange(i, i + 3)
        return {"x": x, "half": x.half(), "y": [i, i / 2, f"n{i}"], "flag": i % 2 == 0, "z": (x, i)}


class Stream:
    def __init__(self, torch):
        class Numbers(torch.utils.data.IterableDataset):
            def __iter__(self):
                info = torch.utils.data.get_worker_info()
                first, step = (0, 1) if info is None else (info.id, info.num_workers)
                return iter(range(first, 23, step))

        self.kind = Numbers


def stream(torch):
    return Stream(torch).kind()


def generator(torch):
    return torch.Generator().manual_seed(5)


def weights():
    return [1.0 + i % 3 for i in range(23)]


LOADERS = {
    "sequential": lambda t, d: dict(dataset=rows(t), batch_size=5),
    "dropped": lambda t, d: dict(dataset=rows(t), batch_size=5, drop_last=True),
    "shuffled": lambda t, d: dict(dataset=rows(t), batch_size=4, shuffle=True),
    "generator": lambda t, d: dict(
        dataset=rows(t), batch_size=4, shuffle=True, generator=generator(t)
    ),
    "nested": lambda t, d: dict(dataset=Nested(t), batch_size=6, shuffle=True),
    "single": lambda t, d: dict(dataset=Nested(t), batch_size=None),
    "weighted": lambda t, d: dict(
        dataset=rows(t), batch_size=7, sampler=d.WeightedRandomSampler(weights(), 30)
    ),
    "replaced": lambda t, d: dict(
        dataset=rows(t), batch_size=7, sampler=d.RandomSampler(range(23), True, 40)
    ),
    "subset": lambda t, d: dict(
        dataset=d.Subset(rows(t), [3, 1, 20, 5]), batch_size=3, shuffle=True
    ),
    "random subset": lambda t, d: dict(
        dataset=rows(t), batch_size=3, sampler=d.SubsetRandomSampler([5, 2, 8, 1])
    ),
    "split": lambda t, d: dict(dataset=d.random_split(rows(t), [0.7, 0.3])[1], batch_size=3),
    "concatenated": lambda t, d: dict(dataset=rows(t) + rows(t), batch_size=8, shuffle=True),
    "stacked": lambda t, d: dict(dataset=d.StackDataset(a=rows(t), b=Nested(t)), batch_size=8),
    "batches": lambda t, d: dict(dataset=rows(t), batch_sampler=[[3, 1], [0], list(range(9))]),
    "distributed": lambda t, d: dict(
        dataset=rows(t), batch_size=3, sampler=d.DistributedSampler(range(23), 3, 1, seed=2)
    ),
    "stream": lambda t, d: dict(dataset=stream(t), batch_size=4),
    "stream dropped": lambda t, d: dict(dataset=stream(t), batch_size=4, drop_last=True),
    "stream of singles": lambda t, d: dict(dataset=stream(t), batch_size=None),
    "chained": lambda t, d: dict(dataset=stream(t) + stream(t), batch_size=5),
}


def passes(torch, name, n=2, **options):
    """Batches of `n` passes after the same seed, and what the generator draws then."""
    torch.manual_seed(11)
    loader = torch.utils.data.DataLoader(**LOADERS[name](torch, torch.utils.data), **options)
    batches = [[described(b) for b in loader] for _ in range(n)]
    return batches, torch.rand(1).item()


@pytest.mark.parametrize("name", LOADERS)
def test_batches(name):
    assert passes(disttorch, name) == passes(reference, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_batches_of_workers(name):
    expected = passes(reference, name, 1, num_workers=2)
    assert passes(disttorch, name, 1, num_workers=1)[1] == expected[1]
    assert passes(disttorch, name, 1, num_workers=2) == expected


def of_none(t, d):
    return [None, None]


REFUSALS = {
    "workers": lambda t, d: d.DataLoader(rows(t), num_workers=-1),
    "timeout": lambda t, d: d.DataLoader(rows(t), timeout=-1),
    "timeout without workers": lambda t, d: list(d.DataLoader(rows(t), timeout=1)),
    "prefetch without workers": lambda t, d: d.DataLoader(rows(t), prefetch_factor=2),
    "prefetch": lambda t, d: d.DataLoader(rows(t), num_workers=1, prefetch_factor=-1),
    "persistent": lambda t, d: d.DataLoader(rows(t), persistent_workers=True),
    "sampler and shuffle": lambda t, d: d.DataLoader(rows(t), sampler=[0], shuffle=True),
    "two batch sizes": lambda t, d: d.DataLoader(rows(t), 2, batch_sampler=[[0]]),
    "two samplers": lambda t, d: d.DataLoader(rows(t), sampler=[0], batch_sampler=[[0]]),
    "dropping of batches": lambda t, d: d.DataLoader(rows(t), drop_last=True, batch_sampler=[[0]]),
    "dropping of singles": lambda t, d: d.DataLoader(rows(t), batch_size=None, drop_last=True),
    "batch size": lambda t, d: d.DataLoader(rows(t), batch_size=0),
    "batch size of a type": lambda t, d: d.DataLoader(rows(t), batch_size=2.5),
    "dropping of a type": lambda t, d: d.BatchSampler([0], 2, 1),
    "context": lambda t, d: d.DataLoader(rows(t), multiprocessing_context="spawn"),
    "no context": lambda t, d: d.DataLoader(rows(t), num_workers=1, multiprocessing_context="x"),
    "other context": lambda t, d: d.DataLoader(rows(t), num_workers=1, multiprocessing_context=3),
    "fixed": lambda t, d: setattr(d.DataLoader(rows(t)), "batch_size", 3),
    "fixed dataset": lambda t, d: setattr(d.DataLoader(rows(t)), "dataset", []),
    "shuffled stream": lambda t, d: d.DataLoader(stream(t), shuffle=True),
    "sampled stream": lambda t, d: d.DataLoader(stream(t), sampler=[0]),
    "stream by batches": lambda t, d: d.DataLoader(stream(t), batch_sampler=[[0]]),
    "length of a stream": lambda t, d: len(d.DataLoader(stream(t))),
    "random of nothing": lambda t, d: d.DataLoader([], shuffle=True),
    "no samples": lambda t, d: d.RandomSampler(range(3), num_samples=0),
    "replacement": lambda t, d: d.RandomSampler(range(3), replacement=2),
    "weights": lambda t, d: d.WeightedRandomSampler([[1.0]], 2),
    "weights' replacement": lambda t, d: d.WeightedRandomSampler([1.0], 2, replacement=1),
    "weighted samples": lambda t, d: d.WeightedRandomSampler([1.0], 0),
    "split": lambda t, d: d.random_split(rows(t), [1, 2]),
    "fractions": lambda t, d: d.random_split(rows(t), [1.5, -0.5]),
    "rank": lambda t, d: d.DistributedSampler(rows(t), 2, 2),
    "rows": lambda t, d: d.TensorDataset(t.ones(2), t.ones(3)),
    "abstract": lambda t, d: d.Dataset()[0],
    "none": lambda t, d: list(d.DataLoader(of_none(t, d), 2)),
    "objects": lambda t, d: list(d.DataLoader([object(), object()], 2)),
    "unequal lists": lambda t, d: list(d.DataLoader([[1], [1, 2]], 2)),
    "unequal tensors": lambda t, d: list(d.DataLoader([t.ones(2), t.ones(3)], 2)),
    "beyond the end": lambda t, d: list(d.DataLoader([1, 2], sampler=[5])),
    "no key": lambda t, d: list(d.DataLoader({0: 1}, sampler=["x"])),
}


def refusal(call, torch):
    try:
        call(torch, torch.utils.data)
    except Exception as error:
        text = str(error).replace("disttorch", "torch").partition(" object at ")[0]
        return type(error), text
    raise AssertionError("not refused")


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    kind, text = refusal(REFUSALS[name], disttorch)
    expected_kind, expected = refusal(REFUSALS[name], reference)
    assert (kind, text) == (expected_kind, expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_streams_that_are_longer_than_they_say(workers):
    texts = []
    for torch in (disttorch, reference):

        class Longer(torch.utils.data.IterableDataset):
            def __iter__(self):
                return iter(range(3))

            def __len__(self):
                return 2

            def __repr__(self):
                return "Longer"

        loader = torch.utils.data.DataLoader(Longer(), num_workers=workers)
        assert len(loader) == 2
        with pytest.warns(UserWarning, match="was reported to be 2") as seen:
            list(loader)
        texts.append(str(seen[0].message))
    assert texts[0] == texts[1]
