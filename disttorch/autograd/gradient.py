"""`backward` and `grad`: the public entrances to a sweep."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from disttorch.autograd.edges import GradientEdge, backend_at, edge_from, layout_of
from disttorch.autograd.engine import run_backward
from disttorch.autograd.node import Edge, Node
from disttorch.autograd.recorded import RECORDED
from disttorch.comm import phases
from disttorch.dtype import from_numpy_dtype
from disttorch.size import Size
from disttorch.tensor import Tensor

Place = Tensor | GradientEdge
Places = Place | Sequence[Place]
Grads = Tensor | Sequence[Tensor | None] | None

_GRADIENTS_KEEP_GRAPHS = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter "
    "and its gradient which can cause a memory leak. We recommend using autograd.grad when "
    "creating the graph to avoid this. If you have to use this function, make sure to reset the "
    ".grad fields of your parameters to None after use to break the cycle and avoid the leak."
)


def backward(
    tensors: Places,
    grad_tensors: Grads = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Grads = None,
    inputs: Places | dict[Any, Place] | None = None,
) -> None:
    """Add d(sum of tensors * grad_tensors)/d(leaf) to the `.grad` of every leaf.

    `grad_tensors` has the shape of its tensor and may be None for scalars. `inputs` restricts the
    accumulation to these tensors, non-leaves included. Raises RuntimeError with PyTorch's texts for
    tensors without history, non-scalar tensors without gradient, and graphs that were freed
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html).
    """
    if grad_variables is not None:
        grad_tensors = _legacy_grads(grad_tensors, grad_variables)
    into: set[Node] | None = None
    if inputs is not None:
        into = _accumulating_nodes(_places(inputs, "backward"))
    roots = _as_tuple(tensors)
    keep = create_graph if retain_graph is None else retain_graph
    edges = _root_edges(roots)
    grads = _root_grads(roots, _given_grads(roots, grad_tensors), batched=False)
    if create_graph:
        warnings.warn(_GRADIENTS_KEEP_GRAPHS, stacklevel=2)
    begun_s = monotonic()
    run_backward(backend_at(roots[0]), edges, grads, keep, create_graph, accumulate_into=into)
    phases.note(phases.BACKWARD, begun_s)


def grad(
    outputs: Places,
    inputs: Places | dict[Any, Place],
    grad_outputs: Grads = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """Return d(sum of outputs * grad_outputs)/d(input) for each input, without touching `.grad`.

    The result is a tuple, a dict for a dict of inputs. With `is_grads_batched` the first dimension
    of every gradient counts vectors, and so does the first dimension of the results. Raises
    RuntimeError when an input was not used and neither `allow_unused` nor `materialize_grads`
    (zeros instead) is set (https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html).
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    targets = _places(inputs, "grad")
    roots = _as_tuple(outputs)
    grads = _root_grads(roots, _given_grads(roots, grad_outputs), is_grads_batched)
    keep = create_graph if retain_graph is None else retain_graph
    sweep = _batched_sweeps if is_grads_batched else _sweep
    found = sweep(roots, targets, grads, keep, create_graph)
    results = _used(found, targets, materialize_grads, bool(allow_unused), create_graph)
    return dict(zip(inputs, results, strict=True)) if isinstance(inputs, dict) else results


# ---- what is differentiated, and with which gradients -------------------------------------------


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, (Tensor, GradientEdge)) else tuple(value)


def _places(inputs: Any, caller: str) -> tuple[Place, ...]:
    """The `inputs` argument as a tuple; PyTorch's errors for none and for other mappings."""
    if isinstance(inputs, Mapping):
        if type(inputs) is not dict:
            raise TypeError(
                f"`inputs` argument to `{caller}()` must be a dict, not {type(inputs).__name__}. "
                "Other Mapping types are not supported."
            )
        inputs = inputs.values()
    places = _as_tuple(inputs)
    if not places:
        raise RuntimeError(f"`inputs` argument to `{caller}()` cannot be empty.")
    return places


def _legacy_grads(grad_tensors: Grads, grad_variables: Grads) -> Grads:
    warnings.warn(
        "`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=3
    )
    if grad_tensors is not None:
        raise RuntimeError(
            "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
            "`backward()`. Please only use `grad_tensors`."
        )
    return grad_variables


def _accumulating_nodes(places: tuple[Place, ...]) -> set[Node]:
    """The nodes whose tensors get a `.grad`: leaves as always, others from now on."""
    nodes: set[Node] = set()
    for place in places:
        edge = edge_from(place)
        if isinstance(place, Tensor):
            place.retain_grad()
        if edge is not None:
            nodes.add(edge[0])
    return nodes


def _root_edges(roots: Sequence[Place]) -> list[Edge]:
    edges = []
    for i, place in enumerate(roots):
        edge = edge_from(place)
        if edge is None:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
        edges.append(edge)
    return edges


