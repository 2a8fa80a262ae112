"""`Rprop`: steps that depend on the gradient's sign only."""

from __future__ import annotations

from typing import Any

from disttorch.backends import Backend
from disttorch.optim.checks import check
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance, number
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class Rprop(ElementwiseOptimizer):
    """p -= sign(g) * s; s grows while the sign stays and shrinks when it turns.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr=lr)
        if not 0 < etas[0] < 1 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The last gradient and each element's step size."""
        return ("prev", "step_size")

    def initial(self, name: str, param: Tensor, group: Group) -> Array:
        """Step sizes start at the learning rate."""
        lr = number(group["lr"], group)
        start = complex(lr, lr) if param.is_complex() else lr
        return param.backend.xp.full_like(param._array, start if name == "step_size" else 0)

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(factor on a turn, factor while the sign stays, smallest step, largest step)."""
        advance(state)
        return *group["etas"], *group["step_sizes"]

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Eleven passes over the memory and two boolean masks."""
        xp = backend.xp
        shrink, grow, smallest, largest = c
        t, factor = scratch[:2]
        prev, size = slots
        xp.multiply(g, prev, out=t)
        turned = t < 0
        factor.fill(1)
        factor[t > 0] = grow
        factor[turned] = shrink
        xp.multiply(size, factor, out=size)
        xp.clip(size, smallest, largest, out=size)
        xp.copyto(prev, g)
        prev[turned] = 0
        xp.sign(prev, out=t)
        xp.multiply(t, size, out=t)
        xp.subtract(p, t, out=p)
