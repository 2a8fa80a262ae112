"""`backward` and `grad`: the public entrances to a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.autograd.engine import run_backward
from disttorch.autograd.node import AccumulateGrad, Edge, Node, edge_of
from disttorch.tensor import Tensor

Tensors = Tensor | Sequence[Tensor]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, Tensor) or value is None else tuple(value)


def _root_edges(tensors: Sequence[Tensor]) -> list[Edge]:
    edges = []
    for i, tensor in enumerate(tensors):
        edge = edge_of(tensor)
        if edge is None:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
        edges.append(edge)
    return edges


def _checked_grads(tensors: Sequence[Tensor], grads: Any) -> tuple[Tensor | None, ...]:
    given = _as_tuple(grads) if grads is not None else (None,) * len(tensors)
    for g in given:
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if len(given) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(given)} gradients")
    return given


def backward(
    tensors: Tensors,
    grad_tensors: Tensors | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add d(sum of tensors * grad_tensors)/d(leaf) to the `.grad` of every leaf.

    `grad_tensors` has the shape of its tensor and may be None for scalars. `inputs` restricts the
    leaves. Raises RuntimeError with PyTorch's texts for tensors without history, non-scalar
    tensors without gradient, and graphs that were freed
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html).
    """
    roots = _as_tuple(tensors)
    into: set[Node] | None = None
    if inputs is not None:
        leaves = _as_tuple(inputs)
        if not leaves:
            raise RuntimeError("'inputs' argument to backward cannot be empty.")
        nodes = [edge_of(x) for x in leaves]
        if any(e is None or not isinstance(e[0], AccumulateGrad) for e in nodes):
            raise RuntimeError(
                "One of the differentiated Tensors given as 'inputs' to backward is not a leaf "
                "Tensor"
            )
        into = {e[0] for e in nodes if e is not None}
    keep = create_graph if retain_graph is None else retain_graph
    edges = _root_edges(roots)
    grads = _checked_grads(roots, grad_tensors)
    run_backward(roots, grads, keep, create_graph, accumulate_into=into, edges=edges)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensors | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return d(sum of outputs * grad_outputs)/d(input) for each input, without touching `.grad`.

    Raises RuntimeError when an input was not used and neither `allow_unused` nor
    `materialize_grads` (zeros instead) is set
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html).
    """
    if is_grads_batched:
        raise ValueError("is_grads_batched=True is not supported; call grad once per gradient")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    roots, targets = _as_tuple(outputs), _as_tuple(inputs)
    grads = _checked_grads(roots, grad_outputs)
    captures: dict[Edge, int] = {}
    where = []
    for target in targets:
        edge = edge_of(target)
        if edge is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        where.append(captures.setdefault(edge, len(captures)))
    keep = create_graph if retain_graph is None else retain_graph
    edges = _root_edges(roots)
    captured = run_backward(roots, grads, keep, create_graph, captures, edges=edges)
    return tuple(
        _used(captured[i], t, position, materialize_grads, bool(allow_unused) or materialize_grads)
        for position, (i, t) in enumerate(zip(where, targets, strict=True))
    )


def _used(
    grad: Tensor | None, target: Tensor, position: int, zeros: bool, allow_unused: bool
) -> Tensor | None:
    """Pass a gradient through; for an unused input make zeros, None, or PyTorch's error."""
    if grad is not None:
        return grad
    if not allow_unused:
        raise RuntimeError(
            f"The differentiated Tensor at index {position} appears to not have been used in the "
            "graph. Set allow_unused=True if this is the desired behavior."
        )
    return Tensor._wrap(target.backend.xp.zeros_like(target._array)) if zeros else None
