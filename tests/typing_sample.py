"""What type checkers see of disttorch: never run, but checked by `make lint` (mypy, strict)."""

from __future__ import annotations

from typing import assert_type

import disttorch as torch
import disttorch.distributed as dist
import disttorch.nn.functional as F
from disttorch import nn, optim
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(F.linear(x, self.weight))


def train(model: nn.Module, data: TensorDataset) -> float:
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    total = torch.tensor(0.0, dtype=torch.float64)
    for x, y in DataLoader(data, batch_size=2):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    dist.all_reduce(total, dist.ReduceOp.AVG)
    return float(total.item())


def tensors(x: torch.Tensor, i: int) -> None:
    assert_type(x + 1, torch.Tensor)
    assert_type(2 * x @ x.T, torch.Tensor)
    assert_type(x.backward(), None)
    assert_type(-x[0], torch.Tensor)
    assert_type(x == 0, torch.Tensor)
    assert_type(torch.exp(x, out=x), torch.Tensor)
    assert_type(x.sum(0, keepdim=True).add_(1).sqrt(), torch.Tensor)
    assert_type(torch.randn(2, i).reshape(-1).is_contiguous(), bool)
    assert_type(x.dtype, torch.dtype)
    x.summ()  # type: ignore[attr-defined]
    torch.expp(x)  # type: ignore[attr-defined]
    torch.exp("x")  # type: ignore[arg-type]


def job() -> None:
    dist.init_process_group()
    model = DistributedDataParallel(Net())
    train(model, TensorDataset(torch.randn(8, 3), torch.randint(0, 4, (8,))))
    with torch.no_grad():
        print(model.state_dict().keys(), dist.get_rank())
