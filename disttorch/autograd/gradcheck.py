"""Compare the derivatives of a function with finite differences: `gradcheck`, `gradgradcheck`.

A complex number counts as two real ones throughout: the Jacobian is that of the function between
the real vector spaces, and "inner product" is the real part of the Hermitian one. That is the
convention of the engine (a gradient is dL/d real + i dL/d imag), so one code path serves both.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.autograd.gradient import grad
from disttorch.autograd.pushforward import Pushforward, zeros_like
from disttorch.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Function = Callable[..., Any]


class GradcheckError(RuntimeError):
    """The derivatives of a function are wrong; raised by `gradcheck` and `gradgradcheck`."""


@dataclass(frozen=True)
class _Problem:
    """A function, its arguments, which of them are checked, and how exactly."""

    function: Function
    arguments: tuple[Any, ...]
    checked: tuple[Tensor, ...]
    eps: float
    atol: float
    rtol: float
    nondet_tol: float

    def outputs(self) -> tuple[Tensor, ...]:
        """Call the function; its differentiable outputs."""
        return _outputs(self.function, self.arguments)

    def values(self) -> list[np.ndarray]:
        """Call the function; its differentiable outputs as host arrays that are copies."""
        return [np.array(_host(y)) for y in self.outputs()]


def _outputs(function: Function, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
    result = function(*arguments)
    results = result if isinstance(result, (tuple, list)) else (result,)
    return tuple(y for y in results if _differentiable(y) and y.requires_grad)


def gradcheck(
    func: Function,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check the gradients of `func` by central differences of step `eps`; True if they agree.

    `inputs`: a Tensor or tuple; those that require grad, of double precision, are checked. The
    whole Jacobian is compared, or its product with random directions in `fast_mode`. Raises
    GradcheckError (False without `raise_exception`) on a mismatch, ValueError if no input
    requires grad (https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.html).
    """
    _check_options(
        check_batched_grad, check_batched_forward_grad, check_forward_ad, check_backward_ad
    )
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = _checked_inputs(arguments, eps)
    problem = _Problem(func, arguments, checked, eps, atol, rtol, nondet_tol)
    try:
        outputs = problem.outputs()
        if not outputs:
            _check_constant(problem)
            return True
        directions = _directions(problem, outputs, fast_mode)
        if check_forward_ad:
            _check_pushforward(problem, directions)
        if not check_backward_ad:
            return True
        _check_derivatives(problem, directions)
        _check_backward_is_linear(outputs, checked)
        if check_undefined_grad:
            _check_undefined_grads(problem)
        if check_grad_dtypes:
            _check_grad_dtypes(problem)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Function,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check the gradients of the gradients of `func` by central differences; True if they agree.

    `grad_outputs`: the gradients of the outputs, random by default (with
    `gen_non_contig_grad_outputs` not contiguous ones). Errors as `gradcheck`
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradgradcheck.html).
    """
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    problem = _Problem(func, arguments, (), eps, atol, rtol, nondet_tol)
    if grad_outputs is None:
        given = tuple(_random_like(y, gen_non_contig_grad_outputs) for y in problem.outputs())
    else:
        given = tuple(grad_outputs) if not isinstance(grad_outputs, Tensor) else (grad_outputs,)
    return gradcheck(
        _first_gradients(func, len(arguments)),
        (*arguments, *given),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _first_gradients(func: Function, n_arguments: int) -> Function:
    """The function (arguments of `func`, gradients of its outputs) -> gradients of its inputs."""

    def first_gradients(*everything: Any) -> tuple[Any, ...]:
        inputs, grad_outputs = everything[:n_arguments], everything[n_arguments:]
        outputs = _outputs(func, inputs)
        wanted = [x for x in inputs if _differentiable(x) and x.requires_grad]
        grads = grad(outputs, wanted, grad_outputs, create_graph=True, allow_unused=True)
        return tuple(g for g in grads if g is not None)

    return first_gradients


def _check_options(
    batched: bool, batched_forward: bool, forward_ad: bool, backward_ad: bool
) -> None:
    """Raise PyTorch's errors for options that need another.

    A batch of gradients is one sweep after the other here, so there is nothing more to check.
    """
    if not (forward_ad or backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if batched and not backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if batched_forward and not forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )


def _differentiable(x: Any) -> bool:
    return isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex())


def _host(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.backend.to_host(tensor._array)
    return array


def _checked_inputs(arguments: Sequence[Any], eps: float) -> tuple[Tensor, ...]:
    """The inputs that require grad; warns about low precision, refuses overlapping memory."""
    checked = []
    for i, x in enumerate(arguments):
        if not (_differentiable(x) and x.requires_grad):
            continue
        if x._array.dtype.name not in ("float64", "complex128"):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=3,
            )
        strides = x.stride() if x.numel() else ()
        if any(s == 0 and x.shape[d] > 1 for d, s in enumerate(strides)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that are non-overlapping to be able to compute the numerical gradients correctly. "
                "You should call .contiguous on the input before passing it to gradcheck."
            )
        checked.append(x)
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )
    return tuple(checked)


# ---- directions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Directions:
    """Directions in the space of one array: unit vectors, or one random vector."""

    vectors: list[np.ndarray]

    @staticmethod
    def of(array: np.ndarray, rng: np.random.RandomState | None) -> _Directions:
        """All unit vectors (also the imaginary ones), or a random one if there is an `rng`."""
        is_complex = array.dtype.kind == "c"
        if rng is not None:
            v = rng.standard_normal(array.shape)
            return _Directions([v + 1j * rng.standard_normal(array.shape) if is_complex else v])
        vectors = []
        for position in np.ndindex(array.shape):
            for unit in (1.0, 1j) if is_complex else (1.0,):
                v = np.zeros(array.shape, complex if is_complex else float)
                v[position] = unit
                vectors.append(v)
        return _Directions(vectors)


def _directions(
    problem: _Problem, outputs: Sequence[Tensor], fast: bool
) -> tuple[list[_Directions], list[_Directions]]:
    """Directions for each checked input and for each output."""
    rng = np.random.RandomState(0) if fast else None
    return (
        [_Directions.of(_host(x), rng) for x in problem.checked],
        [_Directions.of(_host(y), rng) for y in outputs],
    )


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    """Real inner product; complex numbers count as pairs."""
    return float(np.real(np.vdot(a, b)))


# ---- the comparison -----------------------------------------------------------------------------


def _numerical(problem: _Problem, x: Tensor, directions: _Directions) -> list[list[np.ndarray]]:
    """Central differences: for each direction of `x`, the derivative of every output."""
    start = np.array(_host(x))
    derivatives = []
    for v in directions.vectors:
        sides = []
        for step in (problem.eps, -problem.eps):
            _write(x, start + (step * v).astype(start.dtype))
            sides.append(problem.values())
        derivatives.append([(a - b) / (2 * problem.eps) for a, b in zip(*sides, strict=True)])
    _write(x, start)
    return derivatives


def _write(x: Tensor, values: np.ndarray) -> None:
    """Overwrite the memory of `x`, unseen by its version counter: the function may hold `x`."""
    x._array[...] = x.backend.asarray(values)


def _analytical(
    problem: _Problem, outputs: Sequence[Tensor], o: int, v: np.ndarray
) -> list[np.ndarray]:
    """Gradients of the checked inputs for the gradient `v` of output `o`."""
    y = outputs[o]
    given = Tensor._wrap(y.backend.asarray(v.astype(y._array.dtype)))
    grads = grad(y, problem.checked, given, retain_graph=True, allow_unused=True)
    values = []
    for x, g in zip(problem.checked, grads, strict=True):
        if g is not None and g.shape != x.shape:
            raise GradcheckError("Analytical gradient has incorrect size")
        values.append(np.zeros(x.shape) if g is None else np.array(_host(g)))
    return values


def _shown(problem: _Problem, numerical: np.ndarray, analytical: np.ndarray) -> str:
    """Two lines of a report: the matrices (any shape) as tensors print, in PyTorch's words."""
    backend = problem.checked[0].backend
    n, a = (Tensor._wrap(backend.asarray(np.array(m))) for m in (numerical, analytical))
    return f"numerical:{n}\nanalytical:{a}\n"


