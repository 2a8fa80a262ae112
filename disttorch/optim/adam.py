"""`Adam` and `AdamW`: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from typing import Any

from disttorch.backends import Backend
from disttorch.optim.checks import check, check_implementation, check_scalars
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number, root
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


def average_square(
    backend: Backend, mean: Array, x: Array, beta: float, t: Array, t2: Array
) -> None:
    """Do ``mean = beta * mean + (1 - beta) * x**2`` in place; overwrites `t` and `t2`."""
    backend.xp.multiply(x, x, out=t)
    backend.axpby(1 - beta, t, beta, mean, t2)


class Adam(ElementwiseOptimizer):
    """p -= lr * m / (sqrt(v) + eps), where m and v are bias-corrected averages of g and g**2.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        blocked = foreach and not capturable
        check_scalars(blocked, lr=lr)
        check(lr=lr, eps=eps, betas=betas, weight_decay=weight_decay)
        if len({isinstance(beta, Tensor) for beta in betas}) > 1 or not all(
            isinstance(beta, (float, Tensor)) for beta in betas
        ):
            raise ValueError("betas must be either both floats or both Tensors")
        check_scalars(blocked, **{f"betas[{i}]": b for i, b in enumerate(betas)})
        defaults = {
            "lr": lr,
            "betas": tuple(b.squeeze() if isinstance(b, Tensor) else b for b in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_implementation(foreach, fused, differentiable)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The two averages, and with amsgrad the largest second one so far."""
        maxima = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return ("exp_avg", "exp_avg_sq", *maxima)

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(beta1, beta2, step size, eps), bias corrections moved into the last two."""
        step = advance(state)
        beta1, beta2 = (number(beta, group) for beta in group["betas"])
        scale = root(1 - beta2**step)
        step_size = number(group["lr"], group) / (1 - beta1**step) * scale
        return beta1, beta2, step_size, group["eps"] * scale

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Seven passes over the memory: p -= step * m / (sqrt(v) + eps)."""
        beta1, beta2, step_size, eps = c
        t, t2 = scratch[:2]
        m, v = slots[:2]
        xp = backend.xp
        backend.axpby(1 - beta1, g, beta1, m, t)
        average_square(backend, v, g, beta2, t, t2)
        if len(slots) == 3:
            v = xp.maximum(slots[2], v, out=slots[2])
        xp.sqrt(v, out=t)
        xp.add(t, eps, out=t)
        xp.divide(m, t, out=t)
        backend.axpby(-step_size, t, 1.0, p, t2)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters directly, beside the gradient step.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            *(params, lr, betas, eps, weight_decay, amsgrad),
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
