"""Jacobian-vector products by two backward sweeps.

A backward sweep computes g(u) = J^T u, which is linear in u; its derivative with respect to u,
multiplied by v from the left, is J v. One recorded sweep with a dummy u therefore serves any number
of tangents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from disttorch.autograd.gradient import grad
from disttorch.autograd.node import AccumulateGrad, Node, edge_of
from disttorch.tensor import Tensor


class Pushforward:
    """The map from tangents of `inputs` to tangents of `outputs`, both given with their graph."""

    def __init__(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
        self.outputs = outputs
        self._dummies = {
            k: zeros_like(y).requires_grad_() for k, y in enumerate(outputs) if y.requires_grad
        }
        self._inputs = inputs
        self.pulled: Sequence[Tensor | None] = [None] * len(inputs)
        if self._dummies:
            self.pulled = grad(
                [outputs[k] for k in self._dummies],
                inputs,
                list(self._dummies.values()),
                create_graph=True,
                allow_unused=True,
            )

    def __call__(
        self, tangents: Sequence[Tensor], create_graph: bool = False
    ) -> list[Tensor | None]:
        """Return the tangent of each output; None where no tangent reaches it."""
        results: list[Tensor | None] = [None] * len(self.outputs)
        pairs = [
            (g, v)
            for g, v in zip(self.pulled, tangents, strict=True)
            if g is not None and g.requires_grad
        ]
        if pairs:
            pushed = grad(
                [g for g, _ in pairs],
                list(self._dummies.values()),
                [v for _, v in pairs],
                retain_graph=True,
                create_graph=create_graph,
                allow_unused=True,
            )
            for k, tangent in zip(self._dummies, pushed, strict=True):
                results[k] = tangent
        return results


def zeros_like(x: Tensor) -> Tensor:
    """A tensor of zeros of the shape, dtype and device of `x`."""
    return Tensor._wrap(x.backend.xp.zeros(x._array.shape, x._array.dtype))


def reachable(outputs: Sequence[Tensor]) -> Iterator[Node]:
    """The nodes of the graph of `outputs`."""
    stack: list[Node] = [edge[0] for edge in map(edge_of, outputs) if edge is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        yield node
        for edge in node.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])


def reaches_beyond(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether `outputs` depend on leaves that require grad and are none of `inputs`."""
    own = {edge[0] for edge in map(edge_of, inputs) if edge is not None}
    return any(isinstance(n, AccumulateGrad) and n not in own for n in reachable(outputs))


__all__ = ["Pushforward", "reachable", "reaches_beyond", "zeros_like"]
