"""What the report on the screen says, as JSON: report.json in the log's folder, and each error."""

import json
from pathlib import Path
from typing import Any

from disttorch_launcher import failures, hosts
from disttorch_launcher.outcome import RankExit, first_cause


def content(end: failures.JobEnd, run_id: str, restarts: int) -> dict[str, Any]:
    """The end of a job as plain values."""
    cause = first_cause(end.exits)
    return {
        "job": run_id,
        "exit_status": end.status,
        "stop_signal": end.stop_signal,
        "restarts": restarts,
        "needed_sigkill": sorted(end.killed),
        "unfinished": sorted(end.unfinished),
        "first_cause": _exit(cause) if cause and not end.elsewhere else None,
        "first_cause_elsewhere": hosts.pack(end.elsewhere) if end.elsewhere else None,
        "ranks": [_exit(e) for e in sorted(end.exits, key=lambda e: e.rank)],
        "text": failures.report(end),
    }


def write(folder: Path, end: failures.JobEnd, run_id: str, restarts: int) -> str:
    """Write report.json, and error.json of each rank that raised; returns why not, else ""."""
    try:
        text = json.dumps(content(end, run_id, restarts), indent=1)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        for rank_exit in end.exits:
            if rank_exit.record is not None:
                path = folder / f"attempt_{restarts}" / str(rank_exit.rank) / "error.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(_exit(rank_exit), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        return f"the report cannot be written to {folder}: {error.strerror}"
    return ""


def _exit(rank_exit: RankExit) -> dict[str, Any]:
    record = rank_exit.record
    return {
        "rank": rank_exit.rank,
        "code": rank_exit.code,
        "status": rank_exit.status,
        "how": failures.how_it_ended(rank_exit),
        "failed_at_monotonic_ns": rank_exit.failed_at_ns,
        "is_consequence": rank_exit.is_consequence,
        "stopped_by_launcher": rank_exit.stopped,
        "joined": rank_exit.joined,
        "exception": record
        and {
            "type": record.type_name,
            "message": record.message,
            "location": record.location,
            "traceback": record.traceback,
        },
    }
