"""PyTorch's values as ours: tensors with the same strides, dtypes, sizes, in any nesting."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.utils._pytree import tree_map

import disttorch

_NAMED = (torch.dtype, torch.memory_format, torch.layout)


def to_ours(value: Any) -> Any:
    """Translate `value` with every tensor in it; tensors of one memory become tensors of one."""
    seen: dict[int, Any] = {}
    memories: dict[tuple[int, torch.dtype], Any] = {}

    def leaf(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            if id(x) not in seen:
                seen[id(x)] = tensor_to_ours(x, memories)
            return seen[id(x)]
        if isinstance(x, _NAMED):
            # What we have no name for (sparse layouts) stays as it is, to be refused.
            return getattr(disttorch, str(x).removeprefix("torch."), x)
        if isinstance(x, torch.device):
            return disttorch.device(str(x))
        if isinstance(x, torch.nn.PairwiseDistance):
            return disttorch.nn.PairwiseDistance(x.norm, x.eps, x.keepdim)
        return x

    return tree_map(leaf, value)


def tensor_to_ours(
    x: torch.Tensor, memories: dict[tuple[int, torch.dtype], Any] | None = None
) -> disttorch.Tensor:
    """Copy `x` and all of its memory, so that strides and offset stay; a leaf, as `x` is one.

    `memories`: what was copied before, by address and dtype, so that tensors share it as `x` does.
    """
    requires_grad, x = x.requires_grad, x.detach()
    lazy = x.is_conj() or x.is_neg() or x._is_zerotensor()
    if lazy or not x.numel():
        ours = disttorch.from_numpy(to_numpy(x).copy())
    else:
        n_elements = x.untyped_storage().nbytes() // x.element_size()
        memories = {} if memories is None else memories
        key = x.untyped_storage().data_ptr(), x.dtype
        if key not in memories:
            copy = to_numpy(x.as_strided((n_elements,), (1,), 0)).copy()
            memories[key] = disttorch.from_numpy(copy)
        place = tuple(x.shape), x.stride(), x.storage_offset()
        ours = memories[key].as_strided(*place).detach()
    return ours.requires_grad_() if requires_grad else ours


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """The values of `x` as an array of the same dtype, bfloat16 included; no memory is promised."""
    x = x.detach().resolve_conj().resolve_neg()
    if x.dtype is torch.bfloat16:
        return x.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return x.numpy(force=True)  # also of PyTorch's lazy zero tensors


def flat_tensors(value: Any, kind: type) -> list[Any]:
    """The tensors of class `kind` in a nested value, in order."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in flat_tensors(v, kind)]
    return []


def _with_seed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What PyTorch's tests do around random operators, with our generator."""
    with disttorch.random.fork_rng():
        disttorch.manual_seed(42)
        return function(*args, **kwargs)


def rebound(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a Python function, and of those it closes over, whose `torch` is disttorch."""
    if isinstance(function, functools.partial):
        return functools.partial(rebound(function.func), *function.args, **function.keywords)
    if not isinstance(function, types.FunctionType):
        return function
    names = dict(function.__globals__)
    names["torch"] = disttorch
    if "wrapper_set_seed" in names:
        names["wrapper_set_seed"] = _with_seed
    closure = tuple(types.CellType(rebound(c.cell_contents)) for c in function.__closure__ or ())
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, closure or None
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
