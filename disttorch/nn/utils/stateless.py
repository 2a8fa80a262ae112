"""Modules called with other parameters than their own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from disttorch.nn.modules.module import Module
from disttorch.tensor import Tensor

State = dict[str, Tensor]


def functional_call(
    module: Module,
    parameters_and_buffers: State,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Do what `disttorch.func.functional_call` does, for one dict; deprecated."""
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be "
        "removed in a future version of PyTorch. Please use `torch.func.functional_call` instead "
        "which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return call_replaced(module, parameters_and_buffers, args, kwargs, tie_weights, strict)


def call_replaced(
    module: Module,
    given: State,
    args: Any,
    kwargs: dict[str, Any] | None,
    tie_weights: bool,
    strict: bool,
) -> Any:
    """Call `module` with `given` tensors in the place of its own; one argument needs no tuple."""
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


@contextmanager
def _replaced(module: Module, given: State, tied: bool, strict: bool) -> Iterator[None]:
    """Hold the replacements in the module's own tables, and put the originals back.

    What `forward` assigns to a replaced name is written to `given`, as PyTorch does.
    """
    named = dict(module.named_parameters(remove_duplicate=False))
    named.update(module.named_buffers(remove_duplicate=False))
    wanted = _with_tied_names(given, named) if tied else dict(given)
    if strict:
        _check_names(module, wanted, named)
    slots = [(path, *_slot(module, path)) for path in wanted if path in named]
    before = [(table, name, table[name]) for _, table, name in slots]
    for path, table, name in slots:
        table[name] = wanted[path]
    try:
        yield
    finally:
        given.update({path: table[name] for path, table, name in slots if path in given})
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
