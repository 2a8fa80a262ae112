"""`disttorch trace`: the Chrome traces of all ranks in one file, each rank a process of its own.

Ranks of one host share a clock, which their traces carry as `baseTimeNanoseconds`; so what two
ranks did at one moment stands at one place.
"""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class TraceError(Exception):
    """A file is no Chrome trace; the text names it."""


def find_traces(paths: Sequence[str]) -> list[Path]:
    """The trace files named, and those in the folders named: *.json and *.json.gz."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted({*path.rglob("*.json"), *path.rglob("*.json.gz")})
        else:
            found.append(path)
    if not found:
        raise TraceError("no trace files there: name *.json files or a folder that has some")
    return found


def merge(files: Sequence[Path]) -> dict[str, Any]:
    """One trace of many; raises TraceError for a file that is none."""
    loaded = [(path, _load(path)) for path in files]
    base_ns = min(int(trace.get("baseTimeNanoseconds", 0)) for _, trace in loaded)
    events: list[dict[str, Any]] = []
    for i, (path, trace) in enumerate(loaded):
        rank = _rank(path, trace, i)
        shift_us = (int(trace.get("baseTimeNanoseconds", base_ns)) - base_ns) / 1000
        events += _renamed(trace["traceEvents"], rank, shift_us)
    return {"traceEvents": events, "displayTimeUnit": "ms", "baseTimeNanoseconds": base_ns}


def _renamed(events: Sequence[Any], rank: int, shift_us: float) -> list[dict[str, Any]]:
    named = [
        {"ph": "M", "name": "process_name", "pid": rank, "args": {"name": f"rank {rank}"}},
        {"ph": "M", "name": "process_sort_index", "pid": rank, "args": {"sort_index": rank}},
    ]
    for event in events:
        if event.get("name") in ("process_name", "process_sort_index"):
            continue
        moved = {**event, "pid": rank}
        if "ts" in moved:
            moved["ts"] = float(moved["ts"]) + shift_us
        named.append(moved)
    return named


def _load(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        trace = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except (OSError, ValueError, EOFError) as error:
        raise TraceError(f"{path}: {error}") from None
    if isinstance(trace, list):
        trace = {"traceEvents": trace}
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list):
        raise TraceError(f"{path}: no Chrome trace (no traceEvents)")
    return trace


def _rank(path: Path, trace: dict[str, Any], position: int) -> int:
    """The rank in the trace itself, else in the file's name, else the file's position."""
    info = trace.get("distributedInfo")
    if isinstance(info, dict) and isinstance(info.get("rank"), int):
        return int(info["rank"])
    found = re.search(r"rank[-_.]?(\d+)", path.name)
    return int(found[1]) if found else position
