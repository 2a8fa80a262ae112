"""`grad`, `vjp`, `jvp`, `linearize`: functions made of functions, to be nested in any order.

A transform differentiates by tensors of its own (`_enter`): fresh leaves, or views of tensors that
an outer transform or the user differentiates by. Its sweeps are recorded only if the function
depends on anything of the latter kind, and only then do results keep a history.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.grad_mode import STATE, enable_grad
from disttorch.autograd.gradient import grad as _grad
from disttorch.autograd.pushforward import Pushforward, reaches_beyond, zeros_like
from disttorch.func import pytree
from disttorch.tensor import Tensor

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


class Level:
    """One call of a function whose derivatives are wanted: its inputs, outputs and auxiliaries."""

    def __init__(
        self, func: Function, args: tuple[Any, ...], diff: Any, keywords: Any, *, aux: str = ""
    ) -> None:
        """Call `func`; `diff(args)` is the tree to differentiate by, `aux` the caller with aux."""
        leaves, self.spec = pytree.flatten(diff(args))
        for x in leaves:
            if not isinstance(x, Tensor):
                raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        self.originals: list[Tensor] = leaves
        self.linked = STATE.enabled
        with enable_grad():
            self.inputs = [self._enter(x) for x in leaves]
            tree = pytree.unflatten(self.inputs, self.spec)
            result = func(*_put(args, diff, tree), **keywords)
        self.aux = None
        if aux:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(
                    f"{aux}: output of function f should be a tuple: (output, aux) if has_aux is "
                    "True"
                )
            result, extra = result
            self.aux = pytree.map_leaves(self.leave, extra)
        self.result = result

    def _enter(self, x: Tensor) -> Tensor:
        differentiable = x.is_floating_point() or x.is_complex()
        if self.linked and x.requires_grad:
            return x.view_as(x)
        return x.detach().requires_grad_() if differentiable else x.detach()

    def leave(self, value: Any) -> Any:
        """A result without the history that ends at this call's own leaves."""
        if not isinstance(value, Tensor) or not value.requires_grad:
            return value
        return value if self.linked and reaches_beyond([value], self.inputs) else value.detach()

    def pull(self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor], keep: bool) -> Any:
        """The gradients of the inputs, as the tree they came in; zeros where there is none."""
        pairs = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y.requires_grad]
        create = self._records(outputs, cotangents)
        wanted = [x for x in self.inputs if x.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(wanted)
        if pairs and wanted:
            roots, grads = zip(*pairs, strict=True)
            found = _grad(roots, wanted, grads, keep or create, create, allow_unused=True)
        by_input = iter(found)
        grads = [next(by_input) if x.requires_grad else None for x in self.inputs]
        filled = [
            zeros_like(x) if g is None else g for x, g in zip(self.inputs, grads, strict=True)
        ]
        return pytree.unflatten(filled, self.spec)

    def _records(self, outputs: Sequence[Tensor], vectors: Sequence[Tensor]) -> bool:
        beyond = any(v.requires_grad for v in vectors) or reaches_beyond(outputs, self.inputs)
        return self.linked and beyond

    def pushforward(self, outputs: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], list[Any]]:
        """The map from tangents of the inputs to those of the outputs, zeros where none comes."""
        wanted = [k for k, x in enumerate(self.inputs) if x.requires_grad]
        push = Pushforward(outputs, [self.inputs[k] for k in wanted])

        def pushed(tangents: Sequence[Tensor]) -> list[Any]:
            chosen = [tangents[k] for k in wanted]
            results = push(chosen, self._records(outputs, chosen))
            return [
                zeros_like(y) if v is None else v for y, v in zip(outputs, results, strict=True)
            ]

        return pushed


class _All:
    """Differentiate by all arguments."""

    def __call__(self, args: tuple[Any, ...]) -> Any:
        return args


