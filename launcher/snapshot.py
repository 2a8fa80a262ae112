"""The numbers of a running job at one moment, as `disttorch top` asks for them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from disttorch.comm import status

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_NBYTES = os.sysconf("SC_PAGE_SIZE")


def snapshot(
    run_dir: Path, restarts: int, pids: dict[int, int], counted: Callable[[int], dict[str, int]]
) -> dict[str, Any]:
    """What is known of all ranks now: plain values, times in seconds of the monotonic clock.

    `counted` is what the library counts in a rank: steps, samples, data_ns.
    """
    now_s = time.monotonic()
    return {
        "now_s": now_s,
        "restarts": restarts,
        "ranks": [
            {**_rank(run_dir, restarts, rank, pids[rank]), **counted(rank)} for rank in sorted(pids)
        ],
    }


def _rank(run_dir: Path, restarts: int, rank: int, pid: int) -> dict[str, Any]:
    records = status.read(status.page_path(str(run_dir), restarts, rank))
    ended = [record for record in records if not record.under_way]
    last = records[-1] if records else None
    return {
        "rank": rank,
        "pid": pid,
        **_process(pid),
        "doing": last.describe() if last else "",
        "inside": bool(last and last.under_way),
        "arrived_s": last.begun_s if last else 0.0,
        "calls": [[record.begun_s, record.ended_s] for record in ended],
    }


def _process(pid: int) -> dict[str, float]:
    """CPU seconds, resident bytes and threads of a process; zeros once it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return {"cpu_s": 0.0, "rss": 0, "threads": 0}
    return {
        "cpu_s": (int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        "rss": int(fields[21]) * _PAGE_NBYTES,
        "threads": int(fields[17]),
    }
