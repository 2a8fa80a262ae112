"""The work that is timed: one body a row, run with either library as `torch`.

A body builds its tensors and returns what is repeated. Work that must happen before every
repetition without being timed (rewriting a buffer, so that no cache flatters the result) comes as
a second function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType


def nothing() -> None:
    """No preparation."""


@dataclass(frozen=True)
class Work:
    """`step` is timed; `prepare` runs before each step and is not."""

    step: Callable[[], object]
    prepare: Callable[[], object] = nothing


def tiny_op(torch: ModuleType) -> Work:
    x = torch.ones(4, requires_grad=True)
    y = torch.ones(4, requires_grad=True)
    return Work(lambda: x * y)


def chain(torch: ModuleType) -> Work:
    x = torch.ones(16, requires_grad=True)

    def step() -> None:
        y = x
        for _ in range(20):
            y = y * x
        y.sum().backward()
        x.grad = None

    return Work(step)


def mlp(torch: ModuleType) -> Work:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    return training(torch, model, torch.rand(64, 784))


def lenet_model(torch: ModuleType) -> object:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def lenet(torch: ModuleType) -> Work:
    return training(torch, lenet_model(torch), torch.rand(64, 1, 28, 28))


def training(torch: ModuleType, model: object, inputs: object) -> Work:
    """One step of SGD with momentum on a fixed batch of 64."""
    targets = torch.randint(0, 10, (64,))
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(inputs), targets).backward()
        optimizer.step()

    return Work(step)


def all_reduce(torch: ModuleType, nbytes: int) -> Work:
    """Sum of one float32 buffer over all ranks; it is rewritten before each call."""
    dist = torch.distributed
    buffer = torch.ones(nbytes // 4)
    return Work(lambda: dist.all_reduce(buffer), lambda: buffer.fill_(1.0))


def all_reduce_once(torch: ModuleType, nbytes: int) -> Work:
    """Sum of a float32 buffer over all ranks that is made before each call and used only once."""
    dist = torch.distributed
    buffers = [torch.ones(nbytes // 4)]

    def prepare() -> None:
        buffers[0] = torch.ones(nbytes // 4)

    return Work(lambda: dist.all_reduce(buffers[0]), prepare)


def collective(torch: ModuleType, name: str, nbytes: int) -> Work:
    """One collective of float32 tensors; the larger of input and output has `nbytes`."""
    dist = torch.distributed
    n_ranks = dist.get_world_size()
    whole = torch.ones(nbytes // 4 // n_ranks * n_ranks)
    part = torch.ones(len(whole) // n_ranks)
    read, run = {
        "broadcast": (whole, lambda: dist.broadcast(whole, 0)),
        "all_gather": (part, lambda: dist.all_gather_into_tensor(whole, part)),
        "reduce_scatter": (whole, lambda: dist.reduce_scatter_tensor(part, whole)),
        "all_to_all": (whole, lambda: dist.all_to_all_single(out, whole)),
    }[name]
    out = torch.empty_like(whole) if name == "all_to_all" else whole
    return Work(run, lambda: read.fill_(1.0))
