"""`Adagrad`: steps scaled by the sum of all squared gradients."""

from __future__ import annotations

from typing import Any

from disttorch.backends import Backend
from disttorch.optim.checks import check, check_implementation
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class Adagrad(ElementwiseOptimizer):
    """p -= lr_t * g / (sqrt(sum of g**2) + eps), lr_t = lr / (1 + (t - 1) lr_decay).

    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_implementation(foreach, fused, differentiable)
        # As in PyTorch the state exists before the first step, so that workers can share it.
        for group in self.param_groups:
            for param in group["params"]:
                self.init_state(param, group)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The sum of squared gradients."""
        return ("sum",)

    def initial(self, name: str, param: Tensor, group: Group) -> Array:
        """The sum starts at `initial_accumulator_value`, in both parts of a complex number."""
        value = group["initial_accumulator_value"]
        start = complex(value, value) if param.is_complex() else value
        return param.backend.xp.full_like(param._array, start)

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(lr of this step, eps)."""
        step = advance(state)
        return number(group["lr"], group) / (1 + (step - 1) * group["lr_decay"]), group["eps"]

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Six passes over the memory."""
        lr, eps = c
        t, t2 = scratch[:2]
        (total,) = slots
        xp = backend.xp
        xp.multiply(g, g, out=t)
        xp.add(total, t, out=total)
        xp.sqrt(total, out=t)
        xp.add(t, eps, out=t)
        xp.divide(g, t, out=t)
        backend.axpby(-lr, t, 1.0, p, t2)
