"""Training that goes on where it stopped, also on another number of ranks.

    disttorch-launch --nproc 2 --max-restarts 3 examples/checkpoint.py --folder run
    disttorch-launch --nproc 4 examples/checkpoint.py --folder run --steps 60

All ranks save together, in the background; an interrupted save leaves the last one whole. When the
batch system is about to end the job (SIGTERM, SIGUSR1), all learn it at one step, save and leave.
"""

import argparse
from pathlib import Path

import disttorch as torch
import disttorch.distributed as dist
from disttorch import nn
from disttorch.distributed import checkpoint as dcp
from disttorch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from disttorch.distributed.optim import ZeroRedundancyOptimizer
from disttorch.nn.parallel import DistributedDataParallel

SAVE_EVERY = 10


def state_of(model, optimizer, step: int) -> dict:
    """Return what a checkpoint holds: parameters and their states by name, and the next step."""
    parameters, states = get_state_dict(model, optimizer)
    return {"model": parameters, "optim": states, "step": step}


def resume(model, optimizer, folder: Path) -> int:
    """Load the checkpoint in `folder` if there is one; returns the step to begin with."""
    if not (folder / ".metadata").exists():
        return 0
    state = state_of(model, optimizer, 0)  # says what is wanted, and is filled
    dcp.load(state, checkpoint_id=folder)
    loaded = {"model_state_dict": state["model"], "optim_state_dict": state["optim"]}
    set_state_dict(model, optimizer, **loaded)
    return state["step"]


def main() -> None:
    """Train on the same samples whatever the number of ranks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("run"), help="that all ranks see")
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    dist.init_process_group()
    rank, n_ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 1)))
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=1e-2)
    inputs = torch.randn(48, 16)
    targets = inputs.sum(1, keepdim=True).sin()
    first, saving = resume(model, optimizer, options.folder), None
    step, loss = first, torch.tensor(float("nan"))
    while step < options.steps:
        optimizer.zero_grad()
        loss = (model(inputs[rank::n_ranks]) - targets[rank::n_ranks]).square().mean()
        loss.backward()
        optimizer.step()
        step += 1
        leaving = dist.preempted()
        if leaving or step % SAVE_EVERY == 0:
            if saving is not None:
                saving.result()  # raises what went wrong with the last one
            state = state_of(model, optimizer, step)
            saving = dcp.async_save(state, checkpoint_id=options.folder)
        if leaving:
            break
    mean = loss.detach().clone()
    dist.all_reduce(mean, dist.ReduceOp.AVG)
    if rank == 0:
        print(f"steps {first} to {step}: loss {mean.item():.6f}")
    if saving is not None:
        saving.result()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