class Chosen:
    """Differentiate by the arguments `argnums`; RuntimeError, as in PyTorch, for bad ones."""

    def __init__(self, argnums: Argnums) -> None:
        if not isinstance(argnums, (int, tuple)):
            raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
        self.argnums = argnums

    def positions(self, n: int) -> tuple[int, ...]:
        """The chosen positions among `n` arguments."""
        given = self.argnums if isinstance(self.argnums, tuple) else (self.argnums,)
        if not given:
            raise RuntimeError("argnums must be non-empty")
        for k in given:
            if not isinstance(k, int):
                raise RuntimeError(f"argnum must be int, got: {type(k)}")
            if not -n <= k < n:
                raise RuntimeError(f"Got argnum={k}, but only {n} positional inputs")
        chosen = tuple(k % n for k in given)
        if len(set(chosen)) != len(chosen):
            raise RuntimeError(f"argnums elements must be unique, got {chosen}")
        return chosen

    def __call__(self, args: tuple[Any, ...]) -> Any:
        """The chosen arguments: a tuple for several, else the one."""
        chosen = tuple(args[k] for k in self.positions(len(args)))
        return chosen if isinstance(self.argnums, tuple) else chosen[0]


def _put(args: tuple[Any, ...], diff: Any, tree: Any) -> tuple[Any, ...]:
    """The arguments with those that `diff` chooses replaced."""
    if not isinstance(diff, Chosen):
        return tree
    new = tree if isinstance(diff.argnums, tuple) else (tree,)
    replaced = dict(zip(diff.positions(len(args)), new, strict=True))
    return tuple(replaced.get(k, x) for k, x in enumerate(args))


def grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """Return the function that computes the gradient of scalar `func` by arguments `argnums`.

    With `has_aux`, `func` returns ``(output, aux)`` and the result is ``(gradient, aux)``. Raises
    RuntimeError if the output is no 0-dim tensor
    (https://docs.pytorch.org/docs/stable/generated/torch.func.grad.html).
    """

    @functools.wraps(func, updated=())
    def gradient(*args: Any, **keywords: Any) -> Any:
        grads, value = grad_and_value(func, argnums, has_aux)(*args, **keywords)
        return (grads, value[1]) if has_aux else grads

    return gradient


