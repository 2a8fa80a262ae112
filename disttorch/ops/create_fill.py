"""Tensors of a size: empty, zeros, ones, full, eye; their `*_like` and `new_*` forms; filling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.inplace import check_writable, overwrite
from disttorch.autograd.op import Op, public
from disttorch.backends import Backend, backend_for
from disttorch.device import chosen_device
from disttorch.device import device as Device
from disttorch.dtype import as_dtype, get_default_dtype
from disttorch.dtype import dtype as Dtype
from disttorch.layout import memory_format as MemoryFormat
from disttorch.layout import memory_order, preserve_format
from disttorch.ops.cast import cast, copy_, dense_copy_order
from disttorch.ops.create import infer_dtype, require_grad
from disttorch.ops.fitted import fitted
from disttorch.ops.out import write_out
from disttorch.size import Size
from disttorch.tensor import Tensor

__all__ = [
    *(
        "empty",
        "empty_like",
        "empty_permuted",
        "empty_strided",
        "new_empty_strided",
        "eye",
        "fill",
        "fill_",
        "full",
        "full_like",
    ),
    *("new_empty", "new_full", "new_ones", "new_zeros", "ones", "ones_like"),
    *("zero_", "zeros", "zeros_like"),
]

Array = Any
Maker = Callable[[Backend, tuple[int, ...], Any], Array]


def shape_argument(name: str, given: Sequence[Any], size: Any = None) -> tuple[int, ...]:
    """Read a size given as ``f(2, 3)``, ``f((2, 3))`` or ``f(size=(2, 3))``.

    Raises TypeError for what is no int and RuntimeError for a negative length.
    """
    if size is None and given:  # the usual case first, quickly
        first = given[0]
        lengths = first if type(first) in _SEQUENCES and len(given) == 1 else given
        for n in lengths:
            if type(n) is not int or n < 0:
                break
        else:
            return tuple(lengths)
    if size is not None:
        given = (size,)
    if len(given) == 1 and not hasattr(given[0], "__index__"):
        given = given[0]
    elif len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = given[0]
    try:
        shape = tuple([n.__index__() for n in given])
    except (AttributeError, TypeError):
        if isinstance(given, (tuple, list)) and given and isinstance(given[0], (tuple, list)):
            raise TypeError(
                f"{name}() takes 1 positional argument but {len(given)} were given"
            ) from None
        wrong = (
            given
            if not isinstance(given, (tuple, list))
            else next(n for n in given if not hasattr(n, "__index__"))
        )
        raise TypeError(
            f"{name}(): argument 'size' (position 1) must be tuple of ints, not "
            f"{type(wrong).__name__}"
        ) from None
    if any(n < 0 for n in shape):
        raise RuntimeError(f"{name}: Dimension size must be non-negative.")
    return shape


_SEQUENCES = (tuple, list, Size)


def laid_out(
    make: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...], order: Sequence[int]
) -> Array:
    """Array of `shape` whose memory runs through the dimensions `order`, outermost first."""
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return make(tuple([shape[d] for d in order])).transpose(inverse)


def finish(
    array: Array, name: str, out: Tensor | None = None, requires_grad: bool = False
) -> Tensor:
    """Wrap a new array, or write it into `out`."""
    if out is None and not requires_grad:
        return Tensor._wrap(array)
    created = Tensor._wrap(array)
    return require_grad(created if out is None else write_out(out, created, name), requires_grad)


def _uninitialised(backend: Backend, shape: tuple[int, ...], np_dtype: Any) -> Array:
    return backend.xp.empty(shape, np_dtype)


def _zeros(backend: Backend, shape: tuple[int, ...], np_dtype: Any) -> Array:
    return backend.xp.zeros(shape, np_dtype)


def _ones(backend: Backend, shape: tuple[int, ...], np_dtype: Any) -> Array:
    array = backend.xp.empty(shape, np_dtype)
    array.fill(1)
    return array


def _sized(name: str, make: Maker) -> Callable[..., Tensor]:
    def create(
        *args: Any,
        size: Any = None,
        out: Tensor | None = None,
        dtype: Dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: MemoryFormat | None = None,
    ) -> Tensor:
        if not args and size is None:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        shape = shape_argument(name, args, size)
        backend = backend_for(chosen_device(device or (None if out is None else out.device)))
        np_dtype = (as_dtype(dtype) or (out.dtype if out is not None else get_default_dtype())).np
        if memory_format is None or memory_format is preserve_format:
            array = make(backend, shape, np_dtype)
        else:
            order = memory_order(memory_format, len(shape))
            array = laid_out(lambda s: make(backend, s, np_dtype), shape, order)
        return finish(array, name, out, requires_grad)

    return _published(create, name, f"Tensor of {_CONTENT[name]} of the given size.")


_CONTENT = {"empty": "uninitialised numbers", "zeros": "zeros", "ones": "ones"}


def _published(
    function: Callable[..., Tensor], name: str, doc: str, *, method: bool = False
) -> Callable[..., Tensor]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return public(method=method, function=not method)(function)


def _like(name: str, make: Maker) -> Callable[..., Tensor]:
    def create(
        input: Tensor,
        *,
        dtype: Dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: MemoryFormat = preserve_format,
    ) -> Tensor:
        return require_grad(like(input, make, dtype, device, memory_format), requires_grad)

    return _published(create, f"{name}_like", f"Tensor of {_CONTENT[name]}, shaped as `input`.")


def like(
    input: Tensor,
    make: Maker,
    dtype: Dtype | None = None,
    device: Any = None,
    memory_format: MemoryFormat = preserve_format,
) -> Tensor:
    """Tensor with the shape, and by default the dtype, device and memory order of `input`."""
    array = input._array
    backend = input.backend if device is None else backend_for(Device(device))
    np_dtype = array.dtype if dtype is None else as_dtype(dtype).np
    if memory_format is preserve_format:
        if array.flags.c_contiguous:
            return Tensor._wrap(make(backend, array.shape, np_dtype))
        order: Sequence[int] = dense_copy_order(array)
    else:
        order = memory_order(memory_format, array.ndim)
    return Tensor._wrap(laid_out(lambda s: make(backend, s, np_dtype), array.shape, order))


def _new(name: str, make: Maker) -> Callable[..., Tensor]:
    def create(
        input: Tensor,
        *args: Any,
        size: Any = None,
        dtype: Dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        backend = input.backend if device is None else backend_for(Device(device))
        np_dtype = input._array.dtype if dtype is None else as_dtype(dtype).np
        if not args and size is None:
            raise TypeError(f'new_{name}() missing 1 required positional arguments: "size"')
        array = make(backend, shape_argument(f"new_{name}", args, size), np_dtype)
        return finish(array, name, None, requires_grad)

    doc = f"Tensor of {_CONTENT[name]} of a size, with the dtype and device of `input`."
    return _published(create, f"new_{name}", doc, method=True)


empty, zeros, ones = _sized("empty", _uninitialised), _sized("zeros", _zeros), _sized("ones", _ones)
empty_like, zeros_like = _like("empty", _uninitialised), _like("zeros", _zeros)
ones_like = _like("ones", _ones)
new_empty, new_zeros = _new("empty", _uninitialised), _new("zeros", _zeros)
new_ones = _new("ones", _ones)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


@public()
def full(
    size: Any,
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Tensor of `size` filled with a number, whose type decides the dtype unless one is given."""
    if isinstance(fill_value, Tensor) and fill_value.ndim:
        raise TypeError("full(): argument 'fill_value' (position 2) must be Number, not Tensor")
    chosen = as_dtype(dtype) or (out.dtype if out is not None else infer_dtype(fill_value))
    if hasattr(size, "__index__"):
        kind = type(size).__name__
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {kind}")
    shape = shape_argument("full", (size,))
    number = fitted(_number(fill_value), chosen)
    array = backend_for(chosen_device(device)).xp.empty(shape, chosen.np)
    array.fill(number)
    return finish(array, "full", out, requires_grad)


