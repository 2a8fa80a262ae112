"""The only place that knows NumPy, CuPy, oneDNN and Numba; arrays are found by their type."""

from disttorch.backends.base import (
    BACKEND_BY_TYPE,
    Backend,
    backend_for,
    backend_of,
    register_backend,
)
