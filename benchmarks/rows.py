"""The table of what is compared. A new row is a new entry; a new body goes to bodies.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType

from benchmarks import bodies, loading, parallel


@dataclass(frozen=True)
class Timed:
    """Repeat a body in `n_ranks` processes under each library's own launcher; seconds a step."""

    body: Callable[[ModuleType], bodies.Work]
    n_ranks: int = 1
    unit: str = field(default="s", init=False)


@dataclass(frozen=True)
class Launched:
    """Run a script to its end with `n_ranks` ranks; seconds of wall-clock time."""

    script: str
    n_ranks: int
    unit: str = field(default="s", init=False)


@dataclass(frozen=True)
class Imported:
    """Import the library in a new interpreter; `quantity` is "seconds" or "rss_bytes"."""

    quantity: str
    unit: str


@dataclass(frozen=True)
class Installed:
    """Bytes on disk of the library and everything it requires."""

    unit: str = field(default="B", init=False)


@dataclass(frozen=True)
class Printed:
    """Run a module of the benchmarks, which prints a number of bytes, in a new interpreter."""

    module: str
    unit: str = field(default="B", init=False)


@dataclass(frozen=True)
class Share:
    """Per cent of the memory's speed that an all-reduce of `nbytes` with two ranks reaches."""

    nbytes: int
    unit: str = field(default="%", init=False)


@dataclass(frozen=True)
class Row:
    """One line of the table: what users read, and how it is measured."""

    title: str
    kind: Timed | Launched | Imported | Installed | Printed | Share


KB, MB = 1 << 10, 1 << 20
_SIZES = {"1K": KB, "64K": 64 * KB, "1M": MB, "25M": 25 * MB, "100M": 100 * MB}


def _spelled(size: str) -> str:
    """How readers see a key of `_SIZES`: 64K is 64 KB."""
    return f"{size[:-1]} {size[-1]}B"


def _all_reduce(nbytes: int, n_ranks: int) -> Timed:
    return Timed(partial(bodies.all_reduce, nbytes=nbytes), n_ranks=n_ranks)


def _collective(name: str, nbytes: int) -> Timed:
    return Timed(partial(bodies.collective, name=name, nbytes=nbytes), n_ranks=2)


def _ddp(body: Callable[..., bodies.Work], wrapped: bool) -> Timed:
    return Timed(partial(body, wrapped=wrapped), n_ranks=2)


def _loading(body: Callable[..., bodies.Work], workers: int) -> Timed:
    return Timed(partial(body, workers=workers))


def _first_batch(shape: tuple[int, ...], batch: int) -> Timed:
    return Timed(partial(loading.first_batch, shape=shape, batch=batch))


_IMAGE, _DIGIT = "3x224x224", "1x28x28"

ROWS: dict[str, Row] = {
    "tiny-op": Row("x * y, 4 floats, with grad", Timed(bodies.tiny_op)),
    "chain": Row("20 muls forward + backward", Timed(bodies.chain)),
    "mlp": Row("MLP training step, batch 64", Timed(bodies.mlp)),
    "lenet": Row("LeNet training step, batch 64", Timed(bodies.lenet)),
    **{
        f"all-reduce-{size}{suffix}": Row(
            f"all-reduce {_spelled(size)}, {n} ranks", _all_reduce(nbytes, n)
        )
        for n, suffix in ((2, ""), (4, "-4"), (8, "-8"))
        for size, nbytes in _SIZES.items()
    },
    **{
        f"all-reduce-{size}-once": Row(
            f"all-reduce {_spelled(size)}, 2 ranks, a new tensor each time",
            Timed(partial(bodies.all_reduce_once, nbytes=_SIZES[size]), n_ranks=2),
        )
        for size in ("25M", "100M")
    },
    **{
        f"{name}-{size}".replace("_", "-"): Row(
            f"{name.replace('_', '-')} {_spelled(size)}, 2 ranks", _collective(name, _SIZES[size])
        )
        for name in ("broadcast", "all_gather", "reduce_scatter", "all_to_all")
        for size in ("1M", "25M", "100M")
    },
    **{
        f"all-reduce-{size}-share": Row(
            f"all-reduce {_spelled(size)}, 2 ranks, of read-add-write speed", Share(_SIZES[size])
        )
        for size in ("1M", "25M", "100M")
    },
    "ddp-lenet": Row("DDP step of LeNet, 2 ranks", _ddp(parallel.lenet, True)),
    "ddp-lenet-bare": Row("LeNet step, 2 ranks, no DDP", _ddp(parallel.lenet, False)),
    "ddp-mlp": Row("DDP step of a 25 M MLP, 2 ranks", _ddp(parallel.large_mlp, True)),
    "ddp-mlp-bare": Row("25 M MLP step, 2 ranks, no DDP", _ddp(parallel.large_mlp, False)),
    **{
        f"load-{size}-{w}": Row(
            f"DataLoader pass, {what}, {w} worker{'s' * (w != 1)}", _loading(body, w)
        )
        for size, what, body in (
            ("image", _IMAGE, loading.large_samples),
            ("digit", _DIGIT, loading.small_samples),
            ("tensor", f"TensorDataset {_DIGIT}", loading.tensor_dataset),
        )
        for w in (0, 1, 2)
    },
    "load-photo": Row(
        "DataLoader pass, JPEG decode, resize, crop, 2 workers", _loading(loading.photos, 2)
    ),
    "load-memory": Row(
        "private memory of 4 workers, 1 M strings, 5 epochs", Printed("benchmarks.loader_memory")
    ),
    "first-image": Row(f"first batch, {_IMAGE}, 2 workers", _first_batch((3, 224, 224), 32)),
    "first-digit": Row(f"first batch, {_DIGIT}, 2 workers", _first_batch((1, 28, 28), 64)),
    "launch": Row("launch 2 ranks, one all-reduce, leave", Launched("one_all_reduce.py", 2)),
    "launch-16": Row("launch 16 ranks, one all-reduce, leave", Launched("one_all_reduce.py", 16)),
    "import-time": Row("import", Imported("seconds", "s")),
    "import-rss": Row("memory after import", Imported("rss_bytes", "B")),
    "installed-size": Row("installed size with dependencies", Installed()),
}
