"""States of models and optimisers by the names of parameters, the same for any number of ranks.

An optimiser that keeps a part of the state on each rank (`ZeroRedundancyOptimizer`) gives that
part: a checkpoint of all ranks has the whole, and other ranks, also more or fewer, take theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from disttorch.autograd.grad_mode import no_grad
from disttorch.ops.create_fill import zeros_like
from disttorch.tensor import Tensor

_PREFIX = "module."


@dataclass(frozen=True)
class StateDictOptions:
    """How states are taken and given; models are not sharded, so full states are the only ones."""

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False
    dsd_fqn_modifiers: str = "_fqn_modifiers"

    def __post_init__(self) -> None:
        if self.broadcast_from_rank0:
            raise NotImplementedError(
                "StateDictOptions(broadcast_from_rank0=True) is not there: let all ranks load, or "
                "DistributedDataParallel broadcast the model when it is made"
            )


def _names_of(model: Any) -> dict[Tensor, str]:
    """The full name of each parameter, without the level of `DistributedDataParallel`."""
    inner = _inner(model)
    return {p: name for name, p in inner.named_parameters()}


def _inner(model: Any) -> Any:
    """The module inside of wrappers that hold one under `module`."""
    while type(model).__name__ in {"DistributedDataParallel", "DataParallel"}:
        model = model.module
    return model


def get_model_state_dict(
    model: Any, *, submodules: Any = None, options: StateDictOptions | None = None
) -> dict[str, Any]:
    """Return a model's parameters and buffers by name, as if it were not wrapped."""
    options = options or StateDictOptions()
    inner = _inner(model)
    state = dict(inner.state_dict())
    if options.ignore_frozen_params:
        frozen = {n for n, p in inner.named_parameters() if not p.requires_grad}
        state = {name: value for name, value in state.items() if name not in frozen}
    if submodules:
        state = _of_submodules(inner, state, submodules, options.keep_submodule_prefixes)
    return _offloaded(state, options)


def _of_submodules(
    model: Any, state: Mapping[str, Any], submodules: Iterable[Any], keep: bool
) -> dict[str, Any]:
    wanted = [f"{name}." for name, m in model.named_modules() if any(m is s for s in submodules)]
    return {
        (name if keep else name.removeprefix(prefix)): value
        for name, value in state.items()
        for prefix in wanted
        if name.startswith(prefix)
    }


def _offloaded(state: Any, options: StateDictOptions) -> Any:
    if not options.cpu_offload:
        return state
    if isinstance(state, dict):
        return {key: _offloaded(value, options) for key, value in state.items()}
    return state.cpu() if isinstance(state, Tensor) else state


def set_model_state_dict(
    model: Any, model_state_dict: Mapping[str, Any], *, options: StateDictOptions | None = None
) -> Any:
    """Load what `get_model_state_dict` returned; returns the missing and unexpected names."""
    options = options or StateDictOptions()
    inner, state = _inner(model), dict(model_state_dict)
    # Of a wrapped model, unless the model has a part of that name itself.
    if not state.keys() & inner.state_dict().keys():
        state = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    return inner.load_state_dict(state, strict=options.strict)


# ---- optimisers ------------------------------------------------------------------------------


def _each(optimizers: Any) -> list[Any]:
    return list(optimizers) if isinstance(optimizers, (list, tuple)) else [optimizers]


def _local(optimizer: Any) -> Any:
    """The optimiser that has the state of this rank."""
    return getattr(optimizer, "optim", optimizer)


def _state_to_load_over(optimizer: Any) -> dict[Tensor, dict[str, Any]]:
    """An optimiser's state; of one that has not stepped, what a step without gradients makes.

    That is not left in it: its first step stays the first.
    """
    params = [p for g in optimizer.param_groups for p in g["params"] if p.requires_grad]
    if optimizer.state or not params:
        return {p: dict(values) for p, values in optimizer.state.items()}
    if any(p.grad is not None for p in params):
        raise RuntimeError(
            "state_dict can only be used if the optimizer states are initialized (usually after "
            "one step() with gradients) or gradients are None."
        )
    _step_without_gradients(optimizer, params)
    made = {p: dict(values) for p, values in optimizer.state.items()}
    optimizer.state.clear()
    for values in made.values():
        if "step" in values:  # none was made, and bias corrections count them
            values["step"] = values["step"] * 0
        if "mu_product" in values:  # of NAdam, a factor for each step
            values["mu_product"] = values["mu_product"] ** 0
    return made


