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
