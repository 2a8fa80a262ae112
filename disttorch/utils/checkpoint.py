"""`checkpoint`: keep the inputs of a part of a model instead of its activations, recompute later.

Without reentrance the function runs recorded, but in place of each saved tensor its node holds a
ticket. The first ticket that a sweep redeems runs the function again; what that run saves, in the
same order, is what the tickets stand for. The reentrant variant is a `Function` whose backward
runs the function again and starts a sweep of its own.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from disttorch import amp, random
from disttorch.autograd.engine import accumulates_into_all_leaves, current_sweep
from disttorch.autograd.function import Function
from disttorch.autograd.grad_mode import enable_grad, no_grad
from disttorch.autograd.gradient import backward
from disttorch.autograd.graph import saved_tensors_hooks
from disttorch.autograd.node import edge_of
from disttorch.autograd.saved import SAVED_HOOKS, Packed, with_history
from disttorch.tensor import Tensor

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

Contexts = tuple[contextlib.AbstractContextManager[Any], contextlib.AbstractContextManager[Any]]

_PREFIX = "torch.utils.checkpoint"
_TIP = (
    "\nTip: the function must do the same in both runs: the same operators on tensors of the same "
    "shapes, whatever global state (training mode, autocast, random draws) it depends on."
)


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function saved other tensors than the first."""


def noop_context_fn() -> Contexts:
    """Return two contexts, for the first and the second run, that change nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class _Settings:
    early_stop: bool | None = None  # None: as the call says
    debug: bool | None = None


@contextlib.contextmanager
def _setting(name: str, value: bool | None) -> Iterator[None]:
    before = getattr(_Settings, name)
    setattr(_Settings, name, value)
    try:
        yield
    finally:
        setattr(_Settings, name, before)


def set_checkpoint_early_stop(enable: bool) -> contextlib.AbstractContextManager[None]:
    """Context that decides for all checkpoints inside whether the second run stops early.

    It may stop once all tensors that are needed have been recomputed.
    """
    return _setting("early_stop", enable)


def set_checkpoint_debug_enabled(
    enabled: bool | None,
) -> contextlib.AbstractContextManager[None]:
    """Context that overrides `debug` of all checkpoints inside."""
    return _setting("debug", enabled)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Call ``function(*args, **kwargs)``; in backward, call it again instead of saving activations.

    `preserve_rng_state` (keyword, True) lets both calls draw the same numbers. `context_fn` returns
    the contexts of both, `determinism_check` "none" leaves out the comparison of what they saved.
    With `use_reentrant` there are no keywords, and gradients only by `backward()` without `inputs`.
    Raises ValueError for options that exclude each other, CheckpointError in backward
    (https://docs.pytorch.org/docs/stable/checkpoint.html).
    """
    if use_reentrant is None:
        _warn_of_default(f"{_PREFIX}: the use_reentrant parameter should be passed explicitly.")
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        _refuse_keywords(kwargs)
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    if _Settings.debug is not None:
        debug = _Settings.debug
    if debug and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    first, second = context_fn()
    if _Settings.early_stop is not None:
        early_stop = _Settings.early_stop
    again = _Repetition(function, args, kwargs, second, preserve)
    frame = _Frame(again, early_stop, determinism_check == "default")
    with saved_tensors_hooks(frame.issue, frame.redeem), first:
        result = function(*args, **kwargs)
    frame.complete = True
    return result


def _warn_of_default(what: str) -> None:
    warnings.warn(
        f"{what} Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
        "exception. use_reentrant=False is recommended, but if you need to preserve the current "
        "default behavior, you can pass use_reentrant=True. Refer to docs for more details on the "
        "differences between the two variants.",
        stacklevel=3,
    )


def _refuse_keywords(keywords: dict[str, Any]) -> None:
    if keywords:
        raise ValueError("Unexpected keyword arguments: " + ",".join(keywords))