def _given_grads(roots: Sequence[Place], grads: Any) -> Sequence[Any]:
    """One gradient (or None) for each root."""
    if grads is None:
        return (None,) * len(roots)
    given: tuple[Any, ...] = (grads,) if isinstance(grads, Tensor) else tuple(grads)
    if len(given) < len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    return given[: len(roots)]


def _root_grads(roots: Sequence[Place], grads: Sequence[Any], batched: bool) -> list[Tensor | None]:
    """Check the gradients a sweep starts with; ones for scalars, None where no grad is required."""
    checked: list[Tensor | None] = []
    for i, (place, given) in enumerate(zip(roots, grads, strict=True)):
        if given is None:
            checked.append(_ones(place) if edge_from(place) is not None else None)
        elif not isinstance(given, Tensor):
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(given).__name__}"
            )
        else:
            _check_grad(i, place, given, batched)
            checked.append(given)
    return checked


def _ones(place: Place) -> Tensor:
    """The gradient of a scalar with respect to itself."""
    shape, np_dtype = layout_of(place)
    if shape and any(n != 1 for n in shape):
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    if np_dtype.kind == "c":
        raise RuntimeError(
            "grad can be implicitly created only for real scalar outputs but got "
            f"torch.{np_dtype.name}"
        )
    one = backend_at(place).asarray(1, np_dtype)
    return Tensor._wrap(one.reshape(shape) if shape else one)


def _check_grad(i: int, place: Place, given: Tensor, batched: bool) -> None:
    """PyTorch's errors for a gradient of another shape or domain than its output."""
    shape, np_dtype = layout_of(place)
    actual = given._array.shape[1:] if batched else given._array.shape
    if actual != shape:
        sizes = (
            f"grad_output[{i}] has a shape of {Size(actual)} and output[{i}] has a shape of "
            f"{Size(shape)}."
        )
        if not batched:
            raise RuntimeError(f"Mismatch in shape: {sizes}")
        raise RuntimeError(
            "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as "
            "the batch dimension. The sizes of the remaining dimensions are expected to match the "
            f"shape of corresponding output, but a mismatch was detected: {sizes} If you only want "
            "some tensors in `grad_output` to be considered batched, consider using vmap."
        )
    if (np_dtype.kind == "c") is not (given._array.dtype.kind == "c"):
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. "
            f"Mismatch in dtype: grad_output[{i}] has a dtype of {given.dtype} and output[{i}] has "
            f"a dtype of {from_numpy_dtype(np_dtype)}."
        )


# ---- sweeps for `grad` --------------------------------------------------------------------------


def _sweep(
    roots: Sequence[Place],
    targets: Sequence[Place],
    grads: Sequence[Tensor | None],
    keep: bool,
    create_graph: bool,
) -> list[Tensor | None]:
    """Gradients of the targets, None for those out of reach."""
    captures: dict[Edge, int] = {}
    where = []
    edges = _root_edges(roots)
    for target in targets:
        edge = edge_from(target)
        if edge is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        where.append(captures.setdefault(edge, len(captures)))
    if not roots:
        return [None] * len(where)
    captured = run_backward(
        backend_at(roots[0]), edges, grads, keep, create_graph, captures=captures
    )
    return [captured[i] for i in where]


def _batched_sweeps(
    roots: Sequence[Place],
    targets: Sequence[Place],
    grads: Sequence[Tensor | None],
    keep: bool,
    create_graph: bool,
) -> list[Tensor | None]:
    """One sweep for each vector of a batch of gradients; results stacked."""
    n = min(g.shape[0] for g in grads if g is not None)
    rows = []
    for i in range(n):
        row = [None if g is None else g[i] for g in grads]
        rows.append(_sweep(roots, targets, row, keep or i < n - 1, create_graph))
    return [
        None if column[0] is None else RECORDED.stack(column) for column in zip(*rows, strict=True)
    ]


def _used(
    grads: list[Tensor | None],
    targets: Sequence[Place],
    zeros: bool,
    allow_unused: bool,
    create_graph: bool,
) -> tuple[Tensor | None, ...]:
    """Pass gradients through; for an unused input make zeros, None, or PyTorch's error."""
    results: list[Tensor | None] = []
    for position, (found, target) in enumerate(zip(grads, targets, strict=True)):
        if found is None and zeros:
            if not isinstance(target, Tensor):
                raise RuntimeError(
                    "materialize_grads cannot be used when the given input is a GradientEdge"
                )
            made = Tensor._wrap(target.backend.xp.zeros_like(target._array))
            results.append(made.requires_grad_(create_graph))
            continue
        if found is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {position} appears to not have been used in "
                "the graph. Set allow_unused=True if this is the desired behavior."
            )
        results.append(found)
    return tuple(results)