@public()
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: MemoryFormat = preserve_format,
) -> Tensor:
    """Tensor shaped as `input`, and of its dtype, filled with a number."""
    out = like(input, _uninitialised, dtype, device, memory_format)
    out._array.fill(fitted(_number(fill_value), out.dtype))
    return require_grad(out, requires_grad)


@public(method=True, function=False)
def new_full(
    input: Tensor,
    size: Any,
    fill_value: Any,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Tensor of `size` filled with a number, with the dtype and device of `input`."""
    return full(
        size,
        fill_value,
        dtype=as_dtype(dtype) or input.dtype,
        device=device or input.device,
        requires_grad=requires_grad,
    )


@public()
def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised tensor of the given size and strides (in elements)."""
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {len(stride)} and {len(size)}"
        )
    backend = backend_for(chosen_device(device))
    np_dtype = (as_dtype(dtype) or get_default_dtype()).np
    last = sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    store = backend.xp.empty(0 if 0 in size else last + 1, np_dtype)
    array = backend.as_strided(store, tuple(size), [s * np_dtype.itemsize for s in stride])
    return require_grad(Tensor._wrap(array), requires_grad)


@public(method=True, function=False)
def new_empty_strided(
    input: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised tensor of a size and strides, with the dtype and device of `input`."""
    chosen, where = as_dtype(dtype) or input.dtype, device or input.device
    return empty_strided(size, stride, dtype=chosen, device=where, requires_grad=requires_grad)


@public()
def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised tensor whose memory runs through the dimensions as `physical_layout` says.

    It names the dimensions from outermost to innermost; RuntimeError if not each once.
    """
    shape, order = tuple(size), tuple(physical_layout)
    if len(shape) != len(order):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {len(shape)} is not equal to len(physical_layout) = {len(order)}"
        )
    for i, d in enumerate(order):
        if not 0 <= d < len(shape):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got "
                f"{d} at index {i}).  NB: negative dims not currently supported; file an issue if "
                "you want it."
            )
    if len(set(order)) != len(order):
        raise RuntimeError("Duplicate dim not allowed")
    np_dtype = (as_dtype(dtype) or get_default_dtype()).np
    backend = backend_for(chosen_device(device))
    array = laid_out(lambda s: backend.xp.empty(s, np_dtype), shape, order)
    return require_grad(Tensor._wrap(array), requires_grad)


