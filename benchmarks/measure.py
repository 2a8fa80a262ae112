"""Samples of one row for several libraries, taken in turn."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from benchmarks.footprint import import_cost, installed_bytes
from benchmarks.launchers import BodyError, command, output_of
from benchmarks.rows import ROWS, Imported, Installed, Launched, Printed, Share, Timed
from benchmarks.session import session

# A sample lasts about this long, or one step if that is longer.
SAMPLE_S = 0.1
MAX_STEPS = 100_000
# disttorch moves an array that is reduced again and again in the ninth of these.
WARM_UP_STEPS = 10
# Threads of OpenMP and OpenBLAS spin for up to a fifth of a second after their last work: the
# library that is asked next would pay for it, and its own have fallen asleep meanwhile.
SETTLE_S = 0.25

Sampler = Callable[[], float]
Samples = dict[str, list[float]]


def samples_of(row: str, libraries: Sequence[str], rounds: int) -> tuple[Samples, dict[str, str]]:
    """`rounds` samples for each library, in turn, and what went wrong for those that failed."""
    samples: Samples = {library: [] for library in libraries}
    failures: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        samplers: dict[str, Sampler] = {}
        for library in libraries:
            with _collected(failures, library):
                samplers[library] = _sampler(row, library, stack)
        for _ in range(rounds):
            for library, sampler in samplers.items():
                if library not in failures:
                    with _collected(failures, library):
                        samples[library].append(sampler())
    return {name: taken for name, taken in samples.items() if name not in failures}, failures


@contextlib.contextmanager
def _collected(failures: dict[str, str], library: str):
    """A library that cannot do a row must not keep the other from it: note it and go on."""
    try:
        yield
    except BodyError as error:
        failures[library] = str(error)


def _sampler(row: str, library: str, stack: contextlib.ExitStack) -> Sampler:
    """What takes one sample of `row`; bodies that stay alive end with `stack`."""
    kind = ROWS[row].kind
    match kind:
        case Timed(n_ranks=n_ranks):
            body = stack.enter_context(session(library, row, n_ranks))
            return partial(_settled, body.seconds, _n_steps(body.seconds))
        case Launched(script=script, n_ranks=n_ranks):
            return partial(_run_to_end, library, script, n_ranks)
        case Imported(quantity=quantity):
            return lambda: import_cost(library)[quantity]
        case Printed(module=module):
            # Memory does not vary as times do, and takes long to fill.
            return cache(lambda: float(output_of([sys.executable, "-m", module, library])))
        case Share(nbytes=nbytes):
            return cache(partial(_share, library, nbytes))
        case Installed():
            # It is the same in every round.
            return cache(lambda: float(sum(installed_bytes(library).values())))


def _n_steps(seconds: Callable[[int], float]) -> int:
    """Warm a body up, then find how many steps make a sample."""
    seconds(WARM_UP_STEPS)
    n = 1
    while n < MAX_STEPS and (taken := seconds(n) * n) < SAMPLE_S:
        n = min(MAX_STEPS, max(2 * n, int(n * SAMPLE_S / max(taken, 1e-9))))
    return n


def _settled(seconds: Callable[[int], float], n: int) -> float:
    """A sample of `n` steps that begins when the other library's threads have come to rest."""
    time.sleep(SETTLE_S)
    if n > 1:
        seconds(1)
    return seconds(n)


def _share(library: str, nbytes: int) -> float:
    """Per cent of the memory's speed; medians are taken within the one run."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        path, found = Path(__file__).with_name("bandwidth.py"), Path(folder, "share")
        output_of(command(library, 2, [str(path), library, str(nbytes), str(found)]))
        return float(found.read_text())


def _run_to_end(library: str, script: str, n_ranks: int) -> float:
    """Seconds of wall-clock time until the launched script has left."""
    path = str(Path(__file__).with_name(script))
    start = time.perf_counter()
    output_of(command(library, n_ranks, [path]), {**os.environ, "BENCHMARK_LIBRARY": library})
    return time.perf_counter() - start
