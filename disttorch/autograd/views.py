"""How the views that have no plain record are applied anew, and what is refused of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from disttorch.autograd.grad_mode import STATE

if TYPE_CHECKING:
    from disttorch.autograd.op import Op
    from disttorch.backends import Backend
    from disttorch.tensor import Tensor

Array = Any


class NthOutput:
    """One output of a view op with several (unbind, split), applied anew for its history."""

    @staticmethod
    def apply(source: Tensor, view: type[Op], k: int, **params: Any) -> Tensor:
        """Return output `k` of `view`; with recording on raise: the base was rewritten."""
        if STATE.enabled:
            raise RuntimeError(
                one_of_several(view, k, "its base or another view of its base has been")
            )
        output: Tensor = view.apply(source, **params)[k]
        return output

    @staticmethod
    def run(backend: Backend, source: Array, view: type[Op], k: int, **params: Any) -> Array:
        """Return output `k` of `view` on raw arrays."""
        return view.run(backend, source, **params)[k]


class UnrecordedView:
    """A view made where nothing is recorded: it has no history that could be rebuilt."""

    @staticmethod
    def apply(source: Tensor, view: type[Op], inference: bool, k: Any, **params: Any) -> Tensor:
        """Raise PyTorch's error, with recording on: the base was rewritten since."""
        if STATE.enabled:
            raise RuntimeError(ambiguous_write(None, inference, indirect=True))
        result = view.apply(source, **params)
        return result if k is None else result[k]

    @staticmethod
    def run(
        backend: Backend, source: Array, view: type[Op], inference: bool, k: Any, **params: Any
    ) -> Array:
        """Return the view of raw arrays."""
        result = view.run(backend, source, **params)
        return result if k is None else result[k]


def ambiguous_write(node: str | None, inference: bool, *, indirect: bool = False) -> str:
    """PyTorch's error for writing, with recording on, to a view that was made with it off.

    `node`: the view made of that view which is written to, if it is one; `indirect`: its base was
    written to.
    """
    where, block = (
        ("inference mode", "inference_mode") if inference else ("no_grad mode", "no_grad")
    )
    what = "A view was" if node is None else f"Output 0 of {node} is a view of a view which was"
    done = "its base or another view of its base has been" if indirect else "is being"
    mode = "in normal mode" if inference else "with grad mode enabled"
    return (
        f"{what} created in {where} and {done} modified inplace {mode}. Given that this use case "
        "is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both "
        f"the view and the inplace either both inside the {block} block (if you don't want the "
        "inplace to be tracked) or both outside (if you want the inplace to be tracked)."
    )


def one_of_several(view: type[Op], k: int, done: str) -> str:
    """PyTorch's error for a view, one of those `view` gives, where `done` ("is being") modified."""
    name = view.node_name.removesuffix("Backward0")
    return (
        f"Output {k} of {name} is a view and {done} modified inplace. This view is the output of a "
        "function that returns multiple views. Such functions do not allow the output views to be "
        "modified inplace. You should replace the inplace operation by an out-of-place one."
    )


__all__ = ["NthOutput", "UnrecordedView", "ambiguous_write", "one_of_several"]
