"""An optimiser that for a while has other parameters and another state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from disttorch.optim.optimizer import Group, Optimizer
from disttorch.tensor import Tensor

_CALL = "swap_in_optimizer_params_and_state requires"


def _checked_state(state: Any) -> dict[Any, Any]:
    """The state by number of the parameter."""
    if not isinstance(state, dict):
        raise RuntimeError(
            f"{_CALL} swapin_optim_state['state'] to be a dict mapping packed parameter ids to "
            f"per-param state dicts, got {type(state).__name__}."
        )
    if any(isinstance(key, Tensor) for key in state):
        raise RuntimeError(
            f"{_CALL} optimizer.state_dict()-style state keyed by packed parameter ids."
        )
    if any(isinstance(k, int) and not isinstance(v, dict) for k, v in state.items()):
        raise RuntimeError(f"{_CALL} per-parameter optimizer state entries to be dictionaries.")
    return state


def _checked_groups(optimizer: Optimizer, groups: Any) -> list[Group]:
    """Groups like the optimiser's, with numbers for parameters."""
    if not isinstance(groups, list):
        raise RuntimeError(
            f"{_CALL} swapin_optim_state['param_groups'] to be a list of param-group dicts, got "
            f"{type(groups).__name__}."
        )
    if len(optimizer.param_groups) != len(groups):
        raise RuntimeError(
            "swapin_optim_state has a different number of parameter groups than the live optimizer."
        )
    for i, (live, given) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        _check_group(i, live, given)
    return groups


def _check_group(i: int, live: Group, given: Any) -> None:
    if not isinstance(given, dict):
        raise RuntimeError(f"{_CALL} each optimizer param group to be a dictionary.")
    numbers = given.get("params")
    if not isinstance(numbers, list) or not all(isinstance(n, int) for n in numbers):
        raise RuntimeError(
            f"{_CALL} optimizer.state_dict()-style param_groups[*]['params'] entries keyed by "
            "packed parameter ids."
        )
    if len(live["params"]) != len(numbers):
        raise RuntimeError(
            f"swapin_optim_state param group {i} has a different number of params than the live "
            "optimizer param group."
        )
    given_only = [key for key in given if key not in live]
    live_only = [key for key in live if key not in given]
    if given_only or live_only:
        raise RuntimeError(
            f"{_CALL} optimizer.state_dict()-style param group keys to exactly match the live "
            f"optimizer group keys for group {i}. Keys only in swap-in: {given_only}. Keys only in "
            f"live: {live_only}."
        )


def _checked(
    optimizer: Optimizer, parameters: dict[str, Tensor], optim_state: Any
) -> tuple[dict[Any, Any], list[Group]]:
    """State and groups, if they fit the optimiser and the parameters; else RuntimeError."""
    if not optimizer.state:
        raise RuntimeError(f"{_CALL} initialized optimizer state.")
    if not isinstance(optim_state, dict):
        raise RuntimeError(f"{_CALL} a DCP-style optimizer state_dict.")
    state = _checked_state(optim_state.get("state"))
    groups = _checked_groups(optimizer, optim_state.get("param_groups"))
    numbers = [n for group in groups for n in group["params"]]
    if len(numbers) > len(parameters):
        raise RuntimeError(
            f"{_CALL} the explicit parameter state to match optimizer.param_groups ordering."
        )
    extra = [key for key in state if key not in numbers]
    if extra:
        raise RuntimeError(
            f"{_CALL} swapin_optim_state['state'] to be keyed only by packed parameter ids from "
            f"param_groups[*]['params']; got extra keys {extra!r}."
        )
    return state, groups


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer,
    swapin_parameters: dict[str, Tensor],
    swapin_optim_state: dict[str, Any],
) -> Iterator[None]:
    """Give an optimiser other parameters, and a state as `state_dict` returns it, for a while.

    Tensors of the given state are changed in place by steps; settings come from its groups. Raises
    RuntimeError if the optimiser has made no step yet, or if the state does not fit it.
    """
    state, groups = _checked(optimizer, swapin_parameters, swapin_optim_state)
    live_state = optimizer.state
    live_groups = [dict(group) for group in optimizer.param_groups]
    remaining = iter(swapin_parameters.values())
    swapped: defaultdict[Any, Any] = defaultdict(dict)
    try:
        for live, given in zip(optimizer.param_groups, groups, strict=True):
            params = [next(remaining) for _ in given["params"]]
            live.update({**given, "params": params})
            for param, number in zip(params, given["params"], strict=True):
                swapped[param] = dict(state.get(number, {}))
        optimizer.state = swapped
        yield
    finally:
        for group, before in zip(optimizer.param_groups, live_groups, strict=True):
            group.clear()
            group.update(before)
        optimizer.state = live_state