def _check_derivatives(
    problem: _Problem, directions: tuple[list[_Directions], list[_Directions]]
) -> None:
    """Compare numerical and analytical derivatives for every input and output."""
    along_inputs, along_outputs = directions
    numerical = [
        _numerical(problem, x, d) for x, d in zip(problem.checked, along_inputs, strict=True)
    ]
    outputs = problem.outputs()
    for o, d in enumerate(along_outputs):
        rows = [_analytical(problem, outputs, o, v) for v in d.vectors]
        for i, along in enumerate(along_inputs):
            shape = (len(along.vectors), len(d.vectors))
            expected = np.array(
                [[_inner(v, n[o]) for v in d.vectors] for n in numerical[i]]
            ).reshape(shape)
            actual = np.array([[_inner(row[i], u) for row in rows] for u in along.vectors]).reshape(
                shape
            )
            if not np.allclose(actual, expected, problem.rtol, problem.atol, equal_nan=True):
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {i},\n"
                    f"{_shown(problem, expected, actual)}"
                )
        _check_repeatable(problem, outputs, o, d, rows)


def _check_pushforward(
    problem: _Problem, directions: tuple[list[_Directions], list[_Directions]]
) -> None:
    """Compare numerical derivatives along the inputs with those of forward mode."""
    outputs = problem.outputs()
    push = Pushforward(outputs, problem.checked)
    for i, (x, along) in enumerate(zip(problem.checked, directions[0], strict=True)):
        expected = _numerical(problem, x, along)
        for v, wanted in zip(along.vectors, expected, strict=True):
            tangents = [zeros_like(z) for z in problem.checked]
            tangents[i] = Tensor._wrap(x.backend.asarray(v.astype(x._array.dtype)))
            for o, (found, w) in enumerate(zip(push(tangents), wanted, strict=True)):
                actual = np.zeros_like(w) if found is None else _host(found)
                if not np.allclose(actual, w, problem.rtol, problem.atol, equal_nan=True):
                    raise GradcheckError(
                        f"Jacobian computed with forward mode mismatch for output {o} with respect "
                        f"to input {i},\n{_shown(problem, w, actual)}"
                    )


