"""`python -m benchmarks.tiny`: what one operator on ten numbers costs, as a ratio to torch.

Both libraries run in this process in turn, on one thread; of many rounds the best counts, for
noise only ever adds. `--stages` shows where the microseconds of ``x * y`` go.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
from collections.abc import Iterator, Sequence
from timeit import Timer
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A round of one statement lasts about this long.
ROUND_S = 0.002

# Ten floats (x, y), the same with gradients (gx, gy), numbers (s, gs), matrices (m, gm: 3 by 4),
# integers and masks.
SETUP = """
x, y, buffer = torch.rand(10), torch.rand(10) + 1, torch.rand(10)
gx, gy = torch.rand(10, requires_grad=True), torch.rand(10, requires_grad=True)
s, gs = torch.tensor(2.0), torch.tensor(2.0, requires_grad=True)
m, w, b = torch.rand(3, 4), torch.rand(5, 4), torch.rand(5)
gm, gw = torch.rand(3, 4, requires_grad=True), torch.rand(5, 4, requires_grad=True)
gb = torch.rand(5, requires_grad=True)
i, mask, labels = torch.tensor([0, 3, 5]), x > 0.5, torch.tensor([0, 1, 3])
v, values, F = torch.rand(4), [1.0, 2.0, 3.0], torch.nn.functional
x1, x2, x5 = torch.rand(10, 1), torch.rand(1, 10), torch.rand(2, 5)
hidden = gx * 2

def chain():
    y = gx
    for _ in range(20):
        y = y * gx
    y.sum().backward()
    gx.grad = None

def loss():
    F.cross_entropy(F.linear(gm, gw, gb), labels).backward()
    gm.grad = gw.grad = gb.grad = None

def number():
    (gs * gs).backward()
    gs.grad = None

def elementwise():
    gx.exp().sin().sum().backward()
    gx.grad = None
