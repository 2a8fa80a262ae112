"""Steps over a batch that does not fit in memory at once: gradients add up, ranks meet once a step.

    disttorch-launch --nproc 2 examples/accumulate.py

Of the parts of a step only the last one averages gradients over the ranks; before it `no_sync`
lets them add up on each. With `--zero` each rank keeps the optimiser's state of its share of the
parameters only. At the end `step_report` says where the time of each rank went.
"""

import argparse
import contextlib

import disttorch as torch
import disttorch.distributed as dist
import disttorch.nn.functional as F
from disttorch import nn
from disttorch.distributed.optim import ZeroRedundancyOptimizer
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.nn.utils import clip_grad_norm_

STEPS, PARTS, SAMPLES = 20, 4, 16


def train_step(model, optimizer, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    """Take one step on this rank's samples, in PARTS parts; returns their mean loss."""
    optimizer.zero_grad()
    total = 0.0
    for part in range(PARTS):
        last = part == PARTS - 1
        # `forward` and `backward` of a part both belong inside.
        with contextlib.nullcontext() if last else model.no_sync():
            loss = F.cross_entropy(model(inputs[part::PARTS]), targets[part::PARTS]) / PARTS
            loss.backward()
        total += loss.item()
    clip_grad_norm_(model.parameters(), 1.0)  # of the averaged gradients, alike on all ranks
    optimizer.step()
    return total


def main() -> None:
    """Train on random samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zero", action="store_true", help="spread the optimiser's state")
    options = parser.parse_args()
    dist.init_process_group()
    rank, n_ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4)))
    if options.zero:
        optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=1e-2)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    inputs = torch.randn(SAMPLES * PARTS, 32)
    targets = (inputs @ torch.randn(32, 4)).argmax(1)
    inputs, targets = inputs[rank::n_ranks], targets[rank::n_ranks]
    for step in range(STEPS):
        mean = torch.tensor(train_step(model, optimizer, inputs, targets))
        dist.all_reduce(mean, dist.ReduceOp.AVG)
        if rank == 0 and step % 5 == 0:
            print(f"step {step}: loss {mean.item():.4f}", flush=True)
    report = dist.step_report()  # all ranks call it
    if rank == 0:
        print(report)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
