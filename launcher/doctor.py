"""`disttorch doctor`: what this machine offers a job; what is not fine says what to do about it."""

import ctypes
import enum
import importlib
import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from disttorch import linux
from disttorch_launcher.cores import available_cores
from disttorch_launcher.run_directory import choose_base

WANTED_FDS = 1024
WANTED_FREE_NBYTES = 16 << 20
REACH_S = 3.0


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


def examine(endpoints: Sequence[str] = ()) -> list[Finding]:
    """All findings, each from a check that ran now; `endpoints` (host:port) must answer."""
    return [check() for check in CHECKS] + [_endpoint(text) for text in endpoints]


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
    if not linux.has_memfd():
        advice = "ranks on one host need Linux"
        return Finding("shared memory", Verdict.BROKEN, "no memfd on this system", advice)
    fd = linux.memfd_create("disttorch-doctor")
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


def _threads() -> Finding:
    """What the environment says about threads, which decides for every library at once."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    found = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    cores = int(max(1, available_cores()))
    many = [f for f in found if f.partition("=")[2].isdigit() and int(f.partition("=")[2]) > cores]
    if many:
        advice = f"unset {many[0].partition('=')[0]}: {cores} cores cannot run so many at once"
        return Finding("threads", Verdict.SLOWER, ", ".join(found), advice)
    text = ", ".join(found) or "not set: each rank gets its share of the cores"
    return Finding("threads", Verdict.FINE, text)


def _onednn() -> Finding:
    """Whether the library behind convolutions loads here."""
    if not _installed("onednn-cpu-gomp"):
        return Finding("onednn", Verdict.FINE, "not installed: convolutions by NumPy's BLAS")
    try:
        files = metadata.files("onednn-cpu-gomp") or ()
        path = next(str(file.locate()) for file in files if ".so" in file.name)
        ctypes.CDLL(path)
    except (StopIteration, OSError) as error:
        advice = "reinstall it: python -m pip install --force-reinstall onednn-cpu-gomp"
        return Finding("onednn", Verdict.SLOWER, f"does not load: {error!r}", advice)
    return Finding("onednn", Verdict.FINE, metadata.version("onednn-cpu-gomp"))


def _nccl() -> Finding:
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return Finding("nccl", Verdict.FINE, "not needed without a GPU")
    found = [name for name in ("nvidia-nccl-cu12", "nvidia-nccl-cu13") if _installed(name)]
    advice = "" if found else "python -m pip install 'disttorch[cuda12]' or [cuda13]"
    verdict = Verdict.FINE if found else Verdict.SLOWER
    return Finding("nccl", verdict, ", ".join(found) or "not installed", advice)


def _run_base() -> Finding:
    """Room for sockets and status pages, and what jobs that were killed have left there."""
    try:
        base = choose_base(os.environ)
        free = shutil.disk_usage(base).free
    except OSError as error:
        return Finding("run directory", Verdict.BROKEN, str(error), "set TMPDIR to such a place")
    if free < WANTED_FREE_NBYTES:
        advice = f"make room in {base}, or set XDG_RUNTIME_DIR to another place"
        return Finding("run directory", Verdict.BROKEN, f"{base}: {free >> 20} MiB free", advice)
    return Finding("run directory", Verdict.FINE, f"{base}, {free >> 20} MiB free")


def _endpoint(text: str) -> Finding:
    """Whether host 0 of a job of several hosts can be reached from here."""
    host, _, port = text.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S):
            return Finding("peer", Verdict.FINE, f"{text} answers")
    except (OSError, ValueError, OverflowError) as error:
        advice = "start host 0 first (--node-rank 0); then look at names, routes and firewalls"
        return Finding("peer", Verdict.BROKEN, f"{text}: {error}", advice)


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
    _run_base,
    _open_files,
    _threads,
    _fast,
    _onednn,
    _gpus,
    _nccl,
)
