"""A layer too large for one rank: its weight is split over the ranks, data over groups of them.

    disttorch-launch --nproc 4 examples/tensor_parallel.py

A mesh of 2 x n ranks: the ranks of a row ("model") hold slices of the weights and see the same
batch, the ranks of a column ("data") hold the same slice and average its gradient. The result is
that of the unsplit network on the whole batch.
"""

import disttorch as torch
import disttorch.distributed as dist
import disttorch.nn.functional as F
from disttorch import nn
from disttorch.distributed.nn.functional import all_reduce
from disttorch.nn.parallel import DistributedDataParallel

FEATURES, HIDDEN, CLASSES, BATCH = 16, 64, 4, 24


class SplitMLP(nn.Module):
    """(N, FEATURES) -> (N, CLASSES); this rank has `width` of the HIDDEN units."""

    def __init__(self, model_group: dist.ProcessGroup) -> None:
        super().__init__()
        self.model_group = model_group
        n, rank = dist.get_world_size(model_group), dist.get_rank(model_group)
        first, second = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES, bias=False)
        mine = slice(rank * HIDDEN // n, (rank + 1) * HIDDEN // n)
        # Rows of the first weight, columns of the second: nothing is exchanged between the two.
        self.weight1 = nn.Parameter(first.weight.detach()[mine].clone())
        self.bias1 = nn.Parameter(first.bias.detach()[mine].clone())
        self.weight2 = nn.Parameter(second.weight.detach()[:, mine].clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits; every rank of the group has the whole sum."""
        part = F.linear(F.relu(F.linear(x, self.weight1, self.bias1)), self.weight2)
        return all_reduce(part, group=self.model_group)


def main() -> None:
    """Train, and print the loss of the whole batch."""
    dist.init_process_group()
    n_ranks = dist.get_world_size()
    shape = (2, n_ranks // 2) if n_ranks % 2 == 0 else (1, n_ranks)
    mesh = dist.init_device_mesh("cpu", shape, mesh_dim_names=("data", "model"))
    torch.manual_seed(0)  # the same network and data on all ranks
    network = SplitMLP(mesh.get_group("model"))
    model = DistributedDataParallel(network, process_group=mesh.get_group("data"))
    inputs = torch.randn(BATCH, FEATURES)
    targets = (inputs @ torch.randn(FEATURES, CLASSES)).argmax(1)
    row, n_rows = mesh.get_local_rank("data"), mesh.size(0)
    inputs, targets = inputs[row::n_rows], targets[row::n_rows]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for step in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        # The gradient of the sum comes from each rank of the row, each with the whole loss.
        (loss / mesh.size(1)).backward()
        optimizer.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean, dist.ReduceOp.AVG)
        if dist.get_rank() == 0 and step % 13 == 0:
            print(f"step {step}: loss {mean.item():.6f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
