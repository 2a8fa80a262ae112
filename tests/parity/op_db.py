"""Compare with PyTorch's operators on PyTorch's own samples.

python -m tests.parity.op_db 'cumsum|linalg' -v     entries by regular expression, failures shown
python -m tests.parity.op_db --write docs/parity.md the whole table, written for readers
"""

from __future__ import annotations

import argparse
import re
import sys
import time

from tests.parity import op_entries
from tests.parity.op_checks import Outcome, run_entry


def main(arguments: list[str] | None = None) -> int:
    """Print one line an entry, and a summary; status 1 if any entry failed."""
    options = _options().parse_args(arguments)
    chosen = [op for op in op_entries.entries() if re.search(options.names, op_entries.label(op))]
    started = time.monotonic()
    outcomes = []
    for op in chosen:
        outcome = run_entry(op, options.most)
        outcomes.append(outcome)
        if options.verbose or not outcome.passed:
            _show(outcome, options.verbose, options.failures)
    passed = sum(o.passed for o in outcomes)
    errors = sum(o.errors for o in outcomes)
    print(
        f"{passed} of {len(outcomes)} entries pass ({100 * passed / max(1, len(outcomes)):.1f} %), "
        f"{sum(o.agreed for o in outcomes)} of {sum(o.samples for o in outcomes)} samples, "
        f"{sum(o.errors_agreed for o in outcomes)} of {errors} error texts; "
        f"{time.monotonic() - started:.0f} s"
    )
    if options.write:
        from tests.parity.report import write_report

        write_report(options.write, outcomes)
    return int(passed < len(outcomes))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.parity.op_db")
    parser.add_argument("names", nargs="?", default="", help="regular expression of entries")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each failing sample")
    parser.add_argument("--failures", type=int, default=12, help="kinds of failures shown an entry")
    parser.add_argument("--most", type=int, help="at most about this many samples a dtype")
    parser.add_argument("--write", metavar="FILE", help="write the table as Markdown")
    return parser


def _show(outcome: Outcome, verbose: bool, most: int) -> None:
    if outcome.missing:
        print(f"MISSING  {outcome.label}", flush=True)
        return
    verdict = "ok      " if outcome.passed else "FAILED  "
    errors = f", {outcome.errors_agreed}/{outcome.errors} errors" if outcome.errors else ""
    print(f"{verdict} {outcome.label}: {outcome.agreed}/{outcome.samples}{errors}", flush=True)
    if verbose:
        kinds: dict[str, list[str]] = {}
        for failure in outcome.failures:  # the same complaint about many samples is told once
            kinds.setdefault(failure.split("\n")[-1], []).append(failure)
        for alike in list(kinds.values())[:most]:
            more = f"  (and {len(alike) - 1} more samples)" if alike[1:] else ""
            print(f"  {alike[0]}{more}")
        if len(kinds) > most:
            print(f"  ... and {len(kinds) - most} other complaints")


if __name__ == "__main__":
    sys.exit(main())
