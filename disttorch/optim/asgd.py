"""`ASGD`: gradient descent that also averages the parameters it passed."""

from __future__ import annotations

from typing import Any, ClassVar

from disttorch.backends import Backend
from disttorch.optim.checks import check
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, advance
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class ASGD(ElementwiseOptimizer):
    """p = (1 - lambd eta) p - eta g with a decaying eta; the average of p is in ``state["ax"]``.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html
    """

    scalars: ClassVar[dict[str, float]] = {"step": 0.0, "eta": 0.0, "mu": 1.0}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check(lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def slots(self, group: Group) -> tuple[str, ...]:
        """The average of the parameters."""
        return ("ax",)

    def init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        """`eta` starts at the learning rate."""
        fresh = not self.state[param]
        state = super().init_state(param, group)
        if fresh:
            state["eta"]._array[...] = float(group["lr"])
        return state

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(factor of the decay, eta, mu) of this step; those of the next go into `state`."""
        step = advance(state)
        eta, mu = float(state["eta"]._array), float(state["mu"]._array)
        lr, lambd = float(group["lr"]), group["lambd"]
        state["eta"]._array[...] = lr / (1 + lambd * lr * step) ** group["alpha"]
        state["mu"]._array[...] = 1 / max(1, step - group["t0"])
        return 1 - lambd * eta, eta, mu

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """Two or three passes over the memory."""
        keep, eta, mu = c
        t = scratch[0]
        (mean,) = slots
        backend.axpby(-eta, g, keep, p, t)
        if mu == 1:
            backend.xp.copyto(mean, p)
        else:
            backend.axpby(mu, p, 1 - mu, mean, t)
