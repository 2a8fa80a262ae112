"""Optimisers that update every element by itself: one driver, one small formula each.

A step is a handful of in-place array operations per parameter. Big parameters are worked on in
blocks that fit the cache together with their state, so that memory is read once and not once an
operation; scratch memory is kept between steps, so that nothing is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from disttorch.autograd.grad_mode import enable_grad, set_grad_enabled
from disttorch.backends import Backend, backend_of
from disttorch.dtype import float32, float64, get_default_dtype
from disttorch.optim.differentiable import step_recorded
from disttorch.optim.optimizer import Group, Optimizer
from disttorch.tensor import Tensor

Array = Any
Preparation = Callable[[Any, Array, Array, Array], Array]
_N_SCRATCH = 3  # two for `update`, one for what is done to the gradient before


def _memory_order(array: Array) -> tuple[int, ...]:
    """Dimensions from the slowest in memory to the fastest."""
    return tuple(sorted(range(array.ndim), key=lambda d: -abs(array.strides[d])))


def _flat(arrays: Sequence[Array]) -> list[Array]:
    """The arrays as one-dimensional ones in the memory order of the first, views where possible."""
    if all(a.flags.c_contiguous for a in arrays):
        return [a.reshape(-1) for a in arrays]
    order = _memory_order(arrays[0])
    return [a.transpose(order).reshape(-1) for a in arrays]


def _real(flat: Array) -> Array:
    """A complex array as a real one of twice the length: updates treat both parts alike."""
    return flat.view("float32" if flat.dtype.itemsize == 8 else "float64")


class ElementwiseOptimizer(Optimizer):
    """An optimiser given by what it keeps for a parameter and how it updates a block of it.

    * `scalars`: names and initial values of 0-d state, such as the step counter.
    * `slots(group)`: names of state tensors of the parameter's shape, zeros at first.
    * `coefficients(group, state)`: advance the scalars, return the numbers of this step.
    * `update(backend, p, g, slots, scratch, c)`: update a flat contiguous block in place; the
      gradient `g` is only read, the two scratch blocks are for passing results.
    """

    scalars: ClassVar[dict[str, float]] = {"step": 0.0}
    update: ClassVar[Callable[..., None]]
    _scratch: dict[Any, list[Array]]

    def slots(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state tensors that a parameter of this group has."""
        return ()

    def coefficients(self, group: Group, state: dict[str, Any]) -> Any:
        """Advance the scalars of `state` by one step and return what `update` needs."""
        raise NotImplementedError

    def initial(self, name: str, param: Tensor, group: Group) -> Array:
        """Return the initial array of a slot, laid out in memory as the parameter is."""
        return param.backend.xp.zeros_like(param._array)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return the value of `closure`, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            names, prepare = self.slots(group), self._preparation(group)
            update = self._step_recorded if group.get("differentiable") else self._step_param
            for param in group["params"]:
                if param._grad is not None:
                    update(param, group, names, prepare)
        return loss

    def _step_recorded(
        self, param: Tensor, group: Group, names: tuple[str, ...], prepare: Preparation | None
    ) -> None:
        """Update a parameter so that gradients flow through the step."""
        with set_grad_enabled(self.defaults["differentiable"]):
            state = self.init_state(param, group)
            c = self.coefficients(group, state)
            step_recorded(type(self).update, prepare, param, [state[n] for n in names], c)

    # ---- one parameter ----------------------------------------------------------------------

    def init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        """Return the state of a parameter, made at its first step."""
        state: dict[str, Any] = self.state[param]
        if not state:
            for name, value in self.scalars.items():
                state[name] = scalar(param.backend, value)
        for name in self.slots(group):
            if state.get(name) is None:
                state[name] = Tensor._wrap(self.initial(name, param, group))
        return state

    def _step_param(
        self, param: Tensor, group: Group, names: tuple[str, ...], prepare: Preparation | None
    ) -> None:
        state = self.init_state(param, group)
        slots = [state[name] for name in names]
        tensors = (param, param._grad, *slots)
        c = self.coefficients(group, state)
        arrays = [t._array for t in tensors]
        flat = _flat(arrays)
        backend = backend_of(arrays[0])
        real = [_real(a) for a in flat] if flat[0].dtype.kind == "c" else flat
        formula = type(self).update.__qualname__
        if not backend.optimizer_step(formula, real, c, prepare):
            self._run(backend, real, prepare, c)
        if not arrays[0].flags.c_contiguous:
            _write_back(backend, arrays, flat)
        for t in (param, *slots):
            t._cell[0] += 1

    def _run(
        self, backend: Backend, flat: list[Array], prepare: Preparation | None, c: Any
    ) -> None:
        """Update all blocks of a parameter; `flat` is parameter, gradient, slots."""
        n = flat[0].size
        size = min(n, backend.fused_block or n)
        narrow = flat[0].dtype.itemsize == 2
        np_dtype = float32.np if narrow else flat[0].dtype
        scratch = self._scratch_blocks(backend, np_dtype, size)
        xp, update = backend.xp, type(self).update
        for start in range(0, n, size or 1):
            stop = min(start + size, n)
            blocks = flat if size == n else [a[start:stop] for a in flat]
            # 16-bit numbers are too coarse to compute with: only their storage is narrow.
            work = [b.astype(np_dtype) for b in blocks] if narrow else blocks
            part = scratch if stop - start == size else [s[: stop - start] for s in scratch]
            p, g, *slots = work
            if prepare is not None:
                g = prepare(xp, p, g, part[-1])
            update(backend, p, g, slots, part, c)
            if narrow:
                for block, wide in zip((blocks[0], *blocks[2:]), (p, *slots), strict=True):
                    block[...] = wide

    def _scratch_blocks(self, backend: Backend, np_dtype: Any, size: int) -> list[Array]:
        """Scratch arrays of `size` elements, kept from step to step."""
        kept: dict[Any, list[Array]] = self.__dict__.setdefault("_scratch", {})
        key = (backend.device_type, np_dtype)
        blocks = kept.get(key)
        if blocks is None or blocks[0].size < size:
            blocks = [backend.xp.empty(size, np_dtype) for _ in range(_N_SCRATCH)]
            kept[key] = blocks
        return blocks if blocks[0].size == size else [b[:size] for b in blocks]

    def _preparation(self, group: Group) -> Preparation | None:
        """What every optimiser does first: maximize, weight decay; None if neither is set."""
        decay = number(group.get("weight_decay", 0), group)
        maximize = group.get("maximize", False)
        if group.get("decoupled_weight_decay", False):
            return _Before(0.0, 1 - number(group["lr"], group) * decay, maximize)
        return _Before(decay, 1.0, maximize) if decay or maximize else None


