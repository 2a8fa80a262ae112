"""`RAdam`: Adam that waits with adaptive steps until its variance estimate can be trusted."""

from __future__ import annotations

from typing import Any

from disttorch.backends import Backend
from disttorch.optim.adam import average_square
from disttorch.optim.checks import check
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number, root
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor

# Below this length of the approximated moving average the variance is intractable: plain momentum.
_TRACTABLE = 5.0


class RAdam(ElementwiseOptimizer):
    """Adam with a rectified second moment.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr=lr, eps=eps, betas=betas, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The averages of the gradient and of its square."""
        return ("exp_avg", "exp_avg_sq")

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(beta1, beta2, eps, step size, whether the step is adaptive)."""
        step = advance(state)
        beta1, beta2 = group["betas"]
        correction = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction
        size = number(group["lr"], group) / (1 - beta1**step)
        if length <= _TRACTABLE:
            return beta1, beta2, group["eps"], size, False
        rectified = (length - 4) * (length - 2) * longest
        size *= root(correction * rectified / ((longest - 4) * (longest - 2) * length))
        return beta1, beta2, group["eps"], size, True

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Four passes over the memory, seven once steps are adaptive."""
        beta1, beta2, eps, size, adaptive = c
        t, t2 = scratch[:2]
        m, v = slots
        xp = backend.xp
        backend.axpby(1 - beta1, g, beta1, m, t)
        average_square(backend, v, g, beta2, t, t2)
        if adaptive:
            xp.sqrt(v, out=t)
            xp.add(t, eps, out=t)
            m = xp.divide(m, t, out=t)
        backend.axpby(-size, m, 1.0, p, t2)
