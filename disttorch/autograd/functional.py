"""Derivatives of a function of tensors at a point: `jacobian`, `hessian` and their products.

Every entry calls the function once on inputs of its own (`_Call`), sweeps, and hands results back
without history unless `create_graph` asks for it. `strict` refuses what does not depend on the
inputs, where zeros would be returned otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.grad_mode import enable_grad
from disttorch.autograd.gradient import grad
from disttorch.autograd.pushforward import Pushforward, zeros_like
from disttorch.autograd.recorded import RECORDED
from disttorch.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]
Tensors = Tensor | tuple[Tensor, ...]

# What strict mode says of a tensor that requires no grad, by what the tensor is.
_CONSTANT = {
    "outputs": (
        "Output {i} of the user-provided function does not require gradients. The outputs must be "
        "computed in a differentiable manner from the input when running in strict mode."
    ),
    "gradient": (
        "The gradient with respect to input {i} is independent of the inputs of the user-provided "
        "function. This is not allowed in strict mode."
    ),
    "jacobian": (
        "While computing the hessian, found that the jacobian of the user-provided function with "
        "respect to input {i} is independent of the input. This is not allowed in strict mode. You "
        "should ensure that your function is twice differentiable and that the jacobian depends on "
        "the inputs (this would be violated by a linear function for example)."
    ),
}
_UNREACHED = (
    "The output of the user-provided function is independent of input {i}. This is not allowed in "
    "strict mode."
)
# The same of a gradient that does not exist, by the sweep that should have made it.
_MISSING = {
    "back": _UNREACHED,
    "back_trick": (
        "The gradient with respect to the input is independent of entry {i} in the grad_outputs "
        "when using the double backward trick to compute forward mode gradients. This is not "
        "allowed in strict mode."
    ),
    "double_back": (
        "The jacobian of the user-provided function is independent of input {i}. This is not "
        "allowed in strict mode."
    ),
    "double_back_trick": (
        "The hessian of the user-provided function is independent of entry {i} in the "
        "grad_jacobian. This is not allowed in strict mode as it prevents from using the double "
        "backward trick to replace forward mode AD."
    ),
}


class _Call:
    """One call of the user's function, on inputs that require grad."""

    def __init__(
        self, api: str, func: Function, inputs: Any, create_graph: bool, strict: bool
    ) -> None:
        self.api, self.create_graph, self.strict = api, create_graph, strict
        self.several_in, given = _as_tuple(inputs, "inputs", api)
        self.inputs = tuple(_own(x, create_graph) for x in given)
        result = func(*self.inputs)
        self.several_out, self.outputs = _as_tuple(
            result, "outputs of the user-provided function", api
        )
        if strict:
            _refuse_constants(self.outputs, "outputs")

    def vector(self, v: Any, like: Sequence[Tensor], several: bool, otherwise: str) -> Any:
        """The vector `v`, checked against `like`; ones if it may be left out."""
        if v is None:
            if len(like) != 1 or like[0].numel() != 1:
                raise RuntimeError(f"The vector v can only be None if {otherwise}.")
            ones = [Tensor._wrap(x.backend.xp.ones(x._array.shape, x._array.dtype)) for x in like]
            return tuple(ones)
        _, given = _as_tuple(v, "v", self.api)
        vectors = tuple(x.view_as(x) if self.create_graph else x.detach() for x in given)
        _check_vector(vectors, like, several)
        return vectors

    def scalar(self) -> Tensor:
        """The one output of the function, of one element."""
        (y,) = self.outputs if len(self.outputs) == 1 else (None,)
        if self.several_out or y is None:
            raise RuntimeError(f"The function given to {self.api} should return a single Tensor")
        if y.numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {self.api} should contain a single "
                "element"
            )
        return y

    def filled(self, grads: Sequence[Tensor | None], like: Sequence[Tensor], stage: str) -> Any:
        """Gradients with zeros where there is none; in strict mode errors instead."""
        results = []
        for i, (g, x) in enumerate(zip(grads, like, strict=True)):
            if g is None and self.strict:
                raise RuntimeError(_MISSING[stage].format(i=i))
            if g is not None and self.strict and self.create_graph and not g.requires_grad:
                what = "hessian" if "double" in stage else "jacobian"
                raise RuntimeError(_independent(what, i))
            results.append(zeros_like(x) if g is None else g)
        return tuple(results)

    def answer(self, derivatives: tuple[Tensor, ...], several: bool) -> tuple[Any, Any]:
        """Outputs and derivatives, as tensors or tuples as the user's own were."""
        outputs = self.leave(self.outputs)
        found = self.leave(derivatives)
        return (
            outputs if self.several_out else outputs[0],
            found if several else found[0],
        )

    def leave(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Tensors for the user: without history unless it is wanted."""
        return tuple(tensors) if self.create_graph else tuple(t.detach() for t in tensors)


def _independent(what: str, i: int) -> str:
    return (
        f"The {what} of the user-provided function is independent of input {i}. This is not "
        "allowed in strict mode when create_graph=True."
    )


def _as_tuple(value: Any, name: str, api: str) -> tuple[bool, tuple[Tensor, ...]]:
    """Whether `value` is a tuple, and it as one; TypeError unless it is of tensors."""
    several = isinstance(value, tuple)
    items = value if several else (value,)
    for i, x in enumerate(items):
        if isinstance(x, Tensor):
            continue
        what = f"value at index {i}" if several else f"given {name}"
        raise TypeError(
            f"The {name} given to {api} must be either a Tensor or a tuple of Tensors but the "
            f"{what} has type {type(x)}."
        )
    return several, items


def _own(x: Tensor, create_graph: bool) -> Tensor:
    """A tensor to differentiate by: connected to `x` if results are to be differentiated on."""
    if create_graph and x.requires_grad:
        return x.view_as(x)
    return x.detach().requires_grad_()


def _refuse_constants(tensors: Sequence[Tensor | None], what: str) -> None:
    for i, t in enumerate(tensors):
        if t is None:
            raise RuntimeError(_UNREACHED.format(i=i))
        if not t.requires_grad:
            raise RuntimeError(_CONSTANT[what].format(i=i))


def _check_vector(vectors: Sequence[Tensor], like: Sequence[Tensor], several: bool) -> None:
    if len(vectors) != len(like):
        if several:
            raise RuntimeError(
                f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}."
            )
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (v, x) in enumerate(zip(vectors, like, strict=True)):
        if v.shape != x.shape:
            entry = f"Entry {i} in " if several else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {x.shape} but got {v.shape}.")


def _sweep(
    outputs: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    vectors: Sequence[Tensor] | None,
    create_graph: bool,
    keep: bool | None = None,
) -> Sequence[Tensor | None]:
    """Gradients of the inputs; outputs without history contribute nothing."""
    given = vectors or [None] * len(outputs)
    pairs = [
        (y, v) for y, v in zip(outputs, given, strict=True) if y is not None and y.requires_grad
    ]
    if not pairs:
        return [None] * len(inputs)
    roots, grads = zip(*pairs, strict=True)
    found: Sequence[Tensor | None] = grad(
        roots, inputs, grads, keep, create_graph, allow_unused=True
    )
    return found


# ---- products -----------------------------------------------------------------------------------


def vjp(
    func: Function,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of `v`, shaped as the outputs, with the Jacobian.

    See https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vjp.html.
    """
    with enable_grad():
        call = _Call("vjp", func, inputs, create_graph, strict)
        single = "the user-provided function returns a single Tensor with a single element"
        vectors = call.vector(v, call.outputs, call.several_out, single)
    grads = _sweep(call.outputs, call.inputs, vectors, create_graph)
    return call.answer(call.filled(grads, call.inputs, "back"), call.several_in)


def jvp(
    func: Function,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of the Jacobian with `v`, shaped as the inputs.

    See https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jvp.html.
    """
    with enable_grad():
        call = _Call("jvp", func, inputs, create_graph, strict)
        single = "the input to the user-provided function is a single Tensor with a single element"
        vectors = call.vector(v, call.inputs, call.several_in, single)
        push = Pushforward(call.outputs, call.inputs)
        if strict:
            _refuse_constants(push.pulled, "gradient")
    tangents = call.filled(push(vectors, create_graph), call.outputs, "back_trick")
    return call.answer(tangents, call.several_out)


def vhp(
    func: Function,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return scalar ``func(*inputs)`` and the product of `v` with the Hessian.

    See https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vhp.html.
    """
    with enable_grad():
        call, vectors, gradient = _first_gradient("vhp", func, inputs, v, create_graph, strict)
    second = _sweep(gradient, call.inputs, vectors, create_graph)
    return call.answer(call.filled(second, call.inputs, "double_back"), call.several_in)


def hvp(
    func: Function,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return scalar ``func(*inputs)`` and the product of the Hessian with `v`; `vhp` is cheaper.

    See https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html.
    """
    with enable_grad():
        call, vectors, gradient = _first_gradient("hvp", func, inputs, v, create_graph, strict)
        known = [zeros_like(x) if g is None else g for g, x in _pairs(gradient, call.inputs)]
        push = Pushforward(known, call.inputs)
    second = push(vectors, create_graph)
    return call.answer(call.filled(second, call.inputs, "double_back_trick"), call.several_in)


def _first_gradient(
    api: str, func: Function, inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[_Call, Any, Sequence[Tensor | None]]:
    """Call a scalar function; its gradient, recorded, and the vector to multiply with."""
    call = _Call(api, func, inputs, create_graph, strict)
    single = "the input to the user-provided function is a single Tensor with a single element"
    vectors = call.vector(v, call.inputs, call.several_in, single)
    gradient = _sweep([call.scalar()], call.inputs, None, create_graph=True)
    if strict:
        _refuse_constants(gradient, "jacobian")
    return call, vectors, gradient


def _pairs(a: Sequence[Any], b: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(a, b, strict=True))


# ---- matrices -----------------------------------------------------------------------------------


def jacobian(
    func: Function,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the Jacobian of `func` at `inputs`: shapes of an output, then of an input.

    Nested tuples, outputs first, where there are several. `strategy` "forward-mode" computes
    columns instead of rows; `vectorize` changes nothing else
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html).
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    _refuse_combinations(create_graph, strict, vectorize, strategy)
    with enable_grad():
        call = _Call("jacobian", func, inputs, create_graph, strict)
        table = (_columns if strategy == "forward-mode" else _rows)(call)
    rows = [call.leave(row) for row in table]
    shaped = tuple(row if call.several_in else row[0] for row in rows)
    return shaped if call.several_out else shaped[0]


def _refuse_combinations(create_graph: bool, strict: bool, vectorize: bool, strategy: str) -> None:
    """PyTorch's errors for options that exclude each other there."""
    call = "torch.autograd.functional.jacobian:"
    if strategy == "forward-mode":
        for name, value in (("create_graph", create_graph), ("strict", strict)):
            if value:
                error = NotImplementedError if name == "create_graph" else RuntimeError
                raise error(
                    f'{call} `{name}=True` and `strategy="forward-mode"` are not supported '
                    f"together (yet). Please either set `{name}=False` or "
                    '`strategy="reverse-mode"`.'
                )
        if not vectorize:
            raise NotImplementedError(
                "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly "
                "implemented for `vectorize=True`."
            )
    elif vectorize and strict:
        raise RuntimeError(
            f"{call} `strict=True` and `vectorized=True` are not supported together. Please either "
            "set `strict=False` or `vectorize=False`."
        )


def _rows(call: _Call) -> list[list[Tensor]]:
    """Blocks by output and input, from one sweep for each element of the outputs."""
    table = []
    for i, y in enumerate(call.outputs):
        parts: list[list[Tensor]] = [[] for _ in call.inputs]
        for unit in _basis(y):
            grads = _sweep([y], call.inputs, [unit], call.create_graph, keep=True)
            for k, (g, x) in enumerate(zip(grads, call.inputs, strict=True)):
                if call.strict:
                    _check_element(g, i, k, call.create_graph)
                parts[k].append(zeros_like(x) if g is None else g)
        table.append([_block(p, y, x, 0) for p, x in zip(parts, call.inputs, strict=True)])
    return table


def _check_element(g: Tensor | None, i: int, k: int, create_graph: bool) -> None:
    """Strict mode's errors for one row of a Jacobian."""
    if g is None:
        raise RuntimeError(
            f"Output {i} of the user-provided function is independent of input {k}. This is not "
            "allowed in strict mode."
        )
    if create_graph and not g.requires_grad:
        raise RuntimeError(_independent("jacobian", i))


def _columns(call: _Call) -> list[list[Tensor]]:
    """Blocks by output and input, from one sweep for each element of the inputs."""
    push = Pushforward(call.outputs, call.inputs)
    by_input = []
    for k, x in enumerate(call.inputs):
        pushed = []
        for unit in _basis(x):
            tangents = [unit if j == k else zeros_like(z) for j, z in enumerate(call.inputs)]
            found = push(tangents)
            pushed.append(
                [zeros_like(y) if v is None else v for v, y in _pairs(found, call.outputs)]
            )
        blocks = [_block([row[i] for row in pushed], y, x, -1) for i, y in enumerate(call.outputs)]
        by_input.append(blocks)
    return [list(row) for row in zip(*by_input, strict=True)]


def _basis(x: Tensor) -> list[Tensor]:
    """The unit tensors of the shape of `x`."""
    n = x.numel()
    units = x.backend.xp.eye(n, dtype=x._array.dtype).reshape(n, *x._array.shape)
    return [Tensor._wrap(units[i, ...]) for i in range(n)]


def _block(parts: list[Tensor], y: Tensor, x: Tensor, dim: int) -> Tensor:
    """Stack rows (`dim` 0) or columns (-1) to the shape of `y` followed by that of `x`."""
    shape = (*y.shape, *x.shape)
    if not parts:
        return Tensor._wrap(y.backend.xp.zeros(shape, y._array.dtype))
    flat = [p.reshape(-1) for p in parts]
    return RECORDED.reshape(RECORDED.stack(flat, dim), shape)


def hessian(
    func: Function,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the Hessian of scalar `func` at `inputs`, nested tuples for a tuple of inputs.

    See https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hessian.html.
    """
    several, given = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*point: Tensor) -> Tensor:
        y = func(*point)
        several_out, outputs = _as_tuple(y, "outputs of the user-provided function", "hessian")
        if strict:
            _refuse_constants(outputs, "outputs")
        if several_out:
            raise RuntimeError("The function given to hessian should return a single Tensor")
        if y.numel() != 1:
            raise RuntimeError(
                "The Tensor returned by the function given to hessian should contain a single "
                "element"
            )
        return y.squeeze()

    def gradient(*point: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = jacobian(scalar, point, create_graph=True)
        if strict:
            _refuse_constants(found, "jacobian")
        return found

    table = jacobian(gradient, given, create_graph, strict, vectorize, outer_jacobian_strategy)
    return table if several else table[0][0]
