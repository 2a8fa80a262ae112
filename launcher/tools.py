"""`disttorch`: tools around a job: doctor, stack, top, trace."""

import argparse
import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from disttorch_launcher import control, doctor, top, trace
from disttorch_launcher.jobs import NoJobError, find_job, launcher_pid
from disttorch_launcher.options import installed_version

JOB_HELP = "the launcher's pid or the run directory (default: the newest job)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one tool; returns the exit status (doctor: 1 if something must be mended)."""
    parser = argparse.ArgumentParser(prog="disttorch", description="Tools around a job.")
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_commands(commands.add_parser)
    options = parser.parse_args(argv)
    if options.version:
        print(f"disttorch {installed_version()}")
        return 0
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return TOOLS[options.command](options)
    except (NoJobError, trace.TraceError, OSError) as error:
        print(f"disttorch {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("doctor", help="look at what this machine offers, and what to do about it")
    command.add_argument(
        "--nodes", default="", metavar="HOST:PORT,...", help="endpoints that must be reachable"
    )
    command = add("stack", help="print the Python stacks of all ranks of a running job, now")
    command.add_argument("job", nargs="?", default="", help=JOB_HELP)
    command = add("top", help="watch the ranks of a running job")
    command.add_argument("job", nargs="?", default="", help=JOB_HELP)
    command.add_argument("--once", action="store_true", help="print one table and leave")
    command.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="time between two looks"
    )
    command = add("trace", help="merge the Chrome traces of all ranks into one file")
    command.add_argument("files", nargs="+", help="trace files, or folders of them")
    command.add_argument("-o", "--output", default="trace.json", help="default: trace.json")


def _doctor(options: argparse.Namespace) -> int:
    findings = doctor.examine([node for node in options.nodes.split(",") if node])
    print("\n".join(doctor.lines(findings)))
    return 1 if any(finding.verdict is doctor.Verdict.BROKEN for finding in findings) else 0


def _stack(options: argparse.Namespace) -> int:
    job = find_job(options.job)
    print("\n".join(control.ask(job, {"op": "stacks"})["lines"]))
    return 0


def _top(options: argparse.Namespace) -> int:
    job = find_job(options.job)
    ask = functools.partial(control.ask, job, {"op": "snapshot"})
    before = ask()
    if options.once or not sys.stdout.isatty():
        time.sleep(max(0.0, options.interval))
        room = (shutil.get_terminal_size().columns,) if sys.stdout.isatty() else ()
        print(top.text(top.rows(before, ask()), *room))
        return 0
    _watch(job, before, ask, max(0.1, options.interval))
    return 0


def _watch(
    job: Path, before: dict[str, Any], ask: Callable[[], dict[str, Any]], interval_s: float
) -> None:
    """Draw the table again and again, until the job ends or Ctrl-C."""
    from rich.live import Live  # noqa: PLC0415 - 60 ms that only the live table needs
    from rich.table import Table  # noqa: PLC0415 - the same

    with Live(refresh_per_second=4, screen=False) as live:
        while True:
            time.sleep(interval_s)
            try:
                now = ask()
            except OSError:  # the job has ended
                return
            ranks = top.rows(before, now)
            late = top.straggler(ranks)
            table = Table(title=f"job {launcher_pid(job)}", highlight=True)
            *kept, last = top.columns(ranks, live.console.width - 1, 3)
            for i in kept:  # where it is narrow, the last column is what gives way
                table.add_column(top.TITLES[i], no_wrap=True, justify="right")
            table.add_column(top.TITLES[last], overflow="fold")
            for row in ranks:
                cells = row.cells()
                style = "bold red" if row.rank == late else None
                table.add_row(*(cells[i] for i in (*kept, last)), style=style)
            live.update(table)
            before = now


def _trace(options: argparse.Namespace) -> int:
    files = trace.find_traces(options.files)
    merged = trace.merge(files)
    Path(options.output).write_text(json.dumps(merged), encoding="utf-8")
    print(
        f"{options.output}: {len(files)} traces, {len(merged['traceEvents'])} events; open it in "
        f"https://ui.perfetto.dev or chrome://tracing"
    )
    return 0


TOOLS: dict[str, Callable[[argparse.Namespace], int]] = {
    "doctor": _doctor,
    "stack": _stack,
    "top": _top,
    "trace": _trace,
}
