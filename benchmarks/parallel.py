"""Training steps of two ranks, with DistributedDataParallel and, for its cost, without."""

from __future__ import annotations

from types import ModuleType

from benchmarks.bodies import Work, lenet_model, training


def lenet(torch: ModuleType, wrapped: bool) -> Work:
    """LeNet, batches of 64: a small model, where latency counts."""
    return training(torch, _replica(torch, lenet_model(torch), wrapped), torch.rand(64, 1, 28, 28))


def large_mlp(torch: ModuleType, wrapped: bool) -> Work:
    """25 million parameters, batches of 64: 100 MB of gradients a step."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1024)
    )
    return training(torch, _replica(torch, model, wrapped), torch.rand(64, 1024))


def _replica(torch: ModuleType, model: object, wrapped: bool) -> object:
    return torch.nn.parallel.DistributedDataParallel(model) if wrapped else model
