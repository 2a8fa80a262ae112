"""Command line: measure rows of the table and print how torch and disttorch compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.launchers import LIBRARIES, installed
from benchmarks.measure import samples_of
from benchmarks.result import Result, machine, renewed, save, text_table
from benchmarks.rows import ROWS


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options; rows that do not exist are refused with the list of those that do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of: {', '.join(ROWS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each row (default: 7)")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="also store every sample; where rows are named, the others that FILE has stay",
    )
    parser.add_argument(
        "--only", choices=LIBRARIES, help="measure one library alone (no ratios then)"
    )
    options = parser.parse_args(arguments)
    if unknown := [row for row in options.rows if row not in ROWS]:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.rows and options.json and options.json.exists():
        try:
            renewed(options.json, [], ROWS)
        except ValueError as error:
            parser.error(str(error))
    return options


def measure(row: str, libraries: Sequence[str], rounds: int) -> Result:
    """All samples of one row; libraries that are not installed are noted as missing."""
    present = [library for library in libraries if installed(library)]
    samples, failures = samples_of(row, present, rounds)
    absent = {library: "not installed" for library in libraries if library not in present}
    return Result(row, ROWS[row].title, ROWS[row].kind.unit, samples, {**absent, **failures})


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, store; status 1 if an installed library could not do a row."""
    options = parse(arguments)
    libraries = (options.only,) if options.only else LIBRARIES
    results = []
    for row in options.rows or ROWS:
        print(f"measuring {row} ...", file=sys.stderr, flush=True)
        results.append(measure(row, libraries, options.rounds))
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(text_table(results))
    failed = False
    for library in libraries:
        if not installed(library):
            print(f"skipped: {library} is not installed, so its column is empty")
    for result in results:
        for library, reason in result.missing.items():
            if reason != "not installed":
                failed = True
                print(f"failed: {library} in {result.row}: {reason}")
    if options.json:
        partial = options.rows and options.json.exists()
        save(options.json, renewed(options.json, results, ROWS) if partial else results)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
