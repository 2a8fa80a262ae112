"""The only place that knows NumPy, CuPy, oneDNN and Numba: arrays by device, found by array type."""

from disttorch.backends.base import Backend, backend_for, backend_of, register_backend

__all__ = ["Backend", "backend_for", "backend_of", "register_backend"]
