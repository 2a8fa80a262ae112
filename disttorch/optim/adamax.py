"""`Adamax`: Adam with the largest recent gradient in place of the average square."""

from __future__ import annotations

from typing import Any

from disttorch.backends import Backend
from disttorch.optim.checks import check
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class Adamax(ElementwiseOptimizer):
    """p -= lr / (1 - beta1**t) * m / u with u = max(beta2 * u, |g| + eps).

    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check(lr=lr, eps=eps, betas=betas, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The average gradient and the weighted infinity norm."""
        return ("exp_avg", "exp_inf")

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(beta1, beta2, bias-corrected step size, eps)."""
        step = advance(state)
        beta1, beta2 = group["betas"]
        return beta1, beta2, number(group["lr"], group) / (1 - beta1**step), group["eps"]

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Seven passes over the memory."""
        beta1, beta2, step_size, eps = c
        t, t2 = scratch[:2]
        mean, norm = slots
        xp = backend.xp
        backend.axpby(1 - beta1, g, beta1, mean, t)
        xp.abs(g, out=t)
        xp.add(t, eps, out=t)
        xp.multiply(norm, beta2, out=norm)
        xp.maximum(norm, t, out=norm)
        xp.divide(mean, norm, out=t)
        backend.axpby(-step_size, t, 1.0, p, t2)
