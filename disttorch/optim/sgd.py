"""`SGD`: gradient descent, with momentum if wanted."""

from __future__ import annotations

from typing import Any, ClassVar

from disttorch.backends import Backend, backend_of
from disttorch.optim.checks import check, check_implementation
from disttorch.optim.elementwise import Array, ElementwiseOptimizer, Preparation, number
from disttorch.optim.optimizer import Group
from disttorch.tensor import Tensor


class SGD(ElementwiseOptimizer):
    """p -= lr * g; with momentum p -= lr * buffer, buffer = momentum * buffer + (1 - dampening) g.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    scalars: ClassVar[dict[str, float]] = {}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check(lr=lr, momentum=momentum, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)
        check_implementation(foreach, fused, differentiable)

    def slots(self, group: Group) -> tuple[str, ...]:
        """A momentum buffer if the group has momentum."""
        return ("momentum_buffer",) if group["momentum"] else ()

    def init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        """Note whether the momentum buffer is new: the first gradient then enters undampened."""
        if not group["momentum"]:
            return {}  # no state at all, as in PyTorch
        fresh = self.state[param].get("momentum_buffer") is None
        state = super().init_state(param, group)
        self._fresh = fresh
        return state

    def _step_param(
        self, param: Tensor, group: Group, names: tuple[str, ...], prepare: Preparation | None
    ) -> None:
        """One pass over the memory where there is neither momentum nor weight decay."""
        p = param._array
        if not names and prepare is None:
            lr = float(group["lr"])
            if backend_of(p).add_scaled(p, param._grad._array, -lr):  # type: ignore[union-attr]
                param._cell[0] += 1
                return
        super()._step_param(param, group, names, prepare)

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """(lr, momentum, weight of the gradient or None for the first one, nesterov)."""
        momentum = number(group["momentum"], group)
        new: Any = 1 - number(group["dampening"], group)
        if momentum and self._fresh:
            # PyTorch records nothing of the first gradient's way into the buffer.
            new = None if group["differentiable"] else 1.0
        return number(group["lr"], group), momentum, new, group["nesterov"]

    @staticmethod
    def update(
        backend: Backend, p: Array, g: Array, slots: list[Array], scratch: list[Array], c: Any
    ) -> None:
        """One pass over the memory without momentum, two or three with it."""
        lr, momentum, new, nesterov = c
        t = scratch[0]
        if slots:
            (buffer,) = slots
            if new is None:
                buffer[...] = g
            else:
                backend.axpby(new, g, momentum, buffer, t)
            if nesterov:
                backend.axpby(-lr * momentum, buffer, 1.0, p, t)
            else:
                g = buffer
        backend.axpby(-lr, g, 1.0, p, t)
