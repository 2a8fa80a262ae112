"""Names of backends, and which of them there are."""

from __future__ import annotations

import warnings

_OURS = ("zmq", "gloo", "shm")
_RESERVED = {"nccl", "mpi", "ucc", "xccl"}


class Backend(str):
    """A backend's name in lower case, as in PyTorch: ``Backend("GLOO") == "gloo"``."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"
    ZMQ = "zmq"
    backend_list = (UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI, ZMQ)

    def __new__(cls, name: str) -> Backend:
        """Return the name; ValueError if it is no string."""
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, got {name!r}")
        return super().__new__(cls, name.lower())


def check_backend(backend: str | None) -> None:
    """Raise for a name that is not ours: RuntimeError if PyTorch has it, else ValueError.

    "gloo" is taken as our own transport, with a note.
    """
    if backend is None:
        return
    backend = Backend(backend)
    names = [part.partition(":")[2] or part for part in backend.split(",")]
    for name in names:
        if name in _RESERVED:
            raise RuntimeError(
                f"Distributed package doesn't have {name.upper()} built in; use "
                'init_process_group() or backend="zmq"'
            )
        if name not in _OURS:
            raise ValueError(f"Invalid backend: '{backend}'; expected one of {list(_OURS)}")
    if "gloo" in names:
        warnings.warn(
            'backend "gloo" means disttorch\'s own transport here; "zmq" is its name',
            stacklevel=4,
        )


def is_backend_available(backend: str) -> bool:
    """Return whether `init_process_group` takes this name."""
    return backend.lower() in _OURS


def is_gloo_available() -> bool:
    """Return True: "gloo" is accepted as a name of the built-in transport."""
    return True


def is_mpi_available() -> bool:
    """Return False: the name is reserved."""
    return False


def is_nccl_available() -> bool:
    """Return False: the name is reserved."""
    return False


def is_ucc_available() -> bool:
    """Return False: the name is reserved."""
    return False


def is_xccl_available() -> bool:
    """Return False: the name is reserved."""
    return False


def get_default_backend_for_device(device: object) -> str:
    """Return "zmq", which serves all devices."""
    return "zmq"


def supports_complex(reduce_op: object) -> bool:
    """Return whether a ReduceOp takes complex numbers."""
    return getattr(reduce_op, "name", "").partition("(")[0] in {
        *("SUM", "AVG", "PRODUCT", "PREMUL_SUM"),
    }