def _check_repeatable(
    problem: _Problem,
    outputs: Sequence[Tensor],
    o: int,
    directions: _Directions,
    first: list[list[np.ndarray]],
) -> None:
    """Run one of the sweeps again: it must give the same numbers."""
    if not first:
        return
    again = _analytical(problem, outputs, o, directions.vectors[0])
    for a, b in zip(first[0], again, strict=True):
        if not np.allclose(a, b, 0, problem.nondet_tol, equal_nan=True):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output "
                "multiple times gives different values, although analytical gradient matches "
                f"numerical gradient.The tolerance for nondeterminism was {problem.nondet_tol}."
            )


def _check_constant(problem: _Problem) -> None:
    """Without differentiable outputs, the function must not depend on its inputs."""

    def everything(*arguments: Any) -> list[np.ndarray]:
        result = problem.function(*arguments)
        results = result if isinstance(result, (tuple, list)) else (result,)
        return [np.array(_host(y)) for y in results if _differentiable(y)]

    for x in problem.checked:
        start = np.array(_host(x))
        sides = []
        for step in (problem.eps, -problem.eps):
            _write(x, (start + step).astype(start.dtype))
            sides.append(everything(*problem.arguments))
        _write(x, start)
        if any((a != b).any() for a, b in zip(*sides, strict=True)):
            raise GradcheckError("Numerical gradient for function expected to be zero")


def _check_backward_is_linear(outputs: Sequence[Tensor], checked: Sequence[Tensor]) -> None:
    """Gradients of zero must be zero, of the input's dtype, device and shape."""
    zeros = [Tensor._wrap(y.backend.xp.zeros_like(y._array)) for y in outputs]
    grads = grad(outputs, checked, zeros, retain_graph=True, allow_unused=True)
    for g, x in zip(grads, checked, strict=True):
        if g is None:
            continue
        if _host(g).any():
            raise GradcheckError("backward not multiplied by grad_output")
        if g.dtype is not x.dtype:
            raise GradcheckError("grad is incorrect type")
        if g.device != x.device:
            raise GradcheckError("grad is incorrect device")
        if g.shape != x.shape:
            raise GradcheckError("grad is incorrect size")


def _check_undefined_grads(problem: _Problem) -> None:
    """With a zero gradient for one output and none for the others, inputs get zero or none."""
    outputs = problem.outputs()
    for y in outputs if len(outputs) > 1 else ():
        zero = Tensor._wrap(y.backend.xp.zeros_like(y._array))
        try:
            grads = grad(y, problem.checked, zero, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise GradcheckError(
                "Expected backward function to handle undefined output grads. Please look at "
                '"Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
            ) from error
        if any(g is not None and _host(g).any() for g in grads):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are "
                'undefined or zero. Please look at "Notes about undefined output gradients" in '
                '"tools/autograd/derivatives.yaml"'
            )


def _check_grad_dtypes(problem: _Problem) -> None:
    """Gradients must have the dtypes of their inputs."""
    outputs = problem.outputs()
    ones = [Tensor._wrap(y.backend.xp.ones_like(y._array)) for y in outputs]
    grads = grad(outputs, problem.checked, ones, allow_unused=True)
    for g, x in _pairs(grads, problem.checked):
        if g.dtype is not x.dtype:
            raise GradcheckError("Gradient has dtype mismatch")


def _pairs(
    grads: Sequence[Tensor | None], inputs: Sequence[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pair each gradient there is with its input."""
    return ((g, x) for g, x in zip(grads, inputs, strict=True) if g is not None)


def _random_like(y: Tensor, non_contiguous: bool) -> Tensor:
    """A gradient for the output `y` that requires grad, in [-1, 1) from the default generator."""
    non_contiguous = non_contiguous and y.numel() > 1
    shape = (*y.shape[:-1], 2 * y.shape[-1]) if non_contiguous else tuple(y.shape)
    kind = y._array.dtype
    parts = y.backend.xp.empty((*shape, 2) if y.is_complex() else shape, y._array.real.dtype)
    values = Tensor._wrap(parts).uniform_(-1, 1)._array
    if y.is_complex():
        values = values.view(kind)[..., 0]
    return Tensor._wrap(values[..., 1::2] if non_contiguous else values).requires_grad_()
