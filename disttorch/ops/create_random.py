"""Tensors of random numbers, and filling with them in place.

The numbers come from `disttorch.random`, whose default generator gives torch's own on the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from disttorch import random
from disttorch.autograd.op import Op, public
from disttorch.backends import Backend, backend_for
from disttorch.device import chosen_device
from disttorch.dtype import TYPE_NAMES, as_dtype, get_default_dtype, int64
from disttorch.dtype import dtype as Dtype
from disttorch.ops.arguments import no_such_form
from disttorch.ops.create import require_grad
from disttorch.ops.create_fill import finish, like, refill, shape_argument
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.tensor import Tensor

__all__ = [
    *("bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_"),
    *("log_normal_", "multinomial", "normal", "normal_", "poisson", "rand", "rand_like", "randint"),
    *("randint_like", "randn", "randn_like", "random_", "randperm", "uniform_"),
]

Array = Any
Generator = random.Generator | None
Fill = Callable[..., Any]


def _sampled(backend: Backend, shape: tuple[int, ...], np_dtype: Any, fill: Fill) -> Array:
    """Array of a shape that `fill(ndarray)` writes random numbers into."""
    array = backend.xp.empty(shape, np_dtype)
    backend.sample(array, fill)
    return array


def _sampled_like(
    out: Tensor | None, backend: Backend, shape: tuple[int, ...], np_dtype: Any, fill: Fill
) -> Array:
    """`_sampled`, drawn in the order of `out`'s memory, and in that memory, where it fits."""
    if out is None:
        return _sampled(backend, shape, np_dtype, fill)
    fits = out._array.shape == shape and out._array.dtype == np_dtype
    if not fits or out.requires_grad:
        return _sampled(backend, shape, np_dtype, fill)
    backend.sample(out._array, fill)
    return out._array


# Of the signatures that PyTorch lists where arguments fit none.
_GENERATOR = "torch.Generator generator, "
_SETTINGS = (
    "Tensor out = None, torch.dtype dtype = None, torch.layout layout = None, torch.device device "
    "= None, bool pin_memory = False, bool requires_grad = False"
)
_DRAWN = "*, torch.Generator generator = None, "
_RANDINT = tuple(
    f" * ({bounds}, tuple of ints size, *, {generator}{_SETTINGS})"
    for bounds in ("int high", "int low, int high")
    for generator in (_GENERATOR, "")
)
_NORMAL_FORMS = (
    f" * (Tensor mean, Tensor std, {_DRAWN}Tensor out = None)",
    f" * (Tensor mean, float std = 1, {_DRAWN}Tensor out = None)",
    f" * (float mean, Tensor std, {_DRAWN}Tensor out = None)",
    f" * (float mean, float std, tuple of ints size, {_DRAWN}{_SETTINGS})",
)


