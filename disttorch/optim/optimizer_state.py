"""Saving and loading an optimiser: PyTorch's layout, parameters as numbers in group order."""

from __future__ import annotations

import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from disttorch.autograd.node import RemovableHandle
from disttorch.tensor import Tensor

Hook = Callable[..., Any]

_HOOK_REGISTERS = (
    *("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"),
    *("_optimizer_state_dict_pre_hooks", "_optimizer_state_dict_post_hooks"),
    *("_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks"),
)


class OptimizerState:
    """Part of Optimizer: `state_dict`, `load_state_dict`, their hooks, and pickling."""

    defaults: dict[str, Any]
    state: defaultdict[Any, Any]
    param_groups: list[dict[str, Any]]

    def _init_hooks(self) -> None:
        """Make the registers, and the counter that learning rate schedulers watch."""
        for register in _HOOK_REGISTERS:
            self.__dict__.setdefault(register, OrderedDict())
        self.__dict__.setdefault("_n_steps", 0)

    def _add_hook(self, register: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
        hooks = self.__dict__[register]
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before the state is collected."""
        return self._add_hook("_optimizer_state_dict_pre_hooks", hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after; it may return another dict."""
        return self._add_hook("_optimizer_state_dict_post_hooks", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another dict."""
        return self._add_hook("_optimizer_load_state_dict_pre_hooks", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after loading."""
        return self._add_hook("_optimizer_load_state_dict_post_hooks", hook, prepend)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._init_hooks()
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)

    # ---- saving -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return {"state": {number: values}, "param_groups": [...]}; tensors are not copied."""
        for hook in self.__dict__["_optimizer_state_dict_pre_hooks"].values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            params = group["params"]
            for i, param in enumerate(params, start):
                numbers.setdefault(id(param), i)
            start += len(params)
            packed = {key: value for key, value in group.items() if key != "params"}
            groups.append({**packed, "params": [numbers[id(param)] for param in params]})
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in self.__dict__["_optimizer_state_dict_post_hooks"].values():
            replaced = hook(self, result)
            result = result if replaced is None else replaced
        return result

    # ---- loading ----------------------------------------------------------------------------

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, here or in PyTorch, for parameters in this order.

        State tensors are cast to their parameter's dtype and device. Raises ValueError if groups
        do not match in number or size.
        """
        given = dict(state_dict)
        for hook in self.__dict__["_optimizer_load_state_dict_pre_hooks"].values():
            replaced = hook(self, given)
            given = given if replaced is None else replaced
        saved = deepcopy(given["param_groups"])
        _check_groups(self.param_groups, saved)
        params = dict(
            zip(
                itertools.chain.from_iterable(group["params"] for group in saved),
                itertools.chain.from_iterable(group["params"] for group in self.param_groups),
                strict=True,
            )
        )
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in given["state"].items():
            if key in params:
                state[params[key]] = _fitted(params[key], value)
            else:
                state[key] = value
        for group, new in zip(self.param_groups, saved, strict=True):
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self.__dict__["_optimizer_load_state_dict_post_hooks"].values():
            hook(self)


def _check_groups(groups: list[dict[str, Any]], saved: list[dict[str, Any]]) -> None:
    if len(groups) != len(saved):
        raise ValueError("loaded state dict has a different number of parameter groups")
    if any(len(g["params"]) != len(s["params"]) for g, s in zip(groups, saved, strict=True)):
        raise ValueError(
            "loaded state dict contains a parameter group that doesn't match the size of "
            "optimizer's group"
        )


def _fitted(param: Tensor, value: Any, key: Any = None) -> Any:
    """Copy a state value, cast to the parameter's dtype and device; step counters stay as saved."""
    if isinstance(value, Tensor):
        # Loading must not tie this optimiser to the one (or the dict) that the state came from.
        copied = Tensor._wrap(param.backend.xp.array(param.backend.asarray(value._array)))
        if key != "step" and param.is_floating_point():
            copied._array = copied._array.astype(param._array.dtype, copy=False)
        return copied
    if isinstance(value, Mapping):
        return {k: _fitted(param, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return type(value)(_fitted(param, v) for v in value)  # type: ignore[call-arg]
    return value
