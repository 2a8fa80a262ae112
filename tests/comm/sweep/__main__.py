"""Every collective x dtype x operation x ranks x size x way: `python -m tests.comm.sweep`.

Each is compared with NumPy, bit for bit where ranks reduce in their order; all_reduce gives all
ranks the same bits, and the same in every round and every job.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from disttorch.comm.group import ProcessGroup
from tests.comm import ranks
from tests.comm.sweep import overlaps
from tests.comm.sweep.checks import CHECKS, MOVING, REDUCING, Case, Surroundings, refused
from tests.comm.sweep.layouts import LAYOUTS
from tests.comm.sweep.model import DTYPES, LARGE, OPS, pool
from tests.comm.sweep.ways import TRANSPORTS, Setting, forced, settings

WORLDS = (1, 2, 3, 5, 8)
SIZES = (0, 1, 7, 1001, LARGE)
_MOST_FAILURES = 20
_JOB_S = 280.0
# Dtypes that every layout is tried with; the others take layouts in turn.
_LAID_OUT = [np.dtype(t) for t in ("i1", "f4", "c16")]


@dataclass
class Found:
    """What a rank found: how many checks, a digest of what all ranks must have, and failures."""

    n_checks: int = 0
    digests: list[bytes] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def cases(setting: Setting) -> list[Case]:
    """The whole product for a setting."""
    found: list[Case] = []
    for name, op, dtype, size, edges, layout in _product(setting):
        number = len(found)
        chosen = layout or LAYOUTS[number % len(LAYOUTS)]
        found.append(Case(number, name, op, dtype, size, edges, chosen, number % 3 == 1))
    return found


def _product(setting: Setting) -> Iterator[tuple]:
    reducing, moving = ([n for n in names if setting.serves(n)] for names in (REDUCING, MOVING))
    for op, dtypes in OPS.items():
        for dtype, name, size in itertools.product(dtypes, reducing, SIZES):
            yield name, op, dtype, size, True, ""
    for dtype, name, size in itertools.product(DTYPES, moving, SIZES):
        yield name, None, dtype, size, True, ""
    some = next(iter(OPS))
    for dtype, name, size, layout in itertools.product(
        _LAID_OUT, [*reducing, *moving], SIZES, LAYOUTS
    ):
        yield name, some if name in REDUCING else None, dtype, size, False, layout


def body(group: ProcessGroup, setting: Setting, chosen: list[Case], rounds: int) -> Found:
    """Run cases on one rank."""
    found = Found()
    window = group.allocate(LARGE * 16 + 4096) if setting.windows else None
    around = Surroundings(group, setting.exact, window, 4 if setting.moved else 1)
    for case in chosen:
        first = b""
        for n_round in range(rounds):
            try:
                bits = CHECKS[case.name](around, case)()
                digest = hashlib.blake2b(bits or b"", digest_size=8).digest()
                first = first or digest
                assert digest == first, f"{case}: other bits in round {n_round}"
            except AssertionError:
                if len(found.failures) < _MOST_FAILURES:
                    found.failures.append(traceback.format_exc())
            found.n_checks += 1
        found.digests.append(first)
    return found


def check_refusals(group: ProcessGroup) -> int:
    """What an operation is not defined for is refused; returns how many pairs that are."""
    pairs = [(op, d) for op, dtypes in OPS.items() for d in DTYPES if d not in dtypes]
    for op, dtype in pairs:
        refused(group, op, dtype)
    group.barrier()
    return len(pairs)


def run(setting: Setting, n_ranks: int, chosen: list[Case], rounds: int = 1) -> Found:
    """Run cases as one job; what rank 0 found, with all ranks' failures."""
    with forced(setting, n_ranks), np.errstate(all="ignore"):
        found = ranks.run_ranks(n_ranks, lambda g: body(g, setting, chosen, rounds))
    failures = [text for each in found for text in each.failures]
    for case, digests in zip(chosen, zip(*(each.digests for each in found), strict=True),
                             strict=True):  # fmt: skip
        if len(set(digests)) > 1:
            failures.append(f"{case}: ranks have different bits")
    return Found(sum(each.n_checks for each in found), found[0].digests, failures)


def overlapping(setting: Setting, n_ranks: int, sizes: Sequence[int] = (1, 100, 5001)) -> int:
    """Run the collectives whose arrays overlap; returns how many checks that were."""

    def every(group: ProcessGroup) -> int:
        return sum(overlaps.check(group, n) for n in sizes)

    with forced(setting, n_ranks):
        return sum(ranks.run_ranks(n_ranks, every))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--transport", choices=TRANSPORTS, action="append")
    parser.add_argument("--ranks", type=int, choices=WORLDS, action="append")
    parser.add_argument("--way", default="", help="settings whose name has this in it")
    parser.add_argument("--check", default="", help="checks whose name begins with this")
    parser.add_argument("--every", type=int, default=1, help="one case of so many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--rounds", type=int, default=1, help="of each case, in one job")
    parser.add_argument("--jobs", type=int, default=1, help="of all that, with the same bits")
    return parser.parse_args()


def main() -> int:
    """Run what the arguments ask for; the exit status tells whether anything was wrong."""
    asked, total, n_wrong = parsed(), 0, 0
    ranks.TEST_TIMEOUT_S = _JOB_S
    for dtype, edges in itertools.product(DTYPES, (False, True)):
        # Made once, before the ranks are forked.
        pool(dtype, edges)
    for transport, n_ranks in itertools.product(asked.transport or TRANSPORTS,
                                                asked.ranks or WORLDS):  # fmt: skip
        for setting in settings(transport, asked.way):
            whole = [case for case in cases(setting) if case.name.startswith(asked.check)]
            chosen = whole[asked.first :: asked.every]
            started_s, bits, failures, n_checks = time.monotonic(), set(), [], 0
            for _ in range(asked.jobs):
                found = run(setting, n_ranks, chosen, asked.rounds)
                bits.add(tuple(found.digests))
                failures += found.failures
                n_checks += found.n_checks
            if not asked.check:
                n_checks += overlapping(setting, n_ranks)
            if len(bits) > 1:
                failures.append("jobs have different bits")
            total, n_wrong = total + n_checks, n_wrong + len(failures)
            print(f"{transport:7} {n_ranks} ranks {setting.name:10} {len(chosen):6} cases "
                  f"{n_checks:8} checks {time.monotonic() - started_s:6.1f} s "
                  f"{len(failures)} wrong", flush=True)  # fmt: skip
            for text in failures[:_MOST_FAILURES]:
                print(text)
    pairs = ranks.run_ranks(1, check_refusals)[0]
    print(f"{total} checks, {n_wrong} wrong; {pairs} refusals")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