def _step_without_gradients(optimizer: Any, params: Iterable[Any]) -> None:
    """Let an optimiser make its state; parameters and settings are as before."""
    with no_grad():
        before = [(p, p.clone()) for p in params]
    # Decay would be gradients, of which averages would be kept.
    decays = [(g, g["weight_decay"]) for g in optimizer.param_groups if "weight_decay" in g]
    for group, _ in decays:
        group["weight_decay"] = 0.0
    for p, _ in before:
        p.grad = zeros_like(p)
    try:
        optimizer.step()
    finally:
        optimizer.zero_grad(set_to_none=True)
        for group, decay in decays:
            group["weight_decay"] = decay
        with no_grad():
            for p, value in before:
                p.copy_(value)


def get_optimizer_state_dict(
    model: Any,
    optimizers: Any,
    *,
    submodules: Any = None,
    options: StateDictOptions | None = None,
) -> dict[str, Any]:
    """Return optimisers' states by parameter names: ``{"state": ..., "param_groups": ...}``.

    Of one that has not stepped it is a state that can be loaded over. With
    `flatten_optimizer_state_dict` it is one level, ``state.<name>.<key>``. Raises KeyError for
    parameters that are not in `model`.
    """
    options = options or StateDictOptions()
    names = _names_of(model)
    state: dict[str, Any] = {}
    groups: list[dict[str, Any]] = []
    for optimizer in _each(optimizers):
        made = _state_to_load_over(_local(optimizer))
        state |= {names[p]: values for p, values in made.items()}
        groups += [
            {**_settings(group), "params": [names[p] for p in group["params"]]}
            for group in optimizer.param_groups
        ]
    found: dict[str, Any] = {"state": state, "param_groups": groups}
    if options.flatten_optimizer_state_dict:
        found = _flat(found)
    return _offloaded(found, options)


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in group.items() if k not in {"params", "param_names"}}


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """One level: settings of a group are told for each of its parameters."""
    flat = {
        f"state.{name}.{key}": value
        for name, values in found["state"].items()
        for key, value in values.items()
    }
    for group in found["param_groups"]:
        for name in group["params"]:
            flat |= {f"param_groups.{name}.{k}": v for k, v in _settings(group).items()}
    return flat


def set_optimizer_state_dict(
    model: Any,
    optimizers: Any,
    optim_state_dict: Mapping[str, Any],
    *,
    options: StateDictOptions | None = None,
) -> None:
    """Load what `get_optimizer_state_dict` returned, of either form.

    Raises RuntimeError if a parameter's settings are not in it.
    """
    names = _names_of(model)
    for optimizer in _each(optimizers):
        local = _local(optimizer)
        loaded = local.state_dict()
        every = [p for group in local.param_groups for p in group["params"]]
        state = {i: _state_of(names[p], optim_state_dict) for i, p in enumerate(every)}
        loaded["state"] = {i: values for i, values in state.items() if values}
        for target, group in zip(loaded["param_groups"], optimizer.param_groups, strict=True):
            if group["params"]:
                first = names[group["params"][0]]
                target.update(_settings_of(first, _settings(group), optim_state_dict))
        local.load_state_dict(loaded)
        if local is not optimizer:
            for target, group in zip(optimizer.param_groups, local.param_groups, strict=True):
                target.update(_settings(group))


def _state_of(name: str, saved: Mapping[str, Any]) -> dict[str, Any]:
    if "state" in saved:
        return dict(saved["state"].get(name, {}))
    prefix = f"state.{name}."
    return {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}


def _settings_of(
    name: str, settings: Mapping[str, Any], saved: Mapping[str, Any]
) -> dict[str, Any]:
    """The saved ones of a parameter's settings."""
    for group in saved.get("param_groups", ()):
        if name in group["params"]:
            return _settings(group)
    flat = {key: f"param_groups.{name}.{key}" for key in settings}
    if not any(full in saved for full in flat.values()):
        raise RuntimeError(f"the optimizer state has no param_group with the parameter {name}")
    return {key: saved[full] for key, full in flat.items() if full in saved}


# ---- both ------------------------------------------------------------------------------------


def get_state_dict(
    model: Any,
    optimizers: Any,
    *,
    submodules: Any = None,
    options: StateDictOptions | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the states of a model and its optimisers by parameter names."""
    return (
        get_model_state_dict(model, submodules=submodules, options=options),
        get_optimizer_state_dict(model, optimizers, submodules=submodules, options=options),
    )


def set_state_dict(
    model: Any,
    optimizers: Any,
    *,
    model_state_dict: Mapping[str, Any],
    optim_state_dict: Mapping[str, Any],
    options: StateDictOptions | None = None,
) -> Any:
    """Load what `get_state_dict` returned; returns the model's missing and unexpected names."""
    report = set_model_state_dict(model, model_state_dict, options=options)
    if optim_state_dict:
        set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return report