class _Repetition:
    """What it takes to call a function as before: its arguments, contexts and random state."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        keywords: dict[str, Any],
        context: contextlib.AbstractContextManager[Any],
        preserve_rng_state: bool,
    ) -> None:
        self._function, self._context = function, context
        self._args = [_kept(a) for a in args]
        self._keywords = {name: _kept(value) for name, value in keywords.items()}
        self._random_state = random.get_rng_state() if preserve_rng_state else None
        self._precision = _precision()

    def run(self) -> None:
        """Call the function once more, recorded."""
        args = [_returned(a) for a in self._args]
        keywords = {name: _returned(value) for name, value in self._keywords.items()}
        with random.fork_rng(enabled=self._random_state is not None):
            if self._random_state is not None:
                random.set_rng_state(self._random_state)
            with enable_grad(), _as_in(self._precision), self._context:
                self._function(*args, **keywords)


def _precision() -> dict[str, dict[str, Any]]:
    """The autocast settings of this thread, by device type."""
    return {
        kind: {
            "enabled": amp.is_autocast_enabled(kind),
            "dtype": amp.get_autocast_dtype(kind),
            "cache_enabled": amp.is_autocast_cache_enabled(),
        }
        for kind in ("cpu", "cuda")
    }


@contextlib.contextmanager
def _as_in(settings: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Run with these autocast settings."""
    with contextlib.ExitStack() as stack:
        for kind, options in settings.items():
            if options["enabled"] or amp.is_autocast_enabled(kind):
                stack.enter_context(amp.autocast(kind, **options))
        yield


def _kept(value: Any) -> Any:
    """An argument as it is kept; inside another checkpoint, a ticket of that one."""
    if not SAVED_HOOKS or not isinstance(value, Tensor):
        return value
    return Packed(*SAVED_HOOKS[-1], value._array), edge_of(value)


def _returned(kept: Any) -> Any:
    if isinstance(kept, tuple) and kept and type(kept[0]) is Packed:
        packed, edge = kept
        return with_history(packed.unpack(), edge)
    return kept


