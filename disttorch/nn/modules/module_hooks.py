"""Hooks around a module's `forward`: registering them, per module or globally, and calling them."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from disttorch.autograd.node import RemovableHandle
from disttorch.nn.modules.module_backward import BackwardHooks
from disttorch.tensor import Tensor

Hook = Callable[..., Any]
HookDict = OrderedDict[int, Hook]

_NOT_ONE_NODE = (
    "Using a non-full backward hook when the forward contains multiple autograd Nodes is "
    "deprecated and will be removed in future versions. This hook will be missing some grad_input. "
    "Please use register_full_backward_hook to get the documented behavior."
)

_FORWARD_REGISTERS = (
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_backward_pre_hooks", "_backward_hooks"),
)


class _GlobalHooks:
    """Hooks of all modules, in registers of the same names as a module's own."""

    def __init__(self) -> None:
        for register in _FORWARD_REGISTERS:
            setattr(self, register, OrderedDict())
        self._is_full_backward_hook: bool | None = None

    def __bool__(self) -> bool:
        return bool(
            self._forward_hooks  # type: ignore[attr-defined]
            or self._forward_pre_hooks  # type: ignore[attr-defined]
            or self._backward_hooks  # type: ignore[attr-defined]
            or self._backward_pre_hooks  # type: ignore[attr-defined]
        )


GLOBAL = _GlobalHooks()


