"""One rank of PyTorch's under gloo: `python -m` prints its answers to all tables as JSON."""

from __future__ import annotations

import datetime
import json
import sys


def main(rank: str, path: str) -> None:
    """Answer as rank `rank` of two, which meet in the file `path`."""
    import torch
    import torch.distributed as dist

    from tests.parity import distributed_calls, distributed_errors, distributed_training

    torch.set_num_threads(1)
    space = distributed_errors.names(torch, dist, int(rank))
    out = {"errors": distributed_errors.answers(distributed_errors.WITHOUT_A_GROUP, space)}
    dist.init_process_group(
        "gloo", f"file://{path}", datetime.timedelta(seconds=60), world_size=2, rank=int(rank)
    )
    out["calls"] = distributed_calls.answers(torch, dist, int(rank))
    out["training"] = {
        name: distributed_training.trained(torch, int(rank), run)
        for name, run in distributed_training.RUNS.items()
    }
    space["only_0"] = dist.new_group([0])
    wrong = distributed_errors.answers(distributed_errors.WITH_A_GROUP, space, dist.barrier)
    out["errors"] |= wrong
    print(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
