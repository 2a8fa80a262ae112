"""Modules as functions of their parameters: `functional_call`, `stack_module_state`."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from disttorch.nn.modules import Module
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
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


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


@contextlib.contextmanager
def _replaced(module: Module, given: State, tied: bool, strict: bool) -> Iterator[None]:
    """Hold the replacements in the module's own tables, and put the originals back."""
    named = dict(module.named_parameters(remove_duplicate=False))
    named.update(module.named_buffers(remove_duplicate=False))
    wanted = _with_tied_names(given, named) if tied else dict(given)
    if strict:
        _check_names(module, wanted, named)
    slots = [(*_slot(module, name), value) for name, value in wanted.items() if name in named]
    before = [(table, name, table[name]) for table, name, _ in slots]
    for table, name, value in slots:
        table[name] = value
    try:
        yield
    finally:
        for table, name, original in before:
            table[name] = original


def _slot(module: Module, path: str) -> tuple[dict[str, Any], str]:
    """The table of the submodule that holds the tensor of this name."""
    *parents, name = path.split(".")
    holder: Any = module
    for parent in parents:
        holder = getattr(holder, parent)
    return holder._parameters if name in holder._parameters else holder._buffers, name


def _with_tied_names(given: State, named: State) -> State:
    """Add the other names of the tensors that are replaced; they must not be given twice."""
    groups: dict[int, list[str]] = {}
    for name, tensor in named.items():
        groups.setdefault(id(tensor), []).append(name)
    wanted = dict(given)
    for names in groups.values():
        values = {id(given[name]): given[name] for name in names if name in given}
        if len(values) > 1:
            tied = sorted(name for name in names if name in given)
            raise ValueError(
                f"functional_call got multiple values for keys {tied}, which are tied. Consider "
                "using tie_weights=False"
            )
        for value in values.values():
            wanted.update(dict.fromkeys(names, value))
    return wanted


def _check_names(module: Module, wanted: State, named: State) -> None:
    unexpected = sorted(wanted.keys() - named.keys())
    missing = sorted(named.keys() - wanted.keys())
    messages = []
    if unexpected:
        messages.append(f"Unexpected key(s): {', '.join(map(repr, unexpected))}.")
    if missing:
        messages.append(f"Missing key(s): {', '.join(map(repr, missing))}.")
    if messages:
        lines = "\n\t".join(messages)
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t{lines}")


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
