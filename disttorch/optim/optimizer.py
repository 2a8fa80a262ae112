"""`Optimizer`: parameter groups, per-parameter state, hooks; base of all optimisers."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Any

from disttorch.autograd.node import RemovableHandle
from disttorch.comm import counters, phases
from disttorch.nn.modules.module import clear_grad
from disttorch.nn.typename import typename
from disttorch.optim.optimizer_state import OptimizerState
from disttorch.tensor import Tensor

Hook = Callable[..., Any]
Group = dict[str, Any]

GLOBAL_PRE_HOOKS: OrderedDict[int, Hook] = OrderedDict()
GLOBAL_POST_HOOKS: OrderedDict[int, Hook] = OrderedDict()


class _Required:
    """Default of a hyper-parameter that every parameter group has to give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before the `step` of every optimiser."""
    handle = RemovableHandle(GLOBAL_PRE_HOOKS)
    GLOBAL_PRE_HOOKS[handle.id] = hook
    return handle


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after the `step` of every optimiser."""
    handle = RemovableHandle(GLOBAL_POST_HOOKS)
    GLOBAL_POST_HOOKS[handle.id] = hook
    return handle


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a `step` method so that it runs the hooks and is seen by learning rate schedulers."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        for hook in (*GLOBAL_PRE_HOOKS.values(), *self._optimizer_step_pre_hooks.values()):
            # As in PyTorch, hooks get and return `self` among the positional arguments.
            replaced = hook(self, (self, *args), kwargs)
            if replaced is None:
                continue
            if not isinstance(replaced, tuple) or len(replaced) != 2:
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{replaced}."
                )
            (_, *args), kwargs = replaced
        begun_s = monotonic()
        result = step(self, *args, **kwargs)
        phases.note(phases.OPTIMISER, begun_s, id(self))
        self._n_steps += 1
        if counters.page is not None:
            counters.page.add(counters.STEPS, 1)
        for hook in (*self._optimizer_step_post_hooks.values(), *GLOBAL_POST_HOOKS.values()):
            hook(self, (self, *args), kwargs)
        return result

    return run


class Optimizer(OptimizerState):
    """Base of optimisers: `param_groups` (dicts of parameters and settings) and `state`.

    `params` is an iterable of tensors, of (name, tensor) pairs or of groups; `defaults` are the
    settings that groups leave out. Subclasses define `step`.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._init_hooks()
        self.defaults = defaults
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {typename(params)}"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "step" in vars(cls):
            cls.step = _hooked(cls.step)  # type: ignore[method-assign]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters from their gradients; subclasses define it.

        `closure`, if given, computes the loss (and gradients) anew; its value is returned.
        """
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                clear_grad(param, set_to_none)

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new ones."""
        return self._add_hook("_optimizer_step_pre_hooks", hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._add_hook("_optimizer_step_post_hooks", hook)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [""] * (i > 0) + [f"Parameter Group {i}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # ---- parameter groups -------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Add a dict with "params" (tensors or (name, tensor) pairs) and settings of their own.

        Raises TypeError for what is no tensor, ValueError for non-leaves, missing settings, and
        parameters that another group holds.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _unpack_params(param_group)
        params = param_group["params"]
        for param in params:
            self._check_param(param)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=3,
            )
        self._check_beside_others(param_group)
        self.param_groups.append(param_group)

    def _check_param(self, param: Any) -> None:
        if not isinstance(param, Tensor):
            raise TypeError(
                f"optimizer can only optimize Tensors, but one of the params is {typename(param)}"
            )
        if not self.defaults.get("differentiable") and not (param.is_leaf or param.retains_grad):
            raise ValueError("can't optimize a non-leaf Tensor")

    def _check_beside_others(self, new: Group) -> None:
        """Refuse a group that shares parameters with another, or has names where it has none."""
        held: set[Any] = set()
        for group in self.param_groups:
            held.update(group["params"])
            if ("param_names" in new) != ("param_names" in group):
                how = "with names" if "param_names" in new else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param "
                    f"group {how} to the optimizer"
                )
        if not held.isdisjoint(new["params"]):
            raise ValueError("some parameters appear in more than one parameter group")


def _unpack_params(group: Group) -> None:
    """Make ``group["params"]`` a list of tensors, and "param_names" of their names if given."""
    params = group["params"]
    if isinstance(params, Tensor):
        params = [params]
    elif isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of "
            "tensors in sets will change between runs. Please use a list instead."
        )
    entries: list[Any] = list(params)
    names = [entry[0] for entry in entries if isinstance(entry, tuple)]
    group["params"] = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
    if not names:
        return
    if len(names) != len(entries):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    group["param_names"] = names
