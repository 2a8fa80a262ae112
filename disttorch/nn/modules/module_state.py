"""`state_dict` and `load_state_dict`: a module's parameters and buffers as one flat dict."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from disttorch.autograd.grad_mode import no_grad
from disttorch.autograd.node import RemovableHandle
from disttorch.nn.parameter import Parameter
from disttorch.tensor import Tensor

Hook = Callable[..., Any]

_EXTRA_STATE = "_extra_state"
_STATE_REGISTERS = (
    *("_state_dict_hooks", "_state_dict_pre_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
)
_POSITIONAL = (
    "Positional args are being deprecated, use kwargs instead. Refer to "
    "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict for "
    "details."
)
_NO_EXTRA_STATE = (
    "Reached a code path in Module.{}() that should never be called. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug."
)


class IncompatibleKeys(
    NamedTuple("_IncompatibleKeys", [("missing_keys", list[str]), ("unexpected_keys", list[str])])
):
    """What `load_state_dict` returns: keys the module lacks and keys it does not know."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, "
            f"unexpected_keys={self.unexpected_keys!r})"
        )

    __str__ = __repr__


class StateDict:
    """Part of Module: saving and loading."""

    _version: int = 1
    _parameters: Any
    _buffers: Any
    _modules: Any
    _non_persistent_buffers_set: set[str]

    def _init_state_hooks(self) -> None:
        """Make the registers."""
        for register in _STATE_REGISTERS:
            self.__dict__[register] = OrderedDict()

    def _add_state_hook(self, register: str, hook: Hook) -> RemovableHandle:
        hooks = self.__dict__[register]
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        return handle

    # ---- hooks ------------------------------------------------------------------------------

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before this module's state is collected."""
        return self._add_state_hook("_state_dict_pre_hooks", hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after it was collected.

        It changes the dict in place and returns None.
        """
        if getattr(hook, "_from_public_api", None) is False:
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        hook._from_public_api = True  # type: ignore[attr-defined]
        return self._add_state_hook("_state_dict_hooks", hook)

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        """Like the public one, but the hook may return another dict."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return self._add_state_hook("_state_dict_hooks", hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` before this module's keys are loaded.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Hook, with_module: bool = False
    ) -> RemovableHandle:
        """Like the public one, without the module as first argument unless `with_module`."""
        # A partial rather than a closure: modules with hooks are pickled and copied.
        bound = functools.partial(_call_without_module, hook)
        return self._add_state_hook("_load_state_dict_pre_hooks", hook if with_module else bound)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after this module and its children."""
        return self._add_state_hook("_load_state_dict_post_hooks", hook)

    # ---- saving -----------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """Return state that is no tensor, for the state_dict; override with `set_extra_state`."""
        raise RuntimeError(_NO_EXTRA_STATE.format("get_extra_state"))

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` returned."""
        raise RuntimeError(_NO_EXTRA_STATE.format("set_extra_state"))

    def _own_state(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers of this module alone."""
        kept = {k: b for k, b in self._buffers.items() if k not in self._non_persistent_buffers_set}
        return {k: v for k, v in {**self._parameters, **kept}.items() if v is not None}

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put the state of this module alone into `destination`; subclasses may add to it."""
        for name, tensor in self._own_state().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not StateDict.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """Return all parameters and persistent buffers under their dotted names.

        Tensors share memory with the module's and are detached unless `keep_vars`; the dict's
        `_metadata` holds each module's version.
        """
        if args:
            warnings.warn(_POSITIONAL, FutureWarning, stacklevel=2)
            given = [*args, *(destination, prefix, keep_vars)[len(args) :]]
            destination, prefix, keep_vars = given
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self.__dict__["_state_dict_pre_hooks"].values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars
                )
        for hook in self.__dict__["_state_dict_hooks"].values():
            replaced = hook(self, destination, prefix, local_metadata)
            if replaced is None:
                continue
            if getattr(hook, "_from_public_api", False):
                raise RuntimeError("state_dict post-hook must return None")
            destination = replaced
        return destination

    # ---- loading ----------------------------------------------------------------------------

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load the keys of this module alone, noting what is missing, unexpected or wrong.

        Subclasses override it to read older layouts, by ``local_metadata["version"]``.
        """
        report = (state_dict, prefix, local_metadata, strict)
        for hook in self.__dict__["_load_state_dict_pre_hooks"].values():
            hook(self, *report, missing_keys, unexpected_keys, error_msgs)
        own = self._own_state()
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        for name, current in own.items():
            if prefix + name in state_dict:
                error = self._load_one(name, current, prefix + name, state_dict, assign)
                error_msgs.extend([error] if error else [])
            elif strict:
                missing_keys.append(prefix + name)
        extra = prefix + _EXTRA_STATE
        takes_extra = type(self).set_extra_state is not StateDict.set_extra_state
        if takes_extra and extra in state_dict:
            self.set_extra_state(state_dict[extra])
        elif strict and takes_extra:
            missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            unexpected_keys.extend(self._unknown_keys(state_dict, prefix, own))

    def _unknown_keys(self, state_dict: Any, prefix: str, own: Mapping[str, Any]) -> list[str]:
        """Keys below `prefix` that belong neither to this module nor to a child."""
        unknown = []
        for key in state_dict:
            if not key.startswith(prefix) or key == prefix + _EXTRA_STATE:
                continue
            name, dot, _ = key[len(prefix) :].partition(".")
            if name not in (self._modules if dot else own):
                unknown.append(key)
        return unknown

    def _load_one(
        self, name: str, current: Tensor, key: str, state_dict: Any, assign: bool
    ) -> str | None:
        """Copy (or with `assign` take over) one tensor; return the error's text, None if none."""
        given = state_dict[key]
        if not isinstance(given, Tensor):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                f"object from checkpoint but received {type(given)}"
            )
        if current.ndim == 0 and given.shape == (1,):  # layout of very old checkpoints
            given = given[0]
        if given.shape != current.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} from "
                f"checkpoint, the shape in current model is {current.shape}."
            )
        try:
            with no_grad():
                if assign:
                    setattr(self, name, _like(given, current))
                else:
                    current.copy_(given)
        except Exception as error:  # all errors go into one report
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{current.size()} and whose dimensions in the checkpoint are {given.size()}, an "
                f"exception occurred : {error.args}."
            )
        return None

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy tensors from `state_dict` into this module's; with `assign` take them over.

        Returns missing and unexpected keys. Raises RuntimeError that lists every mismatch, with
        `strict` those keys too; TypeError if `state_dict` is no mapping.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        keys = IncompatibleKeys([], [])
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        copied = OrderedDict(state_dict)
        if metadata is not None:
            copied._metadata = metadata  # type: ignore[attr-defined]
        _load(self, copied, "", metadata or {}, assign, keys, errors)
        if strict:
            errors = [*_key_errors(keys), *errors]
        if errors:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
            )
        return keys


