"""`disttorch doctor`: what this machine offers a job; what is not fine says what to do about it."""

import enum
import importlib
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from disttorch_launcher.cores import available_cores
from disttorch_launcher.run_directory import choose_base

WANTED_FDS = 1024


class Verdict(enum.Enum):
    """How a finding is to be taken."""

    FINE = "ok"
    SLOWER = "slow"  # works, but something faster is missing
    BROKEN = "BAD"  # jobs will not run


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` says what to do unless all is fine."""

    subject: str
    verdict: Verdict
    text: str
    advice: str = ""


def examine() -> list[Finding]:
    """All findings, each from a check that ran now."""
    return [check() for check in CHECKS]


def lines(findings: list[Finding]) -> list[str]:
    """The report as text."""
    width = max(len(finding.subject) for finding in findings)
    return [
        f"{finding.verdict.value:>4}  {finding.subject:<{width}}  {finding.text}"
        + (f"\n{'':{width + 8}}-> {finding.advice}" if finding.advice else "")
        for finding in findings
    ]


def _python() -> Finding:
    text = f"{platform.python_version()} ({sys.executable}) on {platform.platform(terse=True)}"
    return Finding("python", Verdict.FINE, text)


def _cores() -> Finding:
    usable, present = available_cores(), os.cpu_count() or 1
    text = f"{usable:g} usable of {present}; --nproc auto starts {max(1, int(usable))} ranks"
    if usable < 1:
        return Finding("cores", Verdict.SLOWER, text, "raise the container's CPU quota to 1 core")
    return Finding("cores", Verdict.FINE, text)


def _numpy() -> Finding:
    try:
        numpy: Any = importlib.import_module("numpy")
    except ImportError as error:
        return Finding("numpy", Verdict.BROKEN, str(error), "python -m pip install 'numpy>=2'")
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    text = f"{numpy.__version__}, BLAS: {blas}"
    if "openblas" not in blas:
        advice = "thread counts are only set for OpenBLAS: set your BLAS's own variable"
        return Finding("numpy", Verdict.SLOWER, text, advice)
    return Finding("numpy", Verdict.FINE, text)


def _zmq() -> Finding:
    """A message through an ipc socket where run directories go."""
    try:
        zmq: Any = importlib.import_module("zmq")
        base = choose_base(os.environ)
        with tempfile.TemporaryDirectory(dir=base) as folder, zmq.Context() as context:
            with context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
                one.bind(f"ipc://{folder}/s")
                other.connect(f"ipc://{folder}/s")
                other.send(b"x")
                answered = one.poll(2000) and one.recv() == b"x"
    except (ImportError, OSError) as error:
        return Finding("zeromq", Verdict.BROKEN, str(error), "python -m pip install pyzmq")
    if not answered:
        advice = "set XDG_RUNTIME_DIR to a directory on a local disk"
        return Finding("zeromq", Verdict.BROKEN, f"no message through a socket in {base}", advice)
    return Finding("zeromq", Verdict.FINE, f"pyzmq {zmq.__version__}; sockets in {base}")


def _shared_memory() -> Finding:
    """Ranks open each other's memfd through /proc/<pid>/fd; look at our own that way."""
    if not hasattr(os, "memfd_create"):
        advice = "ranks on one host need Linux"
        return Finding("shared memory", Verdict.BROKEN, "no memfd on this system", advice)
    fd = os.memfd_create("disttorch-doctor")
    try:
        os.ftruncate(fd, 4096)
        os.close(os.open(f"/proc/{os.getpid()}/fd/{fd}", os.O_RDWR))
    except OSError as error:
        advice = "mount /proc, without hidepid, in this container"
        return Finding("shared memory", Verdict.BROKEN, str(error), advice)
    finally:
        os.close(fd)
    return Finding("shared memory", Verdict.FINE, "memfd, reachable through /proc")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < WANTED_FDS:
        return Finding("open files", Verdict.SLOWER, f"limit {soft}", f"ulimit -n {hard}")
    return Finding("open files", Verdict.FINE, f"limit {soft}")


def _fast() -> Finding:
    have = [name for name in ("onednn-cpu-gomp", "numba") if _installed(name)]
    if os.environ.get("DISTTORCH_FAST") == "0":
        return Finding("fast extra", Verdict.FINE, "switched off by DISTTORCH_FAST=0")
    if len(have) == 2:
        return Finding("fast extra", Verdict.FINE, ", ".join(have))
    advice = "python -m pip install 'disttorch[fast]' makes convolutions and optimisers faster"
    return Finding("fast extra", Verdict.SLOWER, ", ".join(have) or "not installed", advice)


def _gpus() -> Finding:
    devices = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    if not devices:
        return Finding("gpu", Verdict.FINE, "no NVIDIA device: ranks compute on the CPU")
    cupy = next((name for name in ("cupy-cuda12x", "cupy-cuda13x") if _installed(name)), "")
    text = f"{', '.join(devices)}; {cupy or 'no CuPy'}"
    advice = "" if cupy else "python -m pip install 'disttorch[cuda12]' or [cuda13]"
    return Finding("gpu", Verdict.FINE if cupy else Verdict.SLOWER, text, advice)


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _cores,
    _numpy,
    _zmq,
    _shared_memory,
    _open_files,
    _fast,
    _gpus,
)