def _sized(name: str, fill: Fill, doc: str) -> Callable[..., Tensor]:
    def create(
        *args: Any,
        size: Any = None,
        generator: Generator = None,
        out: Tensor | None = None,
        dtype: Dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        if not args and size is None:
            forms = (f" * (tuple of ints size, *, {g}{_SETTINGS})" for g in (_GENERATOR, ""))
            raise TypeError(no_such_form(name, (), forms))
        backend = backend_for(chosen_device(device))
        np_dtype = (as_dtype(dtype) or (out.dtype if out is not None else get_default_dtype())).np
        shape = shape_argument(name, args, size)
        draw = fill if generator is None else functools.partial(fill, generator=generator)
        array = _sampled_like(out, backend, shape, np_dtype, draw)
        return finish(array, name, out, requires_grad)

    return _published(create, name, doc)


def _like(name: str, fill: Fill, doc: str) -> Callable[..., Tensor]:
    def create(
        input: Tensor,
        *,
        generator: Generator = None,
        dtype: Dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        out = like(input, lambda b, shape, kind: b.xp.empty(shape, kind), dtype, device)
        out.backend.sample(out._array, lambda a: fill(a, generator=generator))
        return require_grad(out, requires_grad)

    return _published(create, f"{name}_like", f"{doc} Shaped as `input`, and of its dtype.")


def _published(function: Callable[..., Tensor], name: str, doc: str) -> Callable[..., Tensor]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return public()(function)


_UNIFORM = "Uniform random numbers from [0, 1)."
_NORMAL = "Random numbers from the standard normal distribution."
rand = _sized("rand", random.fill_uniform, _UNIFORM)
randn = _sized("randn", random.fill_normal, _NORMAL)
rand_like = _like("rand", random.fill_uniform, _UNIFORM)
randn_like = _like("randn", random.fill_normal, _NORMAL)


def _integers(low: int, high: int, generator: Generator) -> Fill:
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    return lambda a: random.fill_random_range(a, low, high, generator=generator)


@public()
def randint(
    *args: Any,
    low: int = 0,
    high: int | None = None,
    size: Any = None,
    generator: Generator = None,
    out: Tensor | None = None,
    dtype: Dtype = int64,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Random integers from [low, high): ``randint(high, size)`` or ``randint(low, high, size)``.

    Raises RuntimeError unless ``low < high``.
    """
    given = list(args)
    if size is None:
        if len(given) < (2 if high is None else 1) or len(given) > 3:
            raise TypeError(no_such_form("randint", given, _RANDINT))
        size = given.pop()
        if hasattr(size, "__index__"):
            if given[1:]:
                raise TypeError(no_such_form("randint", args, _RANDINT))
            raise TypeError(
                f"randint(): argument 'size' (position {len(args)}) must be tuple of ints, not "
                f"{type(size).__name__}"
            )
    if len(given) == 2:
        low, high = given
    elif given and high is None:
        high = given[0]
    elif given:
        low = given[0]
    if high is None:
        raise TypeError('randint() missing 1 required positional arguments: "high"')
    fill = _integers(int(low), int(high), generator)
    np_dtype = (out.dtype if out is not None else dtype).np
    shape = shape_argument("randint", (), size)
    array = _sampled(backend_for(chosen_device(device)), shape, np_dtype, fill)
    return finish(array, "randint", out, requires_grad)


@public()
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator = None,
) -> Tensor:
    """Random integers from [low, high), or [0, low) with one bound, shaped as `input`."""
    low, high = (0, low) if high is None else (low, high)
    out = like(input, lambda b, shape, kind: b.xp.empty(shape, kind), dtype, device)
    out.backend.sample(out._array, _integers(int(low), int(high), generator))
    return require_grad(out, requires_grad)


@public()
def randperm(
    n: int,
    *,
    generator: Generator = None,
    out: Tensor | None = None,
    dtype: Dtype = int64,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """0 .. n - 1 in random order."""
    array = random.permutation(n, dtype, generator)
    backend = backend_for(chosen_device(device))
    return finish(backend.asarray(array), "randperm", out, requires_grad)


@public()
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator = None,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal random numbers with mean and standard deviation given as tensors or, with `size`,
    numbers. Raises RuntimeError for a negative `std`.
    """
    given = [t for t in (mean, std) if isinstance(t, Tensor)]
    if not given:
        if size is None or hasattr(size, "__index__"):
            told = (mean, std) if size is None else (mean, std, size)
            raise TypeError(no_such_form("normal", told, _NORMAL_FORMS))
        backend = backend_for(chosen_device(device))
        np_dtype = (as_dtype(dtype) or (out.dtype if out is not None else get_default_dtype())).np
        shape = shape_argument("normal", (), size)
        array = _sampled_like(
            out, backend, shape, np_dtype, lambda a: random.fill_normal(a, mean, std, generator)
        )
        return finish(array, "normal", out, requires_grad)
    backend = given[0].backend
    arrays = [t._array for t in given]
    if isinstance(std, Tensor) and std.numel() and bool((std._array < 0).any()):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    shape = broadcast_shapes_checked(*(a.shape for a in arrays))
    noise = _sampled_like(
        out, backend, shape, arrays[0].dtype, lambda a: random.fill_normal(a, 0.0, 1.0, generator)
    )
    scale, shift = (t._array if isinstance(t, Tensor) else t for t in (std, mean))
    drawn = (noise * scale + shift).astype(arrays[0].dtype, copy=False)
    if out is not None:
        return finish(drawn, "normal", out)
    return Drawn.apply(*given, drawn=drawn)


class Drawn(Op):
    """Random numbers whose distribution depends on tensors: the gradient is 0."""

    torch_name = "NormalBackward0"

    def forward(ctx, *parameters: Array, drawn: Array) -> Array:
        ctx.n = len(parameters)
        return drawn

    def backward(ctx, g: Any) -> Any:
        return (ctx.F.zeros_like(g),) * ctx.n


class Sampled(Op):
    """Random numbers drawn with probabilities x: no gradient flows."""

    torch_name = "BernoulliBackward0"

    def forward(ctx, x: Array, fill: Fill) -> Array:
        return _sampled(ctx.backend, x.shape, x.dtype, fill)

    def backward(ctx, g: Any) -> Any:
        return None


@public(method=True)
def bernoulli(
    input: Tensor,
    p: float | None = None,
    *,
    generator: Generator = None,
    out: Tensor | None = None,
) -> Tensor:
    """Draw ones with probability `input` (or `p`) elementwise, else zeros; shaped as `input`."""
    host = input.backend.to_host(input._array)
    if p is None:

        def fill(a: Array) -> Any:
            return random.fill_bernoulli_from(a, host, generator)
    else:

        def fill(a: Array) -> Any:
            return random.fill_bernoulli(a, p, generator)

    drawn = Sampled.apply(input, fill=fill)
    return drawn if out is None else finish(drawn._array, "bernoulli", out)


@public()
def poisson(input: Tensor, generator: Generator = None) -> Tensor:
    """Draw from Poisson distributions whose rates are the elements of `input`."""
    host = input.backend.to_host(input._array)
    return Sampled.apply(input, fill=lambda a: random.fill_poisson(a, host, generator))


@public()
def binomial(count: Tensor, prob: Tensor, generator: Generator = None) -> Tensor:
    """Draw numbers of successes in `count` trials of probability `prob`, broadcast; no gradient.

    RuntimeError for different dtypes, NotImplementedError for others than float32 and float64.
    """
    if count.dtype is not prob.dtype:
        names = TYPE_NAMES[prob.dtype], TYPE_NAMES[count.dtype]
        raise RuntimeError("Found dtype {} but expected {}".format(*names))
    shape = broadcast_shapes_checked(count._array.shape, prob._array.shape)
    hosts = [t.backend.to_host(t._array) for t in (count, prob)]
    drawn = _sampled(
        count.backend,
        shape,
        count._array.dtype,
        lambda a: random.fill_binomial(a, *hosts, generator),
    )
    return Drawn.apply(count, prob, drawn=drawn)


@public(method=True)
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator = None,
    out: Tensor | None = None,
) -> Tensor:
    """Draw `num_samples` int64 indices for each row of weights, (n,) or (rows, n).

    Raises RuntimeError for weights that are negative, not finite or all zero.
    """
    if not input.is_floating_point():
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{TYPE_NAMES[input.dtype]}"
        )
    weights = input.backend.to_host(input._array)
    if out is not None and out.dtype is not int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {TYPE_NAMES[out.dtype]}")
    drawn = random.multinomial(weights, num_samples, replacement, generator)
    return finish(input.backend.asarray(drawn), "multinomial", out)


# ---- in place ------------------------------------------------------------------------------------


def _in_place(name: str, fill: Fill, defaults: dict[str, Any], doc: str) -> Callable[..., Tensor]:
    """``name_``: overwrite a tensor with random numbers; parameters in the order of `defaults`."""

    def write(input: Tensor, *args: Any, generator: Generator = None, **keywords: Any) -> Tensor:
        # PyTorch calls its bounds `from` and `to`, the first of which is no Python name.
        renamed = {_BOUNDS.get(k, k): v for k, v in keywords.items()}
        unknown = set(renamed) - set(defaults)
        if unknown or len(args) > len(defaults):
            raise TypeError(
                f"{name}() got unexpected arguments: {sorted(unknown) or args[len(defaults) :]}"
            )
        chosen = {**defaults, **dict(zip(defaults, args, strict=False)), **renamed}
        values = tuple(chosen.values())

        def draw(array: Array) -> None:
            input.backend.sample(array, lambda a: fill(a, *values, generator=generator))

        return refill(input, draw)

    write.__name__ = write.__qualname__ = name
    write.__doc__ = doc
    return public(method=True, function=False)(write)


_BOUNDS = {"from": "low", "to": "high"}


def _fill_integers(a: Array, low: int | None, high: int | None, generator: Generator) -> Any:
    if low is None and high is None:
        return random.fill_random(a, generator)
    low, high = (0, low) if high is None else (low or 0, high)
    return random.fill_random_range(a, low, high, generator)


def _fill_bernoulli(a: Array, p: Any, generator: Generator) -> Any:
    if isinstance(p, Tensor):
        return random.fill_bernoulli_from(a, p.backend.to_host(p._array), generator)
    return random.fill_bernoulli(a, p, generator)


uniform_ = _in_place(
    "uniform_",
    random.fill_uniform,
    {"low": 0.0, "high": 1.0},
    "Fill with uniform random numbers from [from, to), by default [0, 1).",
)
normal_ = _in_place(
    "normal_",
    random.fill_normal,
    {"mean": 0.0, "std": 1.0},
    "Fill with normal random numbers of the given `mean` and `std`.",
)
random_ = _in_place(
    "random_",
    _fill_integers,
    {"low": None, "high": None},
    "Fill with random integers from [from, to), [0, to) with one bound, or all the dtype holds.",
)
bernoulli_ = _in_place(
    "bernoulli_",
    _fill_bernoulli,
    {"p": 0.5},
    "Fill with ones with probability `p`, a number or a tensor, else zeros.",
)
exponential_ = _in_place(
    "exponential_",
    random.fill_exponential,
    {"lambd": 1.0},
    "Fill with exponential random numbers of rate `lambd`.",
)
geometric_ = _in_place(
    "geometric_",
    random.fill_geometric,
    {"p": 0.5},
    "Fill with numbers of trials up to the first success of probability `p`.",
)
cauchy_ = _in_place(
    "cauchy_",
    random.fill_cauchy,
    {"median": 0.0, "sigma": 1.0},
    "Fill with Cauchy random numbers.",
)
log_normal_ = _in_place(
    "log_normal_",
    random.fill_log_normal,
    {"mean": 1.0, "std": 2.0},
    "Fill with exp of normal random numbers.",
)
