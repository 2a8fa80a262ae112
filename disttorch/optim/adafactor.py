"""`Adafactor`: second moments of matrices kept as a row and a column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.grad_mode import enable_grad, no_grad
from disttorch.dtype import finfo
from disttorch.ops.create_fill import zeros, zeros_like
from disttorch.optim.checks import check_at_least
from disttorch.optim.elementwise import advance, scalar
from disttorch.optim.optimizer import Group, Optimizer
from disttorch.tensor import Tensor


class Adafactor(Optimizer):
    """Steps relative to the parameter's size, clipped; state of a matrix is a row and a column.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_at_least("Learning rate", lr)
        if not beta2_decay <= 0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None:
            check_at_least("epsilon1", eps[0])
        check_at_least("epsilon2", eps[1])
        check_at_least("Clipping threshold d", d, 1)
        check_at_least("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return the value of `closure`, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if param.is_complex():
                    raise RuntimeError("Adafactor does not support complex parameters")
                _update(param, -param.grad if group["maximize"] else param.grad, self, group)
        return loss


def _init_state(param: Tensor, state: dict[str, Any]) -> None:
    state["step"] = scalar(param.backend, 0.0)
    shape = list(param.shape)
    if param.dim() > 1:
        options: Any = {"dtype": param.dtype, "device": param.device}
        state["row_var"] = zeros(*shape[:-1], 1, **options)
        state["col_var"] = zeros(*shape[:-2], 1, shape[-1], **options)
    else:
        state["variance"] = zeros_like(param.detach())


def _mean_square(g: Tensor, dim: int) -> Tensor:
    return g.norm(2, dim, True).square_().div_(g.size(dim))


def _update(param: Tensor, grad: Tensor, optimizer: Optimizer, group: Group) -> None:
    """One step of one parameter."""
    state = optimizer.state[param]
    if not state:
        _init_state(param, state)
    step = advance(state)
    lr = float(group["lr"])
    fresh = step ** group["beta2_decay"]  # weight of this step's squares in the averages
    eps1, eps2 = group["eps"]
    eps1 = finfo(param.dtype).eps if eps1 is None else eps1
    n_root = param.numel() ** 0.5
    alpha = max(eps2, param.norm(2).item() / n_root) * min(lr, step**-0.5)
    if group["weight_decay"] != 0:
        param.mul_(1 - lr * group["weight_decay"])
    if grad.dim() > 1:
        row = state["row_var"].lerp_(_mean_square(grad, -1), fresh)
        col = state["col_var"].lerp_(_mean_square(grad, -2), fresh)
        estimate = (row @ col).div_(row.mean(dim=-2, keepdim=True).clamp_(min=eps1))
    else:
        estimate = state["variance"].lerp_(grad * grad, fresh).clone()
    # eps1 is a bound of the root, hence its square of what the root is taken from.
    update = estimate.clamp_(min=eps1 * eps1).rsqrt_().mul_(grad)
    clipped = max(1.0, update.norm(2).item() / (n_root * group["d"]))
    param.add_(update, alpha=-alpha / clipped)
