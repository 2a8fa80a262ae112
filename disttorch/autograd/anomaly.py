"""Anomaly mode: remember where each node was recorded, and refuse NaN gradients."""

from __future__ import annotations

import warnings


class _State:
    """Switches of the whole process, as PyTorch's are."""

    __slots__ = ("check_nan", "enabled")

    def __init__(self) -> None:
        self.enabled, self.check_nan = False, True


STATE = _State()


def is_anomaly_enabled() -> bool:
    """Return whether anomaly detection is on."""
    return STATE.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Return whether NaN gradients are refused while anomaly detection is on."""
    return STATE.check_nan


class set_detect_anomaly:
    """Switch anomaly detection on or off, at once and, as a context, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = (STATE.enabled, STATE.check_nan)
        STATE.enabled, STATE.check_nan = mode, check_nan

    def __enter__(self) -> None:
        """Do nothing: the switch is already set."""

    def __exit__(self, *_: object) -> None:
        STATE.enabled, STATE.check_nan = self._before


class detect_anomaly(set_detect_anomaly):
    """Context in which failing backward formulas print where their forward was called."""

    def __init__(self, check_nan: bool = True) -> None:
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )
        super().__init__(True, check_nan)


def report(node_name: str, forward_stack: str | None) -> None:
    """Warn with the place where the failing node was recorded."""
    where = forward_stack or "(recorded before anomaly detection was enabled)\n"
    warnings.warn(
        f"Error detected in {node_name}. Traceback of forward call that caused the error:\n{where}",
        stacklevel=2,
    )