def grad_and_value(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """Like `grad`, with the value: ``(gradient, output)`` or ``(gradient, (output, aux))``.

    See https://docs.pytorch.org/docs/stable/generated/torch.func.grad_and_value.html.
    """

    @functools.wraps(func, updated=())
    def both(*args: Any, **keywords: Any) -> Any:
        call = "grad_and_value(f)(*args)"
        level = Level(func, args, Chosen(argnums), keywords, aux=call if has_aux else "")
        y = level.result
        if not isinstance(y, Tensor):
            raise RuntimeError(f"{call}: Expected f(*args) to return a Tensor, got {type(y)}")
        if y.ndim:
            raise RuntimeError(
                f"{call}: Expected f(*args) to return a scalar Tensor, got tensor with {y.ndim} "
                "dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        ones = Tensor._wrap(y.backend.xp.ones_like(y._array))
        grads = level.pull([y], [ones], keep=False)
        value = level.leave(y)
        return grads, ((value, level.aux) if has_aux else value)

    return both


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Return ``func(*primals)`` and the function from cotangents to a tuple of gradients.

    With `has_aux` also the auxiliary output. Raises RuntimeError for outputs that cannot carry
    gradients (https://docs.pytorch.org/docs/stable/generated/torch.func.vjp.html).
    """
    level = Level(func, primals, _All(), {}, aux="vjp(f, *primals)" if has_aux else "")
    outputs, spec = pytree.flatten(level.result)
    check_outputs(outputs, level.result, "vjp(f, *primals)")
    for y in outputs:
        if not (y.is_floating_point() or y.is_complex()):
            raise RuntimeError(
                "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                f"Tensor with dtype {y.dtype}"
            )

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given, given_spec = pytree.flatten(cotangents)
        if given_spec != spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {given_spec}, primal output: {spec}"
            )
        return level.pull(outputs, given, retain_graph)

    value = pytree.map_leaves(level.leave, level.result)
    return (value, pull, level.aux) if has_aux else (value, pull)


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """Return ``func(*primals)`` and its derivative along `tangents`, tuples of equal structure.

    Outputs that do not depend on the inputs have zero tangents, or with `strict` raise RuntimeError
    (https://docs.pytorch.org/docs/stable/generated/torch.func.jvp.html).
    """
    call = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{call}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    given = _tangents(call, primals, tangents)
    level = Level(func, primals, _All(), {}, aux=call if has_aux else "")
    outputs, spec = pytree.flatten(level.result)
    check_outputs(outputs, level.result, call)
    if strict and not all(y.requires_grad for y in outputs):
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. "
            "This is not allowed with strict=True."
        )
    pushed = pytree.unflatten(level.pushforward(outputs)(given), spec)
    value = pytree.map_leaves(level.leave, level.result)
    return (value, pushed, level.aux) if has_aux else (value, pushed)


def _tangents(call: str, primals: Any, tangents: Any) -> list[Any]:
    """The tangents as a list; RuntimeError unless their structure is that of the primals."""
    spec = pytree.flatten(primals)[1]
    given, given_spec = pytree.flatten(tangents)
    if given_spec != spec:
        raise RuntimeError(
            f"{call}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {spec} and tangents with structure {given_spec}"
        )
    for argname, values in (("primals", primals), ("tangents", tangents)):
        for x in pytree.flatten(values)[0]:
            if not isinstance(x, Tensor):
                raise RuntimeError(
                    f"{call}: Expected {argname} to only contain Tensors, got {type(x)}"
                )
    if not given:
        raise RuntimeError(f"{call}: Expected primals to contain at least one Tensor.")
    return given


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """Return ``func(*primals)`` and the function from tangents to its derivative along them.

    `func` is called once, however many tangents follow
    (https://docs.pytorch.org/docs/stable/generated/torch.func.linearize.html).
    """
    level = Level(func, primals, _All(), {})
    outputs, spec = pytree.flatten(level.result)
    push = level.pushforward(outputs)

    def along(*tangents: Any) -> Any:
        given, given_spec = pytree.flatten(tangents)
        if given_spec != level.spec:
            raise RuntimeError(
                f"Expected the tangents {given_spec} to have the same argspec as the primals "
                f"{level.spec}"
            )
        return pytree.unflatten(push(given), spec)

    return pytree.map_leaves(level.leave, level.result), along


def functionalize(func: Function, *, remove: str = "mutations") -> Function:
    """Return `func` as it is called without in-place writes: here, `func` under a name of its own.

    PyTorch rewrites the operators a tracer of it records, "mutations" or "mutations_and_views"
    (`remove`; RuntimeError for anything else); values, writes into arguments included, stay those
    of `func`. disttorch has no such tracer, so there is nothing to rewrite
    (https://docs.pytorch.org/docs/stable/generated/torch.func.functionalize.html).
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}."
            " Valid options are:\n"
            "     remove='mutations': all inplace and out= operators will be removed from the "
            "program, and replaced with their out-of-place equivalents.\n"
            "     remove='mutations_and_views': In addition to the above, all aliasing operators "
            "{view} will be replaced with their non-aliasing counterparts, {view}_copy.\n"
        )

    @functools.wraps(func)
    def called(*args: Any, **keywords: Any) -> Any:
        return func(*args, **keywords)

    return called


def check_outputs(outputs: Sequence[Any], result: Any, call: str) -> None:
    """Raise PyTorch's error unless a function returned tensors, at least one."""
    if not outputs:
        raise RuntimeError(
            f"{call}: Expected f to be a function that has non-empty output (got output = {result})"
        )
    for y in outputs:
        if not isinstance(y, Tensor):
            raise RuntimeError(
                f"{call}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(y)}"
            )


__all__ = [
    "Chosen",
    "Level",
    "check_outputs",
    "functionalize",
    "grad",
    "grad_and_value",
    "jvp",
    "linearize",
    "vjp",
]
