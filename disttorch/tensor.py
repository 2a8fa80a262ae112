"""`Tensor`: an array with autograd history. No maths here: operators are bound from `ops`.

What a tensor holds:

* `_array`: the backend's array; views are array views of the same memory.
* `_cell`: ``[version, rewrites]``, shared by a tensor, its views and its `detach()`es. In-place
  writes bump `version` (saved tensors check it); in-place writes that change history bump
  `rewrites`, which tells the other views that theirs is stale.
* `_grad_fn`, `_output_nr`: the node that made it; None for leaves.
* `_view`: ``(parent, op class, parameters, rewrites)`` for a differentiable view, so that its
  history can be rebuilt after an in-place write through another view.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from disttorch.backends import Backend, backend_for, backend_of
from disttorch.device import device as Device
from disttorch.dtype import BY_NUMPY, TYPE_NAMES, dtype
from disttorch.dtype import dtype as Dtype
from disttorch.host_values import HostValues
from disttorch.inference import THREADS, InferenceCell, mark, refuse_write
from disttorch.layout import channels_last_3d, contiguous_format, layout, memory_order, strided
from disttorch.printing import tensor_repr
from disttorch.size import Size, size_of

if TYPE_CHECKING:
    import numpy as np

    from disttorch.autograd.node import Node
    from disttorch.bound_methods import BoundMethods
else:
    BoundMethods = HostValues  # operators are bound when `disttorch` is imported

Array = Any

_NON_LEAF_GRAD = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
    "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
    "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
    "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead."
)
_NO_GRAD_HINT = (
    " If you want to use a computed variable in a subgraph that doesn't require differentiation "
    "use var_no_grad = var.detach()."
)
# How PyTorch's errors spell these dtypes.
_C_NAMES = {
    **{"float32": "float", "float64": "double", "complex64": "c10::complex<float>"},
    **{"int64": "long int", "int32": "int", "int16": "short int", "uint8": "unsigned char"},
}
_NON_LEAF_DEEPCOPY = (
    "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at "
    "the moment.  If you were attempting to deepcopy a module, this may be because of a "
    "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
)


class Tensor(BoundMethods):
    """An n-dimensional array of one dtype on one device, which can require gradients.

    ``Tensor(2, 3)`` is an uninitialised tensor of the default dtype, ``Tensor([1, 2])`` one with
    these values; `disttorch.tensor` is the constructor to prefer.
    """

    __slots__ = (
        *("_accumulator", "_array", "_cell", "_grad", "_grad_fn", "_output_nr", "_requires_grad"),
        *("_view", "__dict__", "__weakref__"),  # the dict has what users set, and is copied
    )

    _array: Array
    _cell: list[Any]
    _requires_grad: bool
    _grad_fn: Node | None
    _output_nr: int
    _view: tuple[Tensor, type, dict[str, Any], int] | None
    _grad: Tensor | None
    _accumulator: Any
    # NumPy operators with a Tensor on the right hand side defer to ours.
    __array_priority__ = 1000
    # Imports `disttorch.overrides`, which lies above; set when `disttorch` is imported.
    _overrides: ClassVar[Callable[[], Any] | None] = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # Parameters and buffers are for `Tensor` itself what they are: tensors.
        if Tensor._overrides is not None and cls.__torch_function__ != Tensor._no_torch_function:
            Tensor._overrides().install(cls)

    @staticmethod
    def _no_torch_function(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The `__torch_function__` of classes whose operators return plain tensors."""
        return NotImplemented

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func` and return tensors as instances of `cls`; subclasses may do otherwise."""
        overrides = Tensor._overrides()  # type: ignore[misc]
        return overrides.default_torch_function(cls, func, types, args, kwargs)

    @classmethod
    def _wrap(cls, array: Array) -> Tensor:
        """Wrap a backend array without copying; no history."""
        self = object.__new__(cls)
        self._array = array
        self._cell = [0, 0]
        self._requires_grad = False
        self._grad_fn = self._grad = self._view = self._accumulator = None
        self._output_nr = 0
        if THREADS:
            mark(self)
        return self

    # ---- what it is -------------------------------------------------------------------------

    @property
    def backend(self) -> Backend:
        """The backend whose array this tensor holds."""
        return backend_of(self._array)

    @property
    def shape(self) -> Size:
        """Length of each dimension."""
        return size_of(self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the length of dimension `dim`; IndexError if out of range."""
        return Size.of(self._array) if dim is None else self._array.shape[self._dim(dim)]

    def _dim(self, dim: int) -> int:
        """Check a dimension and make it non-negative."""
        n = self._array.ndim or 1
        if not -n <= dim < n:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], "
                f"but got {dim})"
            )
        return dim % n

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self._array.ndim

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        """Return the number of elements."""
        return self._array.size

    nelement = numel

    @property
    def dtype(self) -> dtype:
        """Element type."""
        return BY_NUMPY[self._array.dtype]

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return backend_of(self._array).device_of(self._array)

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def layout(self) -> layout:
        """How the elements are stored: always strided."""
        return strided

    @property
    def is_sparse(self) -> bool:
        """Always False: there are no sparse tensors here."""
        return False

    @property
    def itemsize(self) -> int:
        """Size of an element in bytes."""
        return int(self._array.itemsize)

    def element_size(self) -> int:
        """Return the size of an element in bytes."""
        return int(self._array.itemsize)

    @property
    def nbytes(self) -> int:
        """Size of all elements in bytes."""
        return int(self._array.nbytes)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating one."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has negative values."""
        return self.dtype.is_signed

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """Return the legacy type name such as ``torch.FloatTensor``, or a cast copy."""
        if dtype is None:
            place = "cuda." if self.is_cuda else ""
            return f"torch.{place}{TYPE_NAMES[self.dtype]}Tensor"
        if isinstance(dtype, str):
            place, _, name = dtype.removesuffix("Tensor").rpartition(".")
            found = [d for d, known in TYPE_NAMES.items() if known == name]
            if not found or place not in ("torch", "torch.cuda"):
                raise ValueError(f"invalid type: {dtype!r}")
            return self.to("cuda" if place == "torch.cuda" else "cpu", found[0])
        if hasattr(dtype, "is_cuda"):  # a class such as FloatTensor
            return self.to("cuda" if dtype.is_cuda else "cpu", dtype.dtype)
        if isinstance(dtype, type):
            raise ValueError(f"invalid type: {dtype.__name__!r}")
        if not isinstance(dtype, Dtype):
            raise TypeError("dtype must be a type, str, or dtype object")
        return self.to(dtype)

    def stride(self, dim: int | None = None) -> Any:
        """Return the strides in elements, or that of dimension `dim`."""
        item = self._array.itemsize
        if self._array.size:
            strides = tuple(s // item for s in self._array.strides)
        else:  # those of a row-major tensor, as if no length were 0: array libraries differ here
            lengths = [max(n, 1) for n in self._array.shape]
            strides = tuple(math.prod(lengths[d + 1 :]) for d in range(len(lengths)))
        return strides if dim is None else strides[self._dim(dim)]

    def data_ptr(self) -> int:
        """Return the address of the first element, in bytes."""
        return backend_of(self._array).data_ptr(self._array)

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether elements lie in memory in row-major order, or in that of `memory_format`."""
        array = self._array
        if memory_format is None or memory_format is contiguous_format:
            return bool(array.flags.c_contiguous)
        if array.ndim != (5 if memory_format is channels_last_3d else 4):
            return False
        return bool(array.transpose(memory_order(memory_format, array.ndim)).flags.c_contiguous)

    # ---- autograd state ---------------------------------------------------------------------

    def _refresh(self) -> None:
        """Rebuild a view's history if its base was rewritten in place since it was made.

        A view without history of a base that requires grad is a leaf that requires grad.
        """
        view = self._view
        if view is None:
            return
        if view[3] == self._cell[1]:
            if not self._requires_grad and self._base._requires_grad:  # type: ignore[union-attr]
                self._requires_grad = self._array.dtype.kind in "fcV"
            return
        parent, op, params, _ = view
        fresh = op.apply(parent, **params)  # type: ignore[attr-defined]
        self._grad_fn, self._output_nr = fresh._grad_fn, fresh._output_nr
        self._requires_grad = fresh._requires_grad
        self._view = (parent, op, params, self._cell[1])

    @property
    def grad_fn(self) -> Node | None:
        """Node of the graph that made this tensor, None for a leaf."""
        self._refresh()
        return self._grad_fn

    @property
    def output_nr(self) -> int:
        """Index of this tensor among the outputs of `grad_fn`."""
        return self._output_nr

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return (self._grad_fn if self._view is None else self.grad_fn) is None

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        if self._requires_grad or self._view is None:
            return self._requires_grad
        root = self._base
        return root._requires_grad and self._array.dtype.kind in "fcV"  # type: ignore[union-attr]

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError("requires_grad must be a bool")
        if self.grad_fn is not None:
            hint = "" if value else _NO_GRAD_HINT
            raise RuntimeError(f"you can only change requires_grad flags of leaf variables.{hint}")
        if value and type(self._cell) is InferenceCell:
            refuse_write(self._cell, "requires_grad")
        if value and not (self.is_floating_point() or self.is_complex()):
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require gradients"
            )
        self._requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` in place and return self; True changes nothing for a non-leaf."""
        if not isinstance(requires_grad, bool):
            raise TypeError(
                "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        if self.grad_fn is None or not requires_grad:
            if requires_grad and self._array.dtype.kind not in "fcV":
                raise RuntimeError("only Tensors of floating point dtype can require gradients")
            self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        """Gradient accumulated by `backward()`; None before the first."""
        if self._grad is None and self._grad_fn is not None and not self.retains_grad:
            warnings.warn(_NON_LEAF_GRAD, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type "
                    f"{type(value).__name__}"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.shape != self.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of "
                    f"size '{list(self.shape)}'. Please ensure that the gradient and the tensor "
                    "are the same size"
                )
            if value._array.dtype != self._array.dtype:
                raise RuntimeError(
                    "attempting to assign a gradient with dtype "
                    f"'{_C_NAMES.get(value.dtype.name, value.dtype.name)}' to a tensor with "
                    f"grad_dtype '{TYPE_NAMES[self.dtype]}'. The gradient must match the tensor's "
                    "grad_dtype (defaults to the tensor's dtype). You can set the tensor's "
                    "grad_dtype attribute with a specific dtype, or None to allow any dtype. Set "
                    "grad_dtype with caution. Diverging the dtypes of a tensor and its gradient "
                    "may break downstream systems that assume they match."
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def retains_grad(self) -> bool:
        """Whether this non-leaf keeps its gradient, after `retain_grad()`."""
        node = self._grad_fn
        hooks = None if node is None else node.hooks
        return hooks is not None and self._output_nr in hooks.retained

    @property
    def _version(self) -> int:
        if type(self._cell) is InferenceCell:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._cell[0]

    @property
    def _base(self) -> Tensor | None:
        """The tensor this one is a view of, None if it is no view."""
        if self._view is None:
            return None
        root = self._view[0]
        while root._view is not None:
            root = root._view[0]
        return root

    def _is_view(self) -> bool:
        return self._view is not None

    @property
    def data(self) -> Tensor:
        """The same memory without history and with a version counter of its own."""
        return Tensor._wrap(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self.requires_grad and not (value.is_floating_point() or value.is_complex()):
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex "
                "dtype"
            )
        self._array = value._array

    def detach(self) -> Tensor:
        """Return the same memory without history; in-place writes are still seen by autograd."""
        out = Tensor._wrap(self._array)
        out._cell = self._cell
        return out

    def detach_(self) -> Tensor:
        """Cut this tensor off from its history, in place; RuntimeError for a view."""
        if self._view is not None:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using "
                "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
                "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
                "these gradients. To fix this error, please refer to the Optimizer.zero_grad() "
                "function in torch/optim/optimizer.py as the solution."
            )
        self._grad_fn, self._output_nr, self._requires_grad = None, 0, False
        return self

    # ---- as an object of Python ------------------------------------------------------------

    def __hash__(self) -> int:
        return id(self)

    def __reversed__(self) -> Tensor:
        return self.flip(0) if self.ndim else self

    def as_subclass(self, cls: Any) -> Any:
        """Return the same tensor as an instance of a subclass of Tensor; gradients flow."""
        # A leaf stays the only owner of its gradient.
        own = self.view_as(self) if self.requires_grad and self.is_leaf else self
        out = cls._wrap(own._array)
        out._cell, out._view = own._cell, own._view
        out._requires_grad = own.requires_grad
        out._grad_fn, out._output_nr = own.grad_fn, own._output_nr
        return out

    def __format__(self, spec: str) -> str:
        if self._array.ndim == 0:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __repr__(self) -> str:
        return tensor_repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise RuntimeError(_NON_LEAF_DEEPCOPY)
        out = type(self)._wrap(self.backend.copy_in_storage(self._array, memo))
        memo[id(self)] = out
        out._requires_grad = self._requires_grad
        out._grad = copy.deepcopy(self._grad, memo)
        for name, value in self.__dict__.items():
            setattr(out, name, copy.deepcopy(value, memo))
        return out

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        host = self.backend.to_host(self._array)
        where = str(self.device)
        return _rebuild, (type(self), host, where, self._requires_grad, self.__dict__)


def _rebuild(
    cls: type[Tensor], array: np.ndarray, where: str, requires_grad: bool, state: dict[str, Any]
) -> Tensor:
    """Undo `Tensor.__reduce_ex__`."""
    out = cls._wrap(backend_for(Device(where)).asarray(array))
    out._requires_grad = requires_grad
    out.__dict__.update(state)
    return out


def bind_methods(methods: Mapping[str, Callable[..., Any]]) -> None:
    """Give Tensor its operators; called once, when `disttorch` is imported.

    Methods need ops and ops need Tensor: binding here keeps imports pointing down.
    """
    for name, function in methods.items():
        setattr(Tensor, name, function)


def is_tensor(obj: Any) -> bool:
    """Return whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def refuse_mixed_devices(first: Device, second: Device) -> NoReturn:
    """Raise PyTorch's error for operands on two devices."""
    text = "Expected all tensors to be on the same device, but found at least two devices"
    raise RuntimeError(f"{text}, {first} and {second}!")
