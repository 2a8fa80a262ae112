"""The average of parameters over the ranks of a group, in one collective."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from disttorch import distributed
from disttorch.autograd.grad_mode import no_grad
from disttorch.distributed.arguments import outside
from disttorch.ops.join import cat
from disttorch.tensor import Tensor

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]


def average_parameters(params: Iterable[Tensor], process_group: Any) -> None:
    """Overwrite each parameter with its mean over the ranks of a group, None for all ranks.

    Needs memory of the parameters' size; different dtypes travel in the widest of them. Nothing
    happens on ranks outside of the group.
    """
    if outside(process_group):
        return
    members: list[Any] = list(params)
    if not members:
        return
    with no_grad():
        flat = cat([p.detach().reshape(-1) for p in members])
        # Divided first, as PyTorch does: the same bits, and sums that stay in range.
        flat /= distributed.get_world_size(process_group)
        distributed.all_reduce(flat, group=process_group)
        offset = 0
        for p in members:
            p.copy_(flat[offset : offset + p.numel()].reshape(p.shape))
            offset += p.numel()


def get_params_to_average(params: Parameters) -> list[Tensor]:
    """Those of a model's parameters, or of an optimiser's groups, that have a gradient.

    Raises NotImplementedError for anything else.
    """
    found: list[Tensor] = []
    for param in params:
        if isinstance(param, dict):
            found += param["params"]
        elif isinstance(param, Tensor):
            found.append(param)
        else:
            raise NotImplementedError(f"Parameter input of type {type(param)} is not supported")
    return [p for p in found if p._grad is not None]


def average_parameters_or_parameter_groups(params: Parameters, process_group: Any) -> None:
    """Average those parameters, of a model or of an optimiser's groups, that have a gradient."""
    average_parameters(get_params_to_average(params), process_group)
