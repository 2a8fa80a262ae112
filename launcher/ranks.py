"""Which rank gets which number and which environment variables: data in, data out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from disttorch.comm.curve import VARIABLE as KEY_VARIABLE
from disttorch.comm.env import RankEnv

# Libraries with a thread pool of their own.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class RankSlot:
    """A rank's place: its number, and its number among the `local_world_size` on this host."""

    rank: int
    local_rank: int
    world_size: int
    local_world_size: int
    group_rank: int
    group_world_size: int


def assign_ranks(n_ranks_of_host: Sequence[int], host: int) -> list[RankSlot]:
    """The slots of host number `host`: ranks are counted through host after host."""
    first = sum(n_ranks_of_host[:host])
    n_local = n_ranks_of_host[host]
    return [
        RankSlot(
            rank=first + local_rank,
            local_rank=local_rank,
            world_size=sum(n_ranks_of_host),
            local_world_size=n_local,
            group_rank=host,
            group_world_size=len(n_ranks_of_host),
        )
        for local_rank in range(n_local)
    ]


@dataclass(frozen=True)
class JobEnv:
    """What all ranks of one attempt share in their environment.

    `n_threads` goes to every library's own variable as well; with `keep_threads`, to those only
    that the user has not set. `extra` is what the user set for the ranks alone. `name` is the
    job's for people, where it is not `run_id`; `master` is where several hosts meet.
    """

    run_id: str
    run_dir: str
    store: str
    timeout_s: float
    max_restarts: int
    restart_count: int
    n_threads: int
    keep_threads: bool = True
    role: str = "default"
    name: str = ""
    master: tuple[str, int] | None = None
    extra: tuple[tuple[str, str], ...] = ()
    virtual_local_rank: bool = False
    key: str = ""


def rank_environ(slot: RankSlot, job: JobEnv, outer: Mapping[str, str]) -> dict[str, str]:
    """The variables to add for one rank; `outer` is the environment the launcher was given."""
    port = outer.get("MASTER_PORT", "")
    # Scripts read these two; on one host nothing of ours listens there: the store is a file.
    address, number = job.master or (
        outer.get("MASTER_ADDR", "127.0.0.1"),
        int(port) if port.isdecimal() else 29500,
    )
    env = RankEnv(
        rank=slot.rank,
        world_size=slot.world_size,
        local_rank=0 if job.virtual_local_rank else slot.local_rank,
        local_world_size=slot.local_world_size,
        group_rank=slot.group_rank,
        group_world_size=slot.group_world_size,
        role_rank=slot.rank,
        role_world_size=slot.world_size,
        role_name=job.role,
        master_addr=address,
        master_port=number,
        restart_count=job.restart_count,
        max_restarts=job.max_restarts,
        run_id=job.name or job.run_id,
        error_file=error_file(job, slot.rank),
        store=job.store,
        run_dir=job.run_dir,
        timeout_s=job.timeout_s,
        num_threads=job.n_threads,
    ).to_environ()
    threads = dict.fromkeys(THREAD_VARIABLES, str(job.n_threads))
    if job.keep_threads:
        threads |= {name: outer[name] for name in THREAD_VARIABLES if name in outer}
    env["TORCHELASTIC_USE_AGENT_STORE"] = "True"
    if job.key:
        env[KEY_VARIABLE] = job.key
    return env | threads | _devices(slot, job, outer) | dict(job.extra)


def _devices(slot: RankSlot, job: JobEnv, outer: Mapping[str, str]) -> dict[str, str]:
    """With --virtual-local-rank, each rank sees one device only, which is then its number 0."""
    if not job.virtual_local_rank:
        return {}
    visible = [name for name in outer.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    own = visible[slot.local_rank % len(visible)] if visible else str(slot.local_rank)
    return {"CUDA_VISIBLE_DEVICES": own}


def error_file(job: JobEnv, rank: int) -> str:
    """Where the rank's bootstrap leaves its error: in the run directory, one a rank and attempt."""
    return os.path.join(job.run_dir, f"error-{job.restart_count}-{rank}.json")
