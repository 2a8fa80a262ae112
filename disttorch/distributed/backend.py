"""Names of backends, and which of them there are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_OURS = ("zmq", "gloo", "shm")
_RESERVED = {"nccl", "mpi", "ucc", "xccl"}


class _BackendPlugin(NamedTuple):
    """How a registered backend makes its groups."""

    creator_fn: Callable[..., Any]
    extended_api: bool


class Backend(str):
    """A backend's name in lower case, as in PyTorch: ``Backend("GLOO") == "gloo"``."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"
    ZMQ = "zmq"
    backend_list = [UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI, ZMQ]  # noqa: RUF012 - PyTorch's
    default_device_backend_map = {"cpu": ZMQ, "cuda": ZMQ}  # noqa: RUF012 - the same
    backend_capability = {  # noqa: RUF012 - the same
        ZMQ: ["cpu", "cuda"],
        GLOO: ["cpu", "cuda"],
        UCC: ["cpu", "cuda"],
        MPI: ["cpu", "cuda"],
        NCCL: ["cuda"],
        XCCL: ["xpu"],
    }
    _plugins: dict[str, _BackendPlugin] = {}  # noqa: RUF012 - the same

    def __new__(cls, name: str) -> Backend:
        """Return the name; ValueError if it is no string."""
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, got {name!r}")
        return super().__new__(cls, name.lower())

    @classmethod
    def register_backend(
        cls,
        name: str,
        func: Callable[..., Any],
        extended_api: bool = False,
        devices: str | Sequence[str] | None = None,
    ) -> None:
        """Let `init_process_group` and `new_group` take `name`.

        ``func(store, rank, size, timeout)``, or with `extended_api` ``func(options, pg_options)``,
        returns this rank's group, of a class derived from `ProcessGroup`.
        """
        if not hasattr(cls, name.upper()):
            setattr(cls, name.upper(), name.lower())
        if name.lower() not in cls.backend_list:
            cls.backend_list.append(name.lower())
        if devices is None:
            warnings.warn(
                f"Device capability of {name} unspecified, assuming `cpu` and `cuda` or `xpu`. "
                "Please specify it via the `devices` argument of `register_backend`.",
                stacklevel=2,
            )
            devices = ["cpu", "cuda"]
        devices = [devices] if isinstance(devices, str) else list(devices)
        for device in devices:
            cls.default_device_backend_map.setdefault(device, name.lower())
        cls.backend_capability[name.lower()] = devices
        cls._plugins[name.upper()] = _BackendPlugin(func, extended_api)


_PAIRS = (
    "The custom backend string argument is invalid: {0}.\n                Custom backend string is "
    "an experimental feature where the backend string must be in the format:\n                "
    "\"<device_type1>:<backend1>,<device_type2>:<backend2>...\". e.g. 'cpu:gloo,cuda:nccl'"
)


class BackendConfig:
    """The backend of each kind of device that a name, or ``cpu:gloo,cuda:nccl``, stands for."""

    def __init__(self, backend: str) -> None:
        name = str(backend).lower()
        if name == Backend.UNDEFINED:
            pairs = [f"cpu:{Backend.default_device_backend_map['cpu']}"]
        elif name in Backend.backend_list:
            pairs = [f"{device}:{name}" for device in Backend.backend_capability[name]]
        elif ":" in name:
            pairs = name.split(",")
        else:
            warnings.warn(
                f"Device capability of {name} unknown, assuming `cpu` and `cuda`. You can specify "
                "it in `device:backend` format in `init_process_group` call.",
                stacklevel=2,
            )
            pairs = [f"{device}:{name}" for device in ("cpu", "cuda", "xpu")]
        self.device_backend_map: dict[str, Backend] = {}
        for pair in pairs:
            device, _, of_device = pair.partition(":")
            if pair.count(":") != 1:
                raise ValueError(f"Invalid device:backend pairing: {pair}. {_PAIRS.format(name)}")
            if device in self.device_backend_map:
                raise ValueError(
                    f"Duplicate device type {device} in backend string: {of_device}. "
                    f"{_PAIRS.format(name)}"
                )
            self.device_backend_map[device] = Backend(of_device)

    def __repr__(self) -> str:
        return ",".join(f"{device}:{name}" for device, name in self.device_backend_map.items())

    def get_device_backend_map(self) -> dict[str, Backend]:
        """Return the backend of each kind of device."""
        return self.device_backend_map


def plugin_of(backend: str | None) -> _BackendPlugin | None:
    """How the registered backend of CPU tensors is made, None if that is the built-in one."""
    if backend is None or not Backend._plugins:
        return None
    by_device = dict(part.rpartition(":")[::2] for part in str(backend).split(","))
    name = by_device.get("cpu") or next(iter(by_device.values()))
    return Backend._plugins.get(name.upper())


def check_backend(backend: str | None) -> None:
    """Raise for a name that is not ours: RuntimeError if PyTorch has it, else ValueError.

    "gloo" is taken as our own transport, with a note.
    """
    if backend is None:
        return
    backend = Backend(backend)
    names = [part.partition(":")[2] or part for part in backend.split(",")]
    for name in names:
        if name.upper() in Backend._plugins:
            continue
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
    return backend.lower() in _OURS or backend.upper() in Backend._plugins


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


def supports_complex(reduceOp: object) -> bool:
    """Return whether a ReduceOp takes complex numbers."""
    return getattr(reduceOp, "name", "").partition("(")[0] in {
        *("SUM", "AVG", "PRODUCT", "PREMUL_SUM"),
    }
