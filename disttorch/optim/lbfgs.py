"""`LBFGS`: a quasi-Newton method that remembers the last steps and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.grad_mode import enable_grad, no_grad
from disttorch.ops.cast_complex import view_as_real
from disttorch.ops.create_fill import zeros
from disttorch.ops.join import cat
from disttorch.optim.checks import check
from disttorch.optim.line_search import Point, strong_wolfe
from disttorch.optim.optimizer import Optimizer
from disttorch.tensor import Tensor

_CURVED = 1e-10  # steps along which the gradient changes less teach nothing
_LINE_TOLERANCE = 1e-9


class LBFGS(Optimizer):
    """Quasi-Newton steps from a limited memory; `step` needs a closure that computes the loss.

    One group of parameters only. `line_search_fn` is None or "strong_wolfe".

    https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check(lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Make up to `max_iter` iterations; return the loss before the first.

        `closure` clears the gradients, computes the loss and its gradients, and returns it.
        """
        closure = enable_grad()(closure)
        group = self.param_groups[0]
        # The memory is the first parameter's state, so that loading casts it as it should.
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        state["func_evals"] += 1
        grad = self._flat_grad()
        if grad.abs().max() <= group["tolerance_grad"]:
            return first_loss
        memory = {key: state.get(key) for key in _MEMORY}
        self._iterate(closure, group, state, memory, float(first_loss), grad)
        state.update(memory)
        return first_loss

    def _iterate(
        self, closure: Any, group: Any, state: Any, memory: Any, loss: float, grad: Tensor
    ) -> None:
        """Iterate until a limit or a tolerance is reached; `memory` is what the next step needs."""
        n_evaluations = 1
        for n in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            first = state["n_iter"] == 1
            memory["d"] = _start(memory, grad) if first else _direction(memory, state, group, grad)
            memory["prev_flat_grad"], memory["prev_loss"] = grad.clone(), loss
            lr = group["lr"].squeeze() if isinstance(group["lr"], Tensor) else group["lr"]
            memory["t"] = min(1.0, 1.0 / grad.abs().sum()) * lr if first else lr
            slope = grad.dot(memory["d"])
            if slope > -group["tolerance_change"]:
                break
            last = n == group["max_iter"]
            budget = group["max_eval"] - n_evaluations
            start = Point(0, loss, grad, slope)
            loss, grad, used = self._move(closure, group, memory, start, budget, last)
            n_evaluations += used
            state["func_evals"] += used
            if last or n_evaluations >= group["max_eval"]:
                break
            if grad.abs().max() <= group["tolerance_grad"]:
                break
            moved = memory["d"].mul(memory["t"]).abs().max()
            if moved <= group["tolerance_change"]:
                break
            if abs(loss - memory["prev_loss"]) < group["tolerance_change"]:
                break

    def _move(
        self, closure: Any, group: Any, memory: Any, start: Point, budget: int, last: bool
    ) -> tuple[float, Tensor, int]:
        """Step along ``memory["d"]``: loss and gradient there, and how often they were computed."""
        d = memory["d"]
        if group["line_search_fn"] is None:
            self._add(memory["t"], d)
            if last:
                return start.loss, start.grad, 0
            return float(closure()), self._flat_grad(), 1
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        here = [p.clone() for p in self._params]

        def evaluate(t: Any) -> tuple[float, Tensor]:
            self._add(t, d)
            loss, grad = float(closure()), self._flat_grad()
            for p, before in zip(self._params, here, strict=True):
                p.copy_(before)
            return loss, grad

        loss, grad, memory["t"], used = strong_wolfe(
            evaluate, start, memory["t"], d, _LINE_TOLERANCE, budget
        )
        self._add(memory["t"], d)
        return loss, grad, used

    def _flat_grad(self) -> Tensor:
        """All gradients in one vector, complex ones as pairs of numbers."""
        return cat([_flat(p, p.grad) for p in self._params], 0)

    def _add(self, t: Any, d: Tensor) -> None:
        """Move the parameters by t * d."""
        offset = 0
        for p in self._params:
            real = view_as_real(p) if p.is_complex() else p
            n = real.numel()
            real.add_(d[offset : offset + n].view_as(real), alpha=float(t))
            offset += n


_MEMORY = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


def _flat(param: Tensor, grad: Tensor | None) -> Tensor:
    if grad is None:
        grad = zeros(param.shape, dtype=param.dtype, device=param.device)
    return (view_as_real(grad) if grad.is_complex() else grad).reshape(-1)


def _start(memory: dict[str, Any], grad: Tensor) -> Tensor:
    """The first direction is steepest descent; the memory is empty."""
    memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
    return grad.neg()


def _direction(memory: Any, state: Any, group: Any, grad: Tensor) -> Tensor:
    """Remember the last step, then apply the approximate inverse Hessian to the gradient."""
    changes, steps, ro = memory["old_dirs"], memory["old_stps"], memory["ro"]
    change = grad.sub(memory["prev_flat_grad"])
    step = memory["d"].mul(memory["t"])
    curvature = change.dot(step)
    if curvature > _CURVED:
        if len(changes) == group["history_size"]:
            for remembered in (changes, steps, ro):
                remembered.pop(0)
        changes.append(change)
        steps.append(step)
        ro.append(1.0 / curvature)
        memory["H_diag"] = curvature / change.dot(change)
    weights = state.setdefault("al", [None] * group["history_size"])
    q = grad.neg()
    for i in reversed(range(len(changes))):
        weights[i] = steps[i].dot(q) * ro[i]
        q.sub_(changes[i] * weights[i])
    d = q * memory["H_diag"]
    for i in range(len(changes)):
        d.add_(steps[i] * (weights[i] - changes[i].dot(d) * ro[i]))
    return d