class _Before(NamedTuple):
    """What is done before a step: to the gradient or, with decoupled decay, to the parameter."""

    decay: Any  # added to the gradient, times the parameter
    keep: Any  # times the parameter
    maximize: bool

    def __call__(self, xp: Any, p: Array, g: Array, out: Array) -> Array:
        """Change a block of the parameter in place; return the gradient to go on with."""
        if type(self.keep) is not float or self.keep != 1:
            xp.multiply(p, self.keep, out=p)
        if type(self.decay) is float and self.decay == 0:
            return xp.negative(g, out=out) if self.maximize else g
        xp.multiply(p, self.decay, out=out)
        return xp.subtract(out, g, out=out) if self.maximize else xp.add(out, g, out=out)


def _write_back(backend: Backend, arrays: list[Array], flat: list[Array]) -> None:
    """Put updated flat copies back where they came from (parameter and slots, not gradient)."""
    order = _memory_order(arrays[0])
    for i, (array, copied) in enumerate(zip(arrays, flat, strict=True)):
        if i != 1 and not backend.shares_memory(array, copied):
            ordered = array.transpose(order)
            ordered[...] = copied.reshape(ordered.shape)


def scalar(backend: Backend, value: float) -> Tensor:
    """A 0-d state tensor: float32, or float64 if that is the default dtype."""
    dtype = float64 if get_default_dtype() is float64 else float32
    return Tensor._wrap(backend.xp.full((), value, dtype.np))


def number(value: Any, group: Group) -> Any:
    """A setting as a float; where steps are recorded a Tensor stays one, to get its gradient."""
    return value if group.get("differentiable") else float(value)


def root(x: Any) -> Any:
    """Square root of a float or a Tensor."""
    return x.sqrt() if isinstance(x, Tensor) else math.sqrt(x)


def advance(state: dict[str, Any]) -> float:
    """Add one to the step counter and return it."""
    step = state["step"]
    if not isinstance(step, Tensor):  # layout of old checkpoints
        state["step"] = step + 1
        return float(step + 1)
    step._array[...] += 1
    step._cell[0] += 1
    return float(step._array)