"""

# Statements that write ``buffer += ...`` run inside a function of timeit's.
PREPARE = "global buffer"

ARITHMETIC = (
    *("x * y", "gx * gy", "gs * gs", "gx + gy", "gx - gy", "gx / gy", "x / y", "gx + 1", "2 * gx"),
    *("1 - gx", "-gx", "gx ** 2", "s + s", "x + x1", "torch.add(x, y)", "x.mul(y)", "x // y"),
    *("buffer += x", "buffer *= 1.0", "buffer.add_(x)", "buffer.mul_(0.9).add_(x, alpha=0.1)"),
    *("buffer.zero_()", "buffer.fill_(1.0)", "buffer.copy_(x)"),
)
COMPARISON = (
    *("x > y", "x == y", "x < 0.5", "mask & mask", "~mask", "torch.where(mask, x, y)"),
    *("torch.where(mask, gx, gy)", "x.clamp(0.0, 1.0)", "gx.clamp(min=0.5)", "torch.maximum(x, y)"),
    "x.masked_fill(mask, 0.0)",
)
POINTWISE = (
    *("x.exp()", "gx.exp()", "gx.log()", "gx.sqrt()", "gx.tanh()", "gx.sigmoid()", "x.abs()"),
    *("gx.abs()", "F.relu(x)", "F.relu(gx)", "gx.relu()", "F.gelu(gx)", "gx.sin()", "x.floor()"),
)
REDUCTION = (
    *("x.sum()", "gx.sum()", "gm.sum(1)", "gx.mean()", "m.mean(0)", "x.max()", "gm.max(1)"),
    *("x.argmax()", "x.norm()", "x.std()", "x.var()", "mask.any()", "mask.all()", "x.cumsum(0)"),
    *("torch.softmax(x, 0)", "torch.softmax(gm, 1)", "F.log_softmax(gm, 1)"),
    *("F.cross_entropy(m, labels)", "F.cross_entropy(gm, labels)", "F.mse_loss(gx, x)"),
)
SHAPE = (
    *("x.view(2, 5)", "gx.view(2, 5)", "x.reshape(5, 2)", "gx.reshape(-1)", "m.t()", "gm.t()"),
    *("m.transpose(0, 1)", "m.permute(1, 0)", "x1.expand(10, 3)", "x.unsqueeze(0)", "x2.squeeze()"),
    *("gx.unsqueeze(0)", "m.flatten()", "m.contiguous()", "m.T", "torch.cat([x, y])"),
    *("torch.cat([gx, gy])", "torch.stack([x, y])", "x.chunk(2)", "x.split(5)", "m.unbind()"),
)
INDEX = (
    *("x[3]", "gx[3]", "x[2:5]", "gx[2:5]", "m[1, 2]", "m[:, 1]", "m[1]", "x[None]", "m[..., 0]"),
    *("x[mask]", "x[i]", "gx[i]", "buffer[3] = 1.0", "buffer[2:5] = 0.0", "buffer[2:5] = x[2:5]"),
    *("buffer[mask] = 0.0", "x.index_select(0, i)", "gm.gather(1, labels[:, None])", "list(v)"),
)
PRODUCTS = (
    *("m @ w.t()", "m @ v", "torch.dot(x, y)", "gm @ gw.t()", "F.linear(m, w, b)"),
    "F.linear(gm, gw, gb)",
)
CREATION = (
    *("torch.zeros(10)", "torch.ones(10)", "torch.empty(10)", "torch.zeros(3, 4)"),
    *("torch.tensor(values)", "torch.tensor(1.0)", "torch.full((10,), 2.0)", "torch.arange(10)"),
    *("torch.zeros_like(x)", "torch.rand(10)", "torch.randn(10)", "torch.randn(100)"),
    *("torch.randint(0, 9, (10,))", "torch.randperm(10)", "torch.randperm(1000)", "torch.eye(3)"),
    "torch.linspace(0, 1, 10)",
)
OBJECT = (
    *("s.item()", "float(s)", "x.tolist()", "x.shape", "x.size(0)", "x.dtype", "x.device"),
    *("x.requires_grad", "x.numel()", "x.clone()", "gx.clone()", "x.detach()", "gx.detach()"),
    *("hidden.detach()", "x.double()", "x.float()", "x.to(torch.float64)", "x.long()", "len(x)"),
    *("x.numpy()", "gx.is_leaf", "x.dim()", "x.is_contiguous()"),
)
# These last as long as several operators.
BACKWARD = ("number()", "chain()", "loss()", "elementwise()")
STATEMENTS = (
    *(*ARITHMETIC, *COMPARISON, *POINTWISE, *REDUCTION, *SHAPE, *INDEX, *PRODUCTS, *CREATION),
    *(*OBJECT, *BACKWARD),
)
LIMIT = 1.5  # times torch's; more is marked

# What ``gx * gy`` consists of, each stage with those before it.
STAGES = (
    ("array product", "a * c"),
    ("array product, by ufunc", "multiply(a, c)"),
    ("op without recording", "Mul.apply(x, y)"),
    ("operator without recording", "x * y"),
    ("op, recorded", "Mul.apply(gx, gy)"),
    ("operator, recorded", "gx * gy"),
    ("a node made and dropped", "Mul(backend)"),
    ("a tensor made and dropped", "Tensor._wrap(a)"),
    ("backward formula", "node.sweep([a], RAW)"),
    ("sweep of one node", "number()"),
)
STAGE_SETUP = """
from disttorch.autograd.op import Op
from disttorch.ops.arithmetic import Mul
from disttorch.tensor import Tensor
a, c, backend = x._array, y._array, x.backend
multiply, RAW, node = backend.xp.multiply, backend.F, (gx * gy).grad_fn
"""


def seconds(timer: Timer, n: int) -> float:
    """Mean seconds of `n` runs of a statement."""
    return timer.timeit(n) / n


def namespace(torch: ModuleType) -> dict[str, Any]:
    """The names that statements use, with tensors of one library."""
    names: dict[str, Any] = {"torch": torch}
    torch.manual_seed(0)
    exec(SETUP, names)
    return names


def ratios(
    statements: Sequence[str], libraries: Sequence[ModuleType], rounds: int
) -> Iterator[tuple[str, list[float]]]:
    """Best seconds of each statement, one for each library, rounds in turn."""
    spaces = [namespace(library) for library in libraries]
    for statement in statements:
        timers = [Timer(statement, PREPARE, globals=names) for names in spaces]
        seconds(timers[0], 3)
        counts = [max(1, int(ROUND_S / seconds(timer, 3))) for timer in timers]
        best = [float("inf")] * len(timers)
        for _ in range(rounds):
            for k, (timer, n) in enumerate(zip(timers, counts, strict=True)):
                best[k] = min(best[k], seconds(timer, n))
        yield statement, best


def print_ratios(pattern: str, rounds: int) -> None:
    """Print torch's and our microseconds for the statements that match, and the ratio."""
    import torch

    import disttorch

    torch.set_num_threads(1)
    disttorch.set_num_threads(1)
    chosen = [s for s in STATEMENTS if re.search(pattern, s)]
    found = []
    for statement, (theirs, ours) in ratios(chosen, (torch, disttorch), rounds):
        ratio = ours / theirs
        found.append(ratio)
        mark = " <" if ratio > LIMIT else ""
        print(f"{statement:38} {theirs * 1e6:8.2f} us {ours * 1e6:8.2f} us {ratio:6.2f}x{mark}")
    above = sum(ratio > LIMIT for ratio in found)
    print(f"{len(found)} statements, {above} above {LIMIT}x of torch, worst {max(found):.2f}x")


def print_stages(rounds: int) -> None:
    """Print what the parts of ``gx * gy`` and its backward cost."""
    import disttorch

    names = namespace(disttorch)
    exec(STAGE_SETUP, names)
    for title, statement in STAGES:
        timer = Timer(statement, globals=names)
        n = max(1, int(ROUND_S / seconds(timer, 3)))
        best = min(seconds(timer, n) for _ in range(rounds))
        print(f"{title:30} {statement:24} {best * 1e6:8.3f} us")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options and print one of the two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiny", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="", help="only statements that match")
    parser.add_argument("--rounds", type=int, default=25, help="rounds of 2 ms each (default: 25)")
    parser.add_argument("--stages", action="store_true", help="where the microseconds go")
    options = parser.parse_args(arguments)
    gc.disable()
    if options.stages:
        print_stages(options.rounds)
    else:
        print_ratios(options.pattern, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
