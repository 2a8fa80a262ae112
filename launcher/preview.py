"""--print-config and --dry-run: what would be done, and why, without doing it."""

import shlex
from collections.abc import Mapping

from disttorch_launcher.config import LaunchConfig, ScriptKind
from disttorch_launcher.option_table import OPTIONS
from disttorch_launcher.options import Request
from disttorch_launcher.placement import cores_for, threads_for
from disttorch_launcher.ranks import THREAD_VARIABLES, JobEnv, assign_ranks, rank_environ


def config_lines(request: Request) -> list[str]:
    """A line an option: its name, its value, and where that comes from."""
    rows = [
        (option.names[0] if option.names[0].startswith("--") else option.names[1],
         request.values[option.key].strip().replace("\n", " ") or "-",
         request.origins[option.key])
        for option in OPTIONS
        if option.help or request.origins[option.key] != "default"
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return [f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for name, value, origin in rows]


def dry_run_lines(config: LaunchConfig, outer: Mapping[str, str]) -> list[str]:
    """For each rank of this host: its command, and the variables and cores it would get."""
    hosts = config.hosts
    slots = assign_ranks([config.n_ranks] * hosts.n_nodes, hosts.node)
    job = JobEnv(
        run_id="<run id>", run_dir="<run dir>", store="<store>", timeout_s=config.timeout_s,
        max_restarts=config.max_restarts, restart_count=0, n_threads=threads_for(config, outer),
        keep_threads=config.n_threads is None, role=config.role, name=config.run_id,
        master=(hosts.address, hosts.port) if hosts.n_nodes > 1 else None, extra=config.env,
        virtual_local_rank=config.virtual_local_rank,
    )  # fmt: skip
    shown = {"RANK", "LOCAL_RANK", "WORLD_SIZE", *THREAD_VARIABLES, *dict(config.env)}
    shown |= {"CUDA_VISIBLE_DEVICES"} if config.virtual_local_rank else set()
    lines = []
    for slot in slots:
        environ = rank_environ(slot, job, outer)
        texts = [f"{name}={shlex.quote(environ[name])}" for name in sorted(shown & set(environ))]
        cores = cores_for(config, slot.local_rank)
        bound = f"  # on cores {','.join(map(str, cores))}" if cores else ""
        lines.append(f"[r{slot.rank}] {' '.join(texts)} {_command(config)}{bound}")
    return lines


def _command(config: LaunchConfig) -> str:
    start = {ScriptKind.PROGRAM: [], ScriptKind.MODULE: ["python", "-m"]}
    return shlex.join([*start.get(config.kind, ["python"]), config.script, *config.args])
