"""Times of single operators on large arrays, as ratios to PyTorch's in the same process.

    python -m benchmarks.large_arrays                    # every operator at one thread and at two
    python -m benchmarks.large_arrays --only 'softmax|sum' --threads 1
    DISTTORCH_FAST=0 python -m benchmarks.large_arrays   # plain NumPy

The libraries run in turn, call by call, and the fastest call of each counts: what else the machine
does then hits both alike. At one thread the processor's time counts, not the clock's. A ratio below
1 means that disttorch is the faster one.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

Step = Callable[[], Any]
Build = Callable[[ModuleType, Any], Any]

SHAPE = (2048, 2048)  # 4 M floats
PAUSE_S = 0.012  # OpenMP's threads spin for some milliseconds
MAX_SECONDS = 0.6  # for each operator, library and number of threads


def _pointwise() -> dict[str, Build]:
    """Operators on each element, by name."""
    named = (
        *("exp", "log", "tanh", "sigmoid", "erf", "sqrt", "rsqrt", "sin", "abs", "neg", "square"),
        *("log1p", "expm1", "reciprocal"),
    )
    activations = (
        *("relu", "gelu", "silu", "softplus", "leaky_relu", "elu", "mish", "hardswish"),
        *("logsigmoid", "relu6"),
    )
    table: dict[str, Build] = {name: lambda t, x, name=name: getattr(t, name)(x) for name in named}
    for name in activations:
        table[name] = lambda t, x, name=name: getattr(t.nn.functional, name)(x)
    return table | {
        "add": lambda t, x: x + x,
        "mul": lambda t, x: x * x,
        "mul number": lambda t, x: x * 1.5,
        "div": lambda t, x: x / x,
        "pow 3": lambda t, x: x**3,
        "pow 1.5": lambda t, x: x**1.5,
        "clamp": lambda t, x: x.clamp(0.2, 0.8),
        "where": lambda t, x: t.where(x > 0.5, x, 0.0),
        "lerp": lambda t, x: t.lerp(x, x, 0.3),
        "addcmul": lambda t, x: t.addcmul(x, x, x, value=0.5),
        "add row": lambda t, x: x + x[0],
        "gt": lambda t, x: x > 0.5,
        "dropout": lambda t, x: t.nn.functional.dropout(x, 0.5),
    }


def _reductions() -> dict[str, Build]:
    """Operators over dimensions, by name."""
    table: dict[str, Build] = {}
    for dim in (0, 1):
        for name in ("sum", "mean", "amax", "argmax", "var", "softmax", "log_softmax", "cumsum"):
            table[f"{name} {dim}"] = lambda t, x, n=name, dim=dim: getattr(t, n)(x, dim=dim)
        table[f"logsumexp {dim}"] = lambda t, x, dim=dim: t.logsumexp(x, dim)
        table[f"norm {dim}"] = lambda t, x, dim=dim: x.norm(dim=dim)
        table[f"max {dim}"] = lambda t, x, dim=dim: t.max(x, dim)[0]
    for name in ("sum", "mean", "max", "argmax", "var", "norm"):
        table[name] = lambda t, x, name=name: getattr(t, name)(x)
    return table | {
        "all": lambda t, x: (x > -1).all(),
        "layer_norm": lambda t, x: t.nn.functional.layer_norm(x, (SHAPE[1],)),
        "mse_loss": lambda t, x: t.nn.functional.mse_loss(x, x.detach() * 0),
        "bce": lambda t, x: t.nn.functional.binary_cross_entropy(x, x.detach()),
        "bce logits": lambda t, x: t.nn.functional.binary_cross_entropy_with_logits(x, x.detach()),
        "cross_entropy": lambda t, x: t.nn.functional.cross_entropy(
            x, t.zeros(SHAPE[0], dtype=t.int64)
        ),
    }


def _images() -> dict[str, Build]:
    """Operators on images, (8, 64, 96, 96)."""

    def conv(groups: int, kernel: int, **options: Any) -> Build:
        def build(t: ModuleType, x: Any) -> Any:
            w = t.ones((64, 64 // groups, kernel, kernel)).requires_grad_(x.requires_grad)
            return t.nn.functional.conv2d(x, w, padding=kernel // 2, groups=groups, **options)

        return build

    return {
        "conv 3x3": conv(1, 3),
        "conv 1x1": conv(1, 1),
        "conv 3x3 stride 2": conv(1, 3, stride=2),
        "conv 3x3 depthwise": conv(64, 3),
        "conv 3x3 groups 4": conv(4, 3),
        "conv_transpose": lambda t, x: t.nn.functional.conv_transpose2d(
            x, t.ones((64, 32, 2, 2)).requires_grad_(x.requires_grad), stride=2
        ),
        "max_pool": lambda t, x: t.nn.functional.max_pool2d(x, 2),
        "max_pool 3 s2": lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1),
        "avg_pool": lambda t, x: t.nn.functional.avg_pool2d(x, 2),
        "batch_norm": lambda t, x: t.nn.functional.batch_norm(
            x, None, None, t.ones(64), t.zeros(64), True
        ),
        "group_norm": lambda t, x: t.nn.functional.group_norm(x, 8, t.ones(64), t.zeros(64)),
    }


def _forward(build: Build, library: ModuleType, x: Any) -> Step:
    def step() -> Any:
        with library.no_grad():
            return build(library, x)

    return step


def _both(build: Build, library: ModuleType, x: Any) -> Step | None:
    """Forward and backward, None for what has no gradient."""
    y = build(library, x.requires_grad_())
    if not y.requires_grad:
        return None
    seed = library.ones_like(y.detach())

    def step() -> None:
        x.grad = None
        build(library, x).backward(seed)

    return step


def _optimizers() -> dict[str, Callable[[ModuleType, bool], Any]]:
    def build(name: str, **options: Any) -> Callable[[ModuleType, bool], Any]:
        def make(t: ModuleType, fused: bool) -> Step:
            shapes = [(784, 512), (512,), (512, 512), (512,), (512, 64), (64,)]
            params = [t.nn.Parameter(t.rand(s)) for s in shapes]
            for p in params:
                p.grad = t.rand(p.shape)
            extra = {"fused": True} if fused else {}
            return getattr(t.optim, name)(params, lr=1e-4, **options, **extra).step

        return make

    return {
        "SGD": build("SGD"),
        "SGD momentum": build("SGD", momentum=0.9),
        "Adam": build("Adam"),
        "AdamW": build("AdamW"),
        "RMSprop": build("RMSprop"),
        "Adagrad": build("Adagrad"),
    }


def fastest(
    steps: Sequence[Step],
    seconds: float = MAX_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
    pause_s: float = 0.0,
) -> list[float]:
    """Run `steps` in turn; return the shortest time of each by `clock`, in seconds.

    With `pause_s`, a step begins when the threads of the one before have gone to sleep, and is
    timed when it has woken its own: idle ones spin on the cores that the others compute on.
    """
    best = [float("inf")] * len(steps)
    for step in steps:
        step()
    stop, rounds = time.perf_counter() + seconds * len(steps), 0
    while rounds < 3 or (time.perf_counter() < stop and rounds < 200):
        for i, step in enumerate(steps):
            if pause_s:
                time.sleep(pause_s)
                step()
            start = clock()
            step()
            best[i] = min(best[i], clock() - start)
        rounds += 1
    return best


def _line(name: str, threads: int, kind: str, ours: float, theirs: float) -> str:
    return (
        f"{name:<20}{kind:<18}{threads:>2}{ours * 1e3:>10.2f}{theirs * 1e3:>10.2f}"
        f"{ours / theirs:>8.2f}"
    )


def _libraries() -> tuple[ModuleType, ModuleType]:
    import torch

    import disttorch

    return disttorch, torch


def _times(steps: Sequence[Step], args: argparse.Namespace, threads: int) -> list[float]:
    if threads == 1:
        return fastest(steps, args.seconds, time.process_time)
    return fastest(steps, args.seconds, pause_s=PAUSE_S)


def _measure(args: argparse.Namespace, threads: int) -> None:
    libraries = _libraries()
    for library in libraries:
        library.set_num_threads(threads)
    flat = np.random.default_rng(0).uniform(0.05, 0.95, SHAPE).astype("float32")
    images = np.resize(flat, (8, 64, 96, 96))
    wanted = re.compile(args.only)
    for table, data in ((_pointwise() | _reductions(), flat), (_images(), images)):
        for name, build in table.items():
            if wanted.search(name):
                _measure_row(name, build, data, libraries, threads, args)
    for name, make in _optimizers().items():
        if wanted.search(name):
            for fused in (False, True) if name not in {"RMSprop"} else (False,):
                steps = [make(libraries[0], False), make(libraries[1], fused)]
                kind = "vs fused" if fused else "vs default"
                print(_line(name, threads, kind, *_times(steps, args, threads)), flush=True)


def _measure_row(
    name: str,
    build: Build,
    data: Any,
    libraries: Sequence[ModuleType],
    threads: int,
    args: argparse.Namespace,
) -> None:
    inputs = [library.from_numpy(data.copy()) for library in libraries]
    for kind, make in (("forward", _forward), ("forward+backward", _both)):
        if args.forward_only and make is _both:
            continue
        steps = [make(build, t, x) for t, x in zip(libraries, inputs, strict=True)]
        if all(steps):
            print(_line(name, threads, kind, *_times(steps, args, threads)), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_arrays")
    parser.add_argument("--only", default="", help="regular expression on operators' names")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=MAX_SECONDS, help="for a measurement")
    parser.add_argument("--forward-only", action="store_true")
    args = parser.parse_args(argv)
    print(f"{'operator':<20}{'kind':<18}{'threads':>2}{'ms':>7}{'torch ms':>10}{'ratio':>8}")
    for threads in args.threads:
        _measure(args, threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
