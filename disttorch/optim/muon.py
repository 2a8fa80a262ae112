"""`Muon`: momentum whose update is made orthogonal, for the matrices of hidden layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from disttorch.autograd.grad_mode import enable_grad, no_grad
from disttorch.dtype import bfloat16
from disttorch.ops.create_fill import zeros_like
from disttorch.optim.checks import check_at_least
from disttorch.optim.optimizer import Optimizer
from disttorch.tensor import Tensor

_MAX_NS_STEPS = 100
_ADJUSTMENTS: dict[str | None, Callable[[int, int], float]] = {
    None: lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
}


class Muon(Optimizer):
    """Momentum orthogonalised by Newton-Schulz iterations in bfloat16; 2D parameters only.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_at_least("Learning rate", lr)
        check_at_least("momentum", momentum)
        check_at_least("weight decay", weight_decay)
        if adjust_lr_fn not in _ADJUSTMENTS:
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.size()}"
                    )

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return the value of `closure`, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._update(param, group)
        return loss

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        state, grad = self.state[param], param.grad
        assert grad is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = zeros_like(grad)
        buffer = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
        update = grad.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer
        lr = float(group["lr"])
        scale = lr * _ADJUSTMENTS[group["adjust_lr_fn"]](*param.shape)
        orthogonal = orthogonalised(
            update, group["ns_coefficients"], group["ns_steps"], group["eps"]
        )
        param.mul_(1 - lr * group["weight_decay"])
        param.add_(orthogonal.to(param.dtype), alpha=-scale)


def orthogonalised(
    matrix: Tensor, coefficients: tuple[float, float, float], n_steps: int, eps: float
) -> Tensor:
    """Bring the singular values of a matrix (m, n) near one; bfloat16.

    A fifth-degree polynomial of the matrix, steep at zero, is applied `n_steps` times. Raises
    ValueError for what is no matrix, or other than three coefficients, or 100 steps and more.
    """
    if n_steps >= _MAX_NS_STEPS:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if matrix.dim() != 2:
        raise ValueError("Input tensor gradient must be a 2D matrix")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.to(bfloat16)
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(n_steps):
        gram = (x @ x.T).float()
        # Sums are rounded to bfloat16 once, as PyTorch's fused products are.
        update = (b * gram + c * (gram @ gram)).to(bfloat16)
        x = (a * x.float() + update.float() @ x.float()).to(bfloat16)
    return x.T if tall else x
