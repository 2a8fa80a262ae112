"""Switches of PyTorch's that programs set: kept and told again, as nothing here depends on them.

Results are the same in every run whatever they say, and float32 products are float32 products.
"""

from __future__ import annotations

_DEBUG_MODES = {"default": 0, "warn": 1, "error": 2}
_values: dict[str, object] = {
    "deterministic": 0,
    "matmul_precision": "highest",
    "warn_always": False,
    "interop_threads": 1,
}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same results in every run, which is so anyway; TypeError for no bool."""
    if not isinstance(mode, bool):
        raise TypeError(
            "_set_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not "
            f"{type(mode).__name__}"
        )
    _values["deterministic"] = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Return what `use_deterministic_algorithms` was given."""
    return bool(_values["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Return whether `use_deterministic_algorithms` was asked only to warn."""
    return _values["deterministic"] == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set 0 or "default", 1 or "warn", 2 or "error".

    Raises TypeError for another type, RuntimeError for another value.
    """
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                f"{debug_mode}"
            )
        debug_mode = _DEBUG_MODES[debug_mode]
    if debug_mode not in _DEBUG_MODES.values():
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _values["deterministic"] = debug_mode


def get_deterministic_debug_mode() -> int:
    """Return 0, 1 or 2: off, warn, error."""
    return _values["deterministic"]  # type: ignore[return-value]


def set_float32_matmul_precision(precision: str) -> None:
    """Say how exact products of float32 must be: they are always "highest"."""
    if precision in ("highest", "high", "medium"):
        _values["matmul_precision"] = precision


def get_float32_matmul_precision() -> str:
    """Return what `set_float32_matmul_precision` was given, "highest" at first."""
    return _values["matmul_precision"]  # type: ignore[return-value]


def set_flush_denormal(mode: bool) -> bool:
    """Return False: the processor's treatment of denormal numbers stays as it is."""
    return False


def get_num_interop_threads() -> int:
    """Return what `set_num_interop_threads` was given, 1 at first."""
    return _values["interop_threads"]  # type: ignore[return-value]


def set_num_interop_threads(num: int) -> None:
    """Say how many operators may run at once: always one. RuntimeError unless positive."""
    if num <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _values["interop_threads"] = num


def set_warn_always(b: bool) -> None:
    """Ask for warnings each time; here Python's own `warnings` filters decide."""
    if not isinstance(b, bool):
        raise RuntimeError(f"setWarnOnlyOnce expects a bool, but got {type(b).__name__}")
    _values["warn_always"] = b


def is_warn_always_enabled() -> bool:
    """Return what `set_warn_always` was given."""
    return _values["warn_always"]  # type: ignore[return-value]