class _Ticket:
    """What a node holds in place of a saved tensor."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


class _AllRecomputed(Exception):
    """Ends the second run when the last tensor that is needed has been saved."""


class _Frame:
    """One checkpointed call: the tickets it issued and, in each sweep, what they stand for."""

    def __init__(self, again: _Repetition, early_stop: bool, compare: bool) -> None:
        self._again, self._early_stop, self._compare = again, early_stop, compare
        self._tickets: list[weakref.ref[_Ticket]] = []
        self._looks: list[dict[str, Any]] = []
        self._recomputed: weakref.WeakKeyDictionary[Any, dict[int, Tensor]] = (
            weakref.WeakKeyDictionary()
        )
        self.complete = False

    def issue(self, saved: Tensor) -> _Ticket:
        """Pack hook of the first run."""
        ticket = _Ticket(len(self._tickets))
        self._tickets.append(weakref.ref(ticket))
        self._looks.append(_look(saved) if self._compare else {})
        return ticket

    def redeem(self, ticket: _Ticket) -> Tensor:
        """Unpack hook: the recomputed tensor, which is handed out once in a run."""
        sweep = current_sweep()
        found = self._recomputed.get(sweep, {}) if sweep is not None else {}
        if ticket.number not in found:
            found = self._recompute()
            if sweep is not None:
                self._recomputed[sweep] = found
        return found.pop(ticket.number)

    def _recompute(self) -> dict[int, Tensor]:
        """Run the function again; the tensors that living tickets stand for, by number."""
        run = _SecondRun(self._tickets, self._early_stop, self.complete)
        with saved_tensors_hooks(run.save, _same), contextlib.suppress(_AllRecomputed):
            self._again.run()
        if not run.more_is_fine:
            self._check(run)
        return run.found

    def _check(self, run: _SecondRun) -> None:
        """Raise CheckpointError unless both runs saved alike."""
        if run.count != len(self._tickets):
            raise CheckpointError(
                f"{_PREFIX}: A different number of tensors was saved during the original forward "
                "and recomputation.\n"
                f"Number of tensors saved during forward: {len(self._tickets)}\n"
                f"Number of tensors saved during recomputation: {run.count}.\n{_TIP}"
            )
        if not self._compare:
            return
        different = "".join(
            f"tensor at position {k}:\nsaved metadata: {self._looks[k]}\n"
            f"recomputed metadata: {_look(tensor)}\n"
            for k, tensor in run.found.items()
            if _look(tensor) != self._looks[k]
        )
        if different:
            raise CheckpointError(
                f"{_PREFIX}: Recomputed values for the following tensors have different metadata "
                f"than during the forward pass.\n{different}.\n{_TIP}"
            )


class _SecondRun:
    """The pack hook of a second run: collects what the tickets stand for."""

    def __init__(
        self, tickets: list[weakref.ref[_Ticket]], early_stop: bool, complete: bool
    ) -> None:
        self._tickets, self._early_stop, self._complete = tickets, early_stop, complete
        self.found: dict[int, Tensor] = {}
        self.count = 0
        self.more_is_fine = False  # a sweep inside the first run, which then went on

    def save(self, saved: Tensor) -> Tensor:
        """Keep a tensor if its ticket lives; stop at the last."""
        k, self.count = self.count, self.count + 1
        kept = saved.detach()
        if k >= len(self._tickets):
            if self._complete:
                raise CheckpointError(
                    f"{_PREFIX}: trying to save more tensors during recomputation than during the "
                    f"original forward pass.\n{_TIP}"
                )
            self.more_is_fine = True
            return kept
        if self._tickets[k]() is not None:
            self.found[k] = kept
        if self._early_stop and self.count == len(self._tickets):
            raise _AllRecomputed
        return kept


def _same(saved: Tensor) -> Tensor:
    return saved


def _look(x: Tensor) -> dict[str, Any]:
    return {"shape": x.shape, "dtype": x.dtype, "device": x.device}


# ---- the reentrant variant ----------------------------------------------------------------------


class CheckpointFunction(Function):
    """Runs a function unrecorded and, in backward, again and recorded."""

    @staticmethod
    def forward(
        ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any
    ) -> Any:
        """Call ``run_function(*args)``; tensors among `args` are saved."""
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.random_state = random.get_rng_state() if preserve_rng_state else None
        ctx.precision = _precision()
        ctx.plain = [None if isinstance(a, Tensor) else a for a in args]
        ctx.positions = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*(args[i] for i in ctx.positions))
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Call the function again, sweep through it, hand on the gradients of its inputs."""
        if not accumulates_into_all_leaves():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
            )
        inputs = list(ctx.plain)
        for i, tensor in zip(ctx.positions, ctx.saved_tensors, strict=True):
            inputs[i] = tensor
        own = detach_variable(tuple(inputs))
        with random.fork_rng(enabled=ctx.random_state is not None):
            if ctx.random_state is not None:
                random.set_rng_state(ctx.random_state)
            with enable_grad(), _as_in(ctx.precision):
                result = ctx.run_function(*own)
        outputs = (result,) if isinstance(result, Tensor) else result
        pairs = [
            (y, g)
            for y, g in zip(outputs, grads, strict=True)
            if isinstance(y, Tensor) and y.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward([y for y, _ in pairs], [g for _, g in pairs])
        return (None, None, *(x.grad if isinstance(x, Tensor) else None for x in own))


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs with tensors cut off from their history, requiring grad as before."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs
    )


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn if none of the inputs requires grad."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )


# ---- sequences ----------------------------------------------------------------------------------


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Call functions (or the layers of a Sequential) one after the other, in checkpointed segments.

    All segments but the last are checkpointed
    (https://docs.pytorch.org/docs/stable/checkpoint.html).
    """
    if use_reentrant is None:
        _warn_of_default(
            f"{_PREFIX}.checkpoint_sequential: the use_reentrant parameter should be passed "
            "explicitly."
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    _refuse_keywords(kwargs)
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)
    length = len(steps) // segments
    for start in range(0, length * (segments - 1), length):
        input = checkpoint(
            _chain(steps[start : start + length]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve,
        )
    return _chain(steps[length * (segments - 1) :])(input)


def _chain(steps: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return run