def _register(
    owner: Any, register: str, hook: Hook, prepend: bool = False, **flags: bool
) -> RemovableHandle:
    """Put `hook` into a register of `owner` and note which of `flags` (side registers) it has."""
    hooks = getattr(owner, register)
    sides = [getattr(owner, f"{register}_{flag}") for flag, is_set in flags.items() if is_set]
    handle = RemovableHandle(hooks, sides)
    hooks[handle.id] = hook
    for side in sides:
        side[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _set_backward_kind(owner: Any, full: bool, where: str) -> None:
    """Refuse regular and full backward hooks beside each other."""
    if owner._is_full_backward_hook is (not full):
        raise RuntimeError(
            f"Cannot use both regular backward hooks and full backward hooks as a {where}. Please "
            "use only one of them."
            if owner is GLOBAL
            else "Cannot use both regular backward hooks and full backward hooks on a single "
            "Module. Please use only one of them."
        )
    owner._is_full_backward_hook = full


class Hooks:
    """Part of Module: `register_*_hook`."""

    def _init_hooks(self) -> None:
        """Make the registers."""
        for register in _FORWARD_REGISTERS:
            self.__dict__[register] = OrderedDict()
        self.__dict__["_is_full_backward_hook"] = None

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before `forward`; it may return new args.

        With `with_kwargs` ``hook(module, args, kwargs)``, which may return (args, kwargs).
        """
        return _register(self, "_forward_pre_hooks", hook, prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after `forward`; it may return another output.

        With `with_kwargs` ``hook(module, args, kwargs, output)``; with `always_call` even if
        `forward` raised.
        """
        return _register(
            *(self, "_forward_hooks", hook, prepend),
            with_kwargs=with_kwargs,
            always_called=always_call,
        )

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the inputs' gradients are known.

        It may return a replacement of `grad_input`. RuntimeError beside a regular backward hook.
        """
        _set_backward_kind(self, True, "single Module")
        return _register(self, "_backward_hooks", hook, prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` of the last node (deprecated).

        RuntimeError beside a full backward hook.
        """
        _set_backward_kind(self, False, "single Module")
        return _register(self, "_backward_hooks", hook)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the outputs' gradients are known.

        It may return a replacement of `grad_output`.
        """
        return _register(self, "_backward_pre_hooks", hook, prepend)


# ---- hooks of all modules --------------------------------------------------------------------


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, args)`` before the `forward` of every module."""
    return _register(GLOBAL, "_forward_pre_hooks", hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the `forward` of every module."""
    return _register(
        GLOBAL, "_forward_hooks", hook, with_kwargs=with_kwargs, always_called=always_call
    )


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` in the backward pass of every module."""
    return _register(GLOBAL, "_backward_pre_hooks", hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` in the backward pass of every module."""
    _set_backward_kind(GLOBAL, True, "global Module hook")
    return _register(GLOBAL, "_backward_hooks", hook)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Call a regular backward hook for every module (deprecated)."""
    _set_backward_kind(GLOBAL, False, "global Module hook")
    return _register(GLOBAL, "_backward_hooks", hook)


# ---- the call --------------------------------------------------------------------------------


def _entries(module: Any, register: str) -> Iterator[tuple[Any, int, Hook]]:
    """Yield (owner, id, hook), global hooks first."""
    for owner in (GLOBAL, module):
        # A hook may remove itself, or another, while it runs.
        for key, hook in tuple(getattr(owner, register).items()):
            yield owner, key, hook


def _backward_hooks(module: Any, full: bool) -> list[Hook]:
    return [
        hook
        for owner, _, hook in _entries(module, "_backward_hooks")
        if bool(owner._is_full_backward_hook) is full
    ]


class HookedCall:
    """One call of a module that has hooks."""

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.called: set[int] = set()

    def run(self) -> Any:
        """Call pre-hooks, `forward` and hooks; after an error the hooks that are always called."""
        try:
            return self._run()
        except Exception:
            self._run_always_called()
            raise

    def _run(self) -> Any:
        module = self.module
        for owner, key, hook in _entries(module, "_forward_pre_hooks"):
            self._run_pre_hook(hook, key in owner._forward_pre_hooks_with_kwargs)
        full = _backward_hooks(module, full=True)
        pre = [hook for _, _, hook in _entries(module, "_backward_pre_hooks")]
        boundary = BackwardHooks(module, full, pre) if full or pre else None
        if boundary is not None:
            self.args = boundary.enter(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        for owner, key, hook in _entries(module, "_forward_hooks"):
            self.called.add(key)
            self._run_hook(owner, key, hook)
        if boundary is not None:
            self.result = boundary.leave(self.result)
        self._attach_regular(_backward_hooks(module, full=False))
        return self.result

    def _run_pre_hook(self, hook: Hook, with_kwargs: bool) -> None:
        if not with_kwargs:
            replaced = hook(self.module, self.args)
            if replaced is not None:
                self.args = replaced if isinstance(replaced, tuple) else (replaced,)
            return
        replaced = hook(self.module, self.args, self.kwargs)
        if replaced is None:
            return
        if not isinstance(replaced, tuple) or len(replaced) != 2:
            raise RuntimeError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                f"{replaced}."
            )
        self.args, self.kwargs = replaced

    def _run_hook(self, owner: Any, key: int, hook: Hook) -> None:
        if key in owner._forward_hooks_with_kwargs:
            replaced = hook(self.module, self.args, self.kwargs, self.result)
        else:
            replaced = hook(self.module, self.args, self.result)
        if replaced is not None:
            self.result = replaced

    def _run_always_called(self) -> None:
        for owner, key, hook in _entries(self.module, "_forward_hooks"):
            if key not in owner._forward_hooks_always_called or key in self.called:
                continue
            try:
                self._run_hook(owner, key, hook)
            except Exception as error:  # the first error is the one to report
                kind = "global module" if owner is GLOBAL else "module"
                warnings.warn(
                    f"{kind} forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error}",
                    stacklevel=4,
                )

    def _attach_regular(self, hooks: list[Hook]) -> None:
        """Regular (not full) backward hooks go on the node that made the first output."""
        if not hooks:
            return
        output = self.result
        while not isinstance(output, Tensor):
            output = next(iter(output.values() if isinstance(output, dict) else output))
        if output.grad_fn is not None:
            self._warn_of_regular(output.grad_fn)
            for hook in hooks:
                output.grad_fn.register_hook(_bound(hook, self.module))

    def _warn_of_regular(self, node: Any) -> None:
        """A regular hook sees one node, which is seldom the whole of the module."""
        inputs, results = (v if isinstance(v, tuple) else (v,) for v in (self.args, self.result))
        if not all(isinstance(v, Tensor) for v in (*inputs, *results)):
            return
        before = {x.grad_fn for x in inputs if x.grad_fn is not None}
        if {y.grad_fn for y in results} == {node} and before != {n for n, _ in node.next_functions}:
            warnings.warn(_NOT_ONE_NODE, FutureWarning, stacklevel=5)


def _bound(hook: Hook, module: Any) -> Hook:
    return lambda *grads: hook(module, *grads)
