"""The only place that knows NumPy, CuPy, oneDNN and Numba; arrays are found by their type."""

from importlib import import_module

from disttorch.backends.base import (
    BACKEND_BY_TYPE,
    Backend,
    backend_for,
    backend_of,
    register_backend,
)

# PyTorch's switches of libraries, which programs set; each is a module of that name.
_SWITCHES = ("cuda", "cudnn", "mkl", "mps", "openmp", "opt_einsum")


def __getattr__(name: str) -> object:
    if name in _SWITCHES:
        return import_module(f"disttorch.backends.{name}")
    raise AttributeError(f"module 'disttorch.backends' has no attribute {name!r}")