def _load(
    module: Any,
    state_dict: Any,
    prefix: str,
    metadata: Mapping[str, Any],
    assign: bool,
    keys: IncompatibleKeys,
    errors: list[str],
) -> None:
    """Load a module and those below it."""
    local_metadata = metadata.get(prefix[:-1], {})
    if assign:
        local_metadata = {**local_metadata, "assign_to_params_buffers": True}
    module._load_from_state_dict(state_dict, prefix, local_metadata, True, *keys, errors)
    for name, child in module._modules.items():
        if child is not None:
            below = f"{prefix}{name}."
            own = {k: v for k, v in state_dict.items() if k.startswith(below)}
            _load(child, own, below, metadata, assign, keys, errors)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, keys) is not None:
            raise AssertionError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to "
                "return new values, if incompatible_keys need to be modified, it should be done "
                "inplace."
            )


def _key_errors(keys: IncompatibleKeys) -> list[str]:
    """The lines of the report about missing and unexpected keys."""
    lines = []
    for kind, names in (("Missing", keys.missing_keys), ("Unexpected", keys.unexpected_keys)):
        if names:
            quoted = ", ".join(f'"{name}"' for name in names)
            lines.append(f"{kind} key(s) in state_dict: {quoted}. ")
    return lines


def _like(given: Tensor, current: Tensor) -> Tensor:
    """Make `given` what replaces `current`: a parameter with its `requires_grad` if it is one."""
    if not isinstance(current, Parameter):
        return given
    if not isinstance(given, Parameter):
        return Parameter(given, current.requires_grad)
    return given.requires_grad_(current.requires_grad)


def _call_without_module(hook: Hook, module: Any, *arguments: Any) -> Any:
    return hook(*arguments)


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take `prefix` off the keys that begin with it, in place; in the metadata too."""
    for key in [key for key in state_dict if key.startswith(prefix)]:
        state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata: dict[str, Any] = getattr(state_dict, "_metadata", {})
    for key in [k for k in metadata if k == prefix.rstrip(".") or k.startswith(prefix)]:
        metadata[key[len(prefix) :]] = metadata.pop(key)