@public()
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Matrix (n, m) with ones on the diagonal; RuntimeError for negative lengths."""
    for name, length in (("n", n), ("m", m)):
        if length is not None and length < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {length}")
    np_dtype = (as_dtype(dtype) or (out.dtype if out is not None else get_default_dtype())).np
    array = backend_for(chosen_device(device)).xp.eye(n, m, dtype=np_dtype)
    return finish(array, "eye", out, requires_grad)


class Refill(Op):
    """x after all its elements were overwritten by `write(array)`: nothing of the old remains."""

    torch_name = "FillBackward0"

    def forward(ctx, x: Array, write: Callable[[Array], Any]) -> Array:
        write(x)
        return x

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g)


def refill(input: Tensor, write: Callable[[Array], Any], expanded: bool = False) -> Tensor:
    """Overwrite all elements of `input` in place with what `write(array)` puts there.

    `expanded` True allows elements that share memory.
    """
    check_writable(input, expanded)
    if STATE.enabled and input.requires_grad:
        return overwrite(input, Refill.apply(input, write=write), expanded)
    write(input._array)
    input._cell[0] += 1
    return input


@public(method=True, function=False)
def fill_(input: Tensor, value: Any) -> Tensor:
    """Fill with a number or a 0-d tensor, through which gradients flow; RuntimeError for others."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} "
                "dimensions."
            )
        return copy_(input, value)
    number = fitted(value, input.dtype)
    return refill(input, lambda array: array.fill(number), expanded=True)


class Filled(Op):
    """Tensor shaped as x with y, a number or 0-d array, everywhere."""

    torch_name = "FillBackward0"

    def forward(ctx, x: Array, y: Any) -> Array:
        out = ctx.xp.empty_like(x)
        out[...] = y
        return out

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g), g  # the engine sums over what y was stretched to


@public()
def fill(input: Tensor, value: Any) -> Tensor:
    """Tensor shaped as `input`, filled with a number or a 0-d tensor."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "fill only supports 0-dimension value tensor but got tensor with "
                f"{value.ndim} dimensions."
            )
        return Filled.apply(input, cast(value, input.dtype))
    return Filled.apply(input, fitted(value, input.dtype))


@public(method=True)
def zero_(input: Tensor) -> Tensor:
    """Fill with zeros, in place."""
    if type(input._cell) is list and not input.requires_grad:  # the usual case, quickly
        input._array.fill(0)
        input._cell[0] += 1
        return input
    return refill(input, lambda array: array.fill(0), expanded=True)
