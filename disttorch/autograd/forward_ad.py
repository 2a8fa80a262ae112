"""Forward-mode derivatives: dual tensors, which carry a tangent beside their value.

A dual tensor is an input of the level that is open; what is computed from it carries the tangent
along in its graph. `unpack_dual` brings it forth by two backward sweeps (`pushforward`), so duals
propagate only where operations are recorded, and every operator that is twice differentiable has a
forward derivative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from disttorch.autograd.grad_mode import enable_grad
from disttorch.autograd.node import edge_of
from disttorch.autograd.pushforward import Pushforward, reachable, reaches_beyond
from disttorch.tensor import Tensor

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level"]
__all__ += ["make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """The value and the tangent of a dual tensor; the tangent is None if there is none."""

    primal: Tensor
    tangent: Tensor | None


class _Level:
    """The duals made in an open level, and their tangents."""

    def __init__(self) -> None:
        self.duals: list[Tensor] = []
        self.tangents: list[Tensor] = []


# PyTorch allows one level at a time.
_OPEN: list[_Level] = []


def enter_dual_level() -> int:
    """Open the level in which duals can be made; returns its number, 0.

    Raises RuntimeError if it is open already.
    """
    if _OPEN:
        raise RuntimeError(
            "Nested forward mode AD is not supported at the moment. If you are trying to use "
            "functorch's jvp or jacfwd, please use torch.func instead."
        )
    _OPEN.append(_Level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Close the level: its duals are ordinary tensors from then on."""
    if not _OPEN or level not in (None, 0):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is "
            "not supported."
        )
    _OPEN.pop()


class dual_level:
    """Context of one level: ``with dual_level(): ... make_dual ... unpack_dual``."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """Return `tensor` with a tangent of its shape and dtype.

    Raises RuntimeError outside of a level, ValueError for integers, RuntimeError for a tangent of
    another shape or dtype.
    """
    if not _OPEN:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for name, x in (("primal", tensor), ("tangent", tangent)):
        if not (x.is_floating_point() or x.is_complex()):
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {x.dtype}")
    if tensor.shape != tangent.shape or tensor.dtype is not tangent.dtype:
        raise RuntimeError(
            "Expected tangent to have the same size and dtype as the primal, but got "
            f"{list(tangent.shape)} of {tangent.dtype} for {list(tensor.shape)} of {tensor.dtype}"
        )
    with enable_grad():
        linked = tensor.requires_grad
        dual: Any = tensor.view_as(tensor) if linked else tensor.detach().requires_grad_()
    _OPEN[-1].duals.append(dual)
    _OPEN[-1].tangents.append(tangent)
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """Return the value and the tangent of a tensor computed from duals of the open level."""
    if not _OPEN:
        return UnpackedDualTensor(tensor, None)
    duals, tangents = _OPEN[-1].duals, _OPEN[-1].tangents
    if not duals or not _depends(tensor, duals):
        return UnpackedDualTensor(tensor, None)
    keep = reaches_beyond([tensor], duals) or any(t.requires_grad for t in tangents)
    with enable_grad():
        (tangent,) = Pushforward([tensor], duals)(tangents, create_graph=keep)
    return UnpackedDualTensor(tensor if keep else tensor.detach(), tangent)


def _depends(tensor: Tensor, duals: list[Tensor]) -> bool:
    """Whether the graph of `tensor` reaches one of `duals`."""
    wanted = {edge[0] for edge in map(edge_of, duals) if edge is not None}
    return any(node in wanted for node in reachable([tensor]))
