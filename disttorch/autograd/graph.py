"""`disttorch.autograd.graph`: nodes and edges, hooks on them, and hooks on saved tensors."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from disttorch.autograd.edges import GradientEdge, get_gradient_edge
from disttorch.autograd.engine import current_sweep
from disttorch.autograd.node import Node, RemovableHandle
from disttorch.autograd.saved import SAVED_HOOKS
from disttorch.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

# ---- saved tensors ------------------------------------------------------------------------------

# Why hooks on saved tensors are refused, innermost reason last.
_DISABLED: list[str] = []


class saved_tensors_hooks:
    """Context in which saved tensors pass through `pack_hook` and come back by `unpack_hook`."""

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if _DISABLED:
            raise RuntimeError(_DISABLED[-1])
        SAVED_HOOKS.append((self.pack_hook, self.unpack_hook))

    def __exit__(self, *_: object) -> None:
        SAVED_HOOKS.pop()


class save_on_cpu(saved_tensors_hooks):
    """Keep saved tensors in host memory until backward needs them."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(
            lambda t: (t.device, t.detach().cpu()),
            lambda packed: packed[1].to(packed[0]),
        )


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Refuse hooks on saved tensors inside, with this message, where they would go unnoticed.

    Raises RuntimeError with the message at once if such hooks are active already.
    """
    if SAVED_HOOKS:
        raise RuntimeError(error_message)
    _DISABLED.append(error_message)
    try:
        yield
    finally:
        _DISABLED.pop()


class _MutationAllowed(saved_tensors_hooks):
    """Keeps copies of saved tensors, so that the originals may be overwritten."""

    active = False

    def __init__(self) -> None:
        super().__init__(lambda t: t.detach().clone(), self._unpack)

    def _unpack(self, copy: Tensor) -> Tensor:
        if not _MutationAllowed.active:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in "
                "which the graph was originally recorded."
            )
        return copy


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_MutationAllowed]:
    """Allow in-place changes of tensors saved for backward; run the sweep inside as well.

    Saved tensors are copied when they are saved, so this costs memory. Raises RuntimeError if
    nested.
    """
    if _MutationAllowed.active:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    hooks = _MutationAllowed()
    _MutationAllowed.active = True
    try:
        with hooks:
            yield hooks
    finally:
        _MutationAllowed.active = False


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Tell autograd that tensors were modified in place by means it does not see."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._cell[0] += 1


# ---- several gradients --------------------------------------------------------------------------


class _Handles(RemovableHandle):
    """One handle for the hooks on several tensors."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take all the hooks away."""
        for handle in self.handles:
            handle.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all"
) -> RemovableHandle:
    """Call `fn` when the gradients of `tensors` have been computed, once in every sweep.

    `mode` "all": with a list of them, None for those out of this sweep's reach, when the last has
    come; "any": with the first that comes. Returns a handle with `remove()`.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    collector = _Collector(tensors, fn, wait=mode == "all")
    return _Handles(
        [t.register_hook(lambda g, i=i: collector.take(i, g)) for i, t in enumerate(tensors)]
    )


class _Collector:
    """The gradients that have come so far, sweep by sweep."""

    def __init__(self, tensors: Sequence[Tensor], fn: Callable[[Any], None], wait: bool) -> None:
        self._nodes = [get_gradient_edge(t).node for t in tensors]
        self._fn, self._wait = fn, wait
        self._come: weakref.WeakKeyDictionary[Any, dict[int, Tensor]] = weakref.WeakKeyDictionary()

    def take(self, i: int, grad: Tensor) -> None:
        """Note the gradient of tensor `i`; call the user's function when it is time."""
        sweep = current_sweep()
        assert sweep is not None, "expected this hook to be called inside a backward call"
        come = self._come.setdefault(sweep, {})
        come[i] = grad
        if not self._wait:
            if len(come) == 1:
                self._fn(grad)
        elif len(come) == sum(sweep.will_run(node) for node in self._nodes):
            self._fn([come.get(k) for k in range(len(self._nodes))])
