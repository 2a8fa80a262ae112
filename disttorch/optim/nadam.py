"""`NAdam`: Adam with Nesterov momentum."""

from __future__ import annotations

from typing import Any, ClassVar

from disttorch.backends import Backend
from disttorch.optim.adam import average_square
from disttorch.optim.checks import check
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number, root
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class NAdam(ElementwiseOptimizer):
    """Adam whose step looks one momentum step ahead.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html
    """

    scalars: ClassVar[dict[str, float]] = {"step": 0.0, "mu_product": 1.0}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr=lr, eps=eps, betas=betas, weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The averages of the gradient and of its square."""
        return ("exp_avg", "exp_avg_sq")

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(beta1, beta2, eps, weight of the gradient, weight of the average)."""
        step = advance(state)
        beta1, beta2 = group["betas"]
        mu, mu_next = (
            beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1)
        )
        product = state["mu_product"]
        product._array[...] *= float(mu)
        reached = float(product._array)
        lr, scale = number(group["lr"], group), root(1 - beta2**step)
        of_gradient = lr * (1 - mu) / (1 - reached) * scale
        of_average = lr * mu_next / (1 - reached * mu_next) * scale
        return beta1, beta2, group["eps"] * scale, of_gradient, of_average

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Nine passes over the memory."""
        beta1, beta2, eps, of_gradient, of_average = c
        t, s = scratch[:2]
        m, v = slots
        xp = backend.xp
        backend.axpby(1 - beta1, g, beta1, m, t)
        average_square(backend, v, g, beta2, t, s)
        xp.multiply(g, of_gradient, out=s)
        backend.axpby(of_average, m, 1.0, s, t)
        xp.sqrt(v, out=t)
        xp.add(t, eps, out=t)
        xp.divide(s, t, out=s)
        xp.subtract(p, s, out=p)
