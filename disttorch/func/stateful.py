"""Modules as functions of their parameters: `functional_call`, `stack_module_state`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from disttorch.nn.modules import Module
from disttorch.nn.utils.stateless import call_replaced
from disttorch.ops.join import stack
from disttorch.tensor import Tensor

State = dict[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: State | Sequence[State],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with parameters and buffers replaced by those given, by name.

    Several dicts may be given if they have no name in common. With `tie_weights`, a replacement
    holds for every name of a shared parameter; with `strict`, all names must be given and known.
    Raises RuntimeError or ValueError, with PyTorch's texts
    (https://docs.pytorch.org/docs/stable/generated/torch.func.functional_call.html).
    """
    given = _merged(parameter_and_buffer_dicts)
    return call_replaced(module, given, args, kwargs, tie_weights, strict)


def _merged(dicts: State | Sequence[State]) -> State:
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, Sequence):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(dicts)}"
        )
    if not all(isinstance(d, dict) for d in dicts):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    counts = Counter(name for d in dicts for name in d)
    repeated = [name for name, n in counts.items() if n > 1]
    if repeated:
        raise ValueError(
            f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
            "ambiguous"
        )
    return {name: value for d in dicts for name, value in d.items()}


def stack_module_state(models: Sequence[Module]) -> tuple[State, State]:
    """Stack the parameters and the buffers of models of one class, for `vmap` over them.

    The stacked parameters are leaves that require grad where the first model's do. Raises
    RuntimeError for no models, or models of several classes or modes
    (https://docs.pytorch.org/docs/stable/generated/torch.func.stack_module_state.html).
    """
    call = "stack_module_state"
    if not models:
        raise RuntimeError(f"{call}: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError(f"{call}: Expected all models to have the same training/eval mode.")
    if not all(type(m) is type(models[0]) for m in models):
        raise RuntimeError(f"{call}: Expected all models to be of the same class.")
    return (
        _stacked([dict(m.named_parameters()) for m in models]),
        _stacked([dict(m.named_buffers()) for m in models]),
    )


def _stacked(states: list[State]) -> State:
    stacked = {}
    for name, first in states[0].items():
        tensors = [state[name] for state in states]
        if any(x.requires_grad is not first.requires_grad for x in tensors):
            raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
        leaf = stack([x.detach() for x in tensors])
        stacked[name] = leaf.requires_grad_(first.requires_grad)
    return stacked


__all__ = ["functional_call", "stack_module_state"]
