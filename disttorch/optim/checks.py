"""Checks of hyper-parameters, one row a name: what is allowed, and PyTorch's text for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.tensor import Tensor


def _not_negative(value: Any) -> bool:
    return bool(value >= 0)


# name: (what the text calls it, the test)
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lr": ("learning rate", _not_negative),
    "momentum": ("momentum value", _not_negative),
    "weight_decay": ("weight_decay value", _not_negative),
    "eps": ("epsilon value", _not_negative),
    "alpha": ("alpha value", _not_negative),
    "lr_decay": ("lr_decay value", _not_negative),
    "momentum_decay": ("momentum_decay value", _not_negative),
    "initial_accumulator_value": ("initial_accumulator_value value", _not_negative),
    "rho": ("rho value", lambda rho: bool(0 <= rho <= 1)),
}


def check(**values: Any) -> None:
    """Raise ValueError with PyTorch's text for a hyper-parameter outside its range."""
    for name, value in values.items():
        if name == "lr" and isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if name == "betas":
            _check_betas(value)
            continue
        called, allowed = _RULES[name]
        if not allowed(value):
            raise ValueError(f"Invalid {called}: {value}")


def _check_betas(betas: Any) -> None:
    for i, beta in enumerate(betas):
        if not 0 <= beta < 1:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_implementation(
    foreach: bool | None, fused: bool | None, differentiable: bool = False
) -> None:
    """Raise RuntimeError for choices of implementation that PyTorch refuses together.

    They change nothing here: there is one implementation, which is blocked and in place.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def check_at_least(called: str, value: Any, least: float = 0) -> None:
    """Raise ValueError, in the words of the newer optimisers, for a value below its bound."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not value >= least:
        raise ValueError(f"{called} should be >= {least} but is: {value}")


def check_scalars(foreach: bool | None, **values: Any) -> None:
    """Raise ValueError for Tensors of several elements, or any where PyTorch takes none."""
    for name, value in values.items():
        if not isinstance(value, Tensor):
            continue
        if foreach:
            raise ValueError(
                f"{name} as a Tensor is not supported for capturable=False and foreach=True"
            )
        if value.numel() != 1:
            raise ValueError(f"Tensor {name} must be 1-element")
