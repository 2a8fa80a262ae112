"""One rank is held up: the launcher names it, with its stack, while the others wait.

    disttorch-launch --nproc 3 --stall 2 examples/stall.py

Rank 1 waits seven seconds for a file, so it does not come to an all-reduce. Nothing is killed for
that: when the file is there the job goes on, and it ends as any other.
"""

import time

import disttorch as torch
import disttorch.distributed as dist

STEPS = 4


def read_shard(step: int, rank: int) -> torch.Tensor:
    """Return 1,000 samples; at step 2 the file server takes its time to answer rank 1."""
    if rank == 1 and step == 2:
        time.sleep(7)
    return torch.ones(1000) * step


def main() -> None:
    """Average each step's samples over the ranks."""
    dist.init_process_group()
    rank = dist.get_rank()
    for step in range(STEPS):
        samples = read_shard(step, rank)
        dist.all_reduce(samples, dist.ReduceOp.AVG)
        if rank == 0:
            print(f"step {step}: mean {samples.mean().item():.1f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
