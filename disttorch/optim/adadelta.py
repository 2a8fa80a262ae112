"""`Adadelta`: steps scaled by the ratio of past updates to past gradients."""

from __future__ import annotations

from typing import Any

from disttorch.backends import Backend
from disttorch.optim.adam import average_square
from disttorch.optim.checks import check
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class Adadelta(ElementwiseOptimizer):
    """p -= lr * d with d = sqrt(mean of d**2 + eps) / sqrt(mean of g**2 + eps) * g.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def slots(self, group: Group) -> tuple[str, ...]:
        """Averages of squared gradients and of squared updates."""
        return ("square_avg", "acc_delta")

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(lr, rho, eps)."""
        advance(state)
        return number(group["lr"], group), group["rho"], group["eps"]

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Eleven passes over the memory."""
        lr, rho, eps = c
        d, t = scratch[:2]
        squares, deltas = slots
        xp = backend.xp
        average_square(backend, squares, g, rho, t, d)
        xp.add(squares, eps, out=t)
        xp.sqrt(t, out=t)
        xp.add(deltas, eps, out=d)
        xp.sqrt(d, out=d)
        xp.divide(d, t, out=d)
        xp.multiply(d, g, out=d)
        backend.axpby(-lr, d, 1.0, p, t)
        average_square(backend, deltas, d, rho, t, d)
