"""`GradientEdge`: a place in the graph, without the tensor that stands there."""

from __future__ import annotations

from typing import Any, NamedTuple

from disttorch.autograd.node import AccumulateGrad, Edge, Node, edge_of
from disttorch.backends import Backend, backend_of
from disttorch.tensor import Tensor


class GradientEdge(NamedTuple):
    """Output `output_nr` of `node`; stands for a tensor in `backward` and `grad`.

    `ownership_token` keeps alive what the node needs when the tensor itself is dropped.
    """

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Return the edge at which gradients for `tensor` arrive.

    Raises RuntimeError for a tensor that requires no gradient.
    """
    edge = edge_of(tensor)
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    node, output_nr = edge
    # A leaf's sink refers to the leaf weakly: the edge must not outlive its variable.
    return GradientEdge(node, output_nr, tensor if isinstance(node, AccumulateGrad) else None)


def edge_from(place: Tensor | GradientEdge) -> Edge | None:
    """Where the gradient of a tensor, or for a `GradientEdge`, goes; None if nowhere."""
    if isinstance(place, GradientEdge):
        return place.node, place.output_nr
    return edge_of(place)


def layout_of(place: Tensor | GradientEdge) -> tuple[tuple[int, ...], Any]:
    """Shape and array dtype of what stands at a place of the graph."""
    if isinstance(place, Tensor):
        return place._array.shape, place._array.dtype
    node = place.node
    if isinstance(node, AccumulateGrad):
        node.look_at_leaf()
    return node.metas[place.output_nr]


def backend_at(place: Tensor | GradientEdge) -> Backend:
    """The backend whose arrays flow through a place of the graph."""
    if isinstance(place, Tensor):
        return backend_of(place._array)
    node: Any = place.node
    return node.variable.backend if isinstance(node, AccumulateGrad) else node.backend


__all__ = ["GradientEdge", "backend_at", "edge_from", "get_gradient_edge", "layout_of"]
