"""`RMSprop`: steps scaled by a running average of squared gradients."""

from __future__ import annotations

from typing import Any

from disttorch.backends import Backend
from disttorch.optim.adam import average_square
from disttorch.optim.checks import check
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class RMSprop(ElementwiseOptimizer):
    """p -= lr * g / (sqrt(mean of g**2) + eps), optionally centred and with momentum.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The average square, a momentum buffer and the average gradient where wanted."""
        buffer = ("momentum_buffer",) if group["momentum"] > 0 else ()
        mean = ("grad_avg",) if group["centered"] else ()
        return ("square_avg", *buffer, *mean)

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(lr, alpha, eps, momentum, centered)."""
        advance(state)
        momentum = number(group["momentum"], group)
        return number(group["lr"], group), group["alpha"], group["eps"], momentum, group["centered"]

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Six to ten passes over the memory."""
        lr, alpha, eps, momentum, centered = c
        t, t2 = scratch[:2]
        xp = backend.xp
        average_square(backend, slots[0], g, alpha, t, t2)
        if centered:
            mean = slots[-1]
            backend.axpby(1 - alpha, g, alpha, mean, t)
            xp.multiply(mean, mean, out=t)
            xp.subtract(slots[0], t, out=t)
            xp.sqrt(t, out=t)
        else:
            xp.sqrt(slots[0], out=t)
        xp.add(t, eps, out=t)
        xp.divide(g, t, out=t)
        if momentum > 0:
            backend.axpby(1.0, t, momentum, slots[1], t2)
            t = slots[1]
        backend.axpby(-lr, t, 1.0, p, t2)
