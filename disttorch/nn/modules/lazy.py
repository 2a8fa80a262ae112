"""Modules that learn their number of inputs from the first input they see."""

from __future__ import annotations

from typing import Any, ClassVar

from disttorch.autograd.grad_mode import no_grad
from disttorch.dtype import int64
from disttorch.nn.modules import batchnorm, conv, instancenorm
from disttorch.nn.modules.linear import Linear
from disttorch.nn.modules.module import Module
from disttorch.nn.parameter import (
    UninitializedBuffer,
    UninitializedParameter,
    empty_tensor,
    is_lazy,
)
from disttorch.tensor import Tensor

# The place of `bias` among a convolution's arguments after the kernel's size.
_BIAS = 4


class LazyModuleMixin(Module):
    """Mix in before a module class whose `initialize_parameters(input)` gives parameters shapes.

    It runs before the first `forward`, after which the module's class is `cls_to_become`.
    """

    cls_to_become: ClassVar[type | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def _tensors(self) -> dict[str, Any]:
        return {**self._parameters, **self._buffers}

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put tensors without shape into the dict as they are."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._own_state():
            tensor = self._tensors()[name]
            if is_lazy(tensor):
                destination[prefix + name] = tensor

    def _lazy_load_hook(self, state_dict: Any, prefix: str, *_: Any) -> None:
        """Take over the shapes of what is about to be loaded."""
        for name, tensor in self._tensors().items():
            given = state_dict.get(prefix + name)
            if is_lazy(tensor) and given is not None and not is_lazy(given):
                with no_grad():
                    tensor.materialize(given.shape)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters shapes that fit the arguments of `forward`; subclasses define it."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(is_lazy(tensor) for tensor in self._tensors().values())

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        """The hook before the first `forward`."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        for name in ("_initialize_hook", "_load_hook"):
            getattr(module, name).remove()
            delattr(module, name)
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, Linear):
    """Linear whose `in_features` is the length of its first input's last dimension."""

    cls_to_become = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Fill the parameters, if they have shapes."""
        if not self.has_uninitialized_params() and self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take the number of features from `input`."""
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            _materialize(self.weight, self.out_features, self.in_features)
            _materialize(self.bias, self.out_features)
            self.reset_parameters()
        self.in_features = self.in_features or self.weight.shape[-1]


def _materialize(tensor: Any, *shape: int) -> None:
    """Give a tensor a shape, if it waits for one."""
    if is_lazy(tensor):
        with no_grad():
            tensor.materialize(shape)


class _LazyConv(LazyModuleMixin, conv._ConvNd):
    """Part of the convolutions: `in_channels` comes from the first input."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: conv.Size,
        *args: Any,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        # No bias is built before its shape is known.
        if len(args) > _BIAS:
            bias, args = args[_BIAS], (*args[:_BIAS], False, *args[_BIAS + 1 :])
        else:
            kwargs["bias"] = False
        super().__init__(0, 0, kernel_size, *args, device=device, dtype=dtype, **kwargs)
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Fill the parameters, if they have shapes."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *_: Any, **__: Any) -> None:
        """Take the number of channels from `input`; ValueError if groups do not divide it."""
        if not self.has_uninitialized_params():
            return
        n = self.n_dims
        if input.ndim not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        self.in_channels = input.shape[-n - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        channels = [self.out_channels, self.in_channels]
        first, second = reversed(channels) if self.transposed else channels
        _materialize(self.weight, first, second // self.groups, *self.kernel_size)
        _materialize(self.bias, self.out_channels)
        self.reset_parameters()


class _LazyNorm(LazyModuleMixin, batchnorm._NormBase):
    """Part of the normalisations: `num_features` comes from the first input."""

    affine_default: ClassVar[bool] = True

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool | None = None,
        track_running_stats: bool | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False)
        default = self.affine_default
        self.affine = default if affine is None else affine
        tracked = default if track_running_stats is None else track_running_stats
        self.track_running_stats = tracked
        where = {"device": device, "dtype": dtype}
        if self.affine:
            self.weight = UninitializedParameter(**where)
            if bias:
                self.bias = UninitializedParameter(**where)
        if tracked:
            self.running_mean = UninitializedBuffer(**where)
            self.running_var = UninitializedBuffer(**where)
            self.num_batches_tracked = empty_tensor(device=device, dtype=int64).zero_()

    def reset_parameters(self) -> None:
        """Fill parameters and statistics, if they have shapes."""
        if not self.has_uninitialized_params() and self.num_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take the number of channels from `input`."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[self._channel_dim(input)]
        for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
            _materialize(tensor, self.num_features)
        self.reset_parameters()

    def _channel_dim(self, input: Tensor) -> int:
        return 1


def _lazy(base: type, part: type, what: str, **more: Any) -> Any:
    """Make the lazy form of a class."""
    name = f"Lazy{base.__name__}"
    doc = f"{base.__name__} whose `{what}` is the number of channels of its first input."
    attributes = {"__doc__": doc, "__module__": __name__, "cls_to_become": base, **more}
    return type(name, (part, base), attributes)


def _unbatched_too(self: Any, input: Tensor) -> int:
    """Instance norm takes images without a batch dimension."""
    return 0 if input.ndim == self.n_dims[0] else 1


_INSTANCE = {"affine_default": False, "_channel_dim": _unbatched_too}

LazyConv1d = _lazy(conv.Conv1d, _LazyConv, "in_channels")
LazyConv2d = _lazy(conv.Conv2d, _LazyConv, "in_channels")
LazyConv3d = _lazy(conv.Conv3d, _LazyConv, "in_channels")
LazyConvTranspose1d = _lazy(conv.ConvTranspose1d, _LazyConv, "in_channels")
LazyConvTranspose2d = _lazy(conv.ConvTranspose2d, _LazyConv, "in_channels")
LazyConvTranspose3d = _lazy(conv.ConvTranspose3d, _LazyConv, "in_channels")
LazyBatchNorm1d = _lazy(batchnorm.BatchNorm1d, _LazyNorm, "num_features")
LazyBatchNorm2d = _lazy(batchnorm.BatchNorm2d, _LazyNorm, "num_features")
LazyBatchNorm3d = _lazy(batchnorm.BatchNorm3d, _LazyNorm, "num_features")
LazyInstanceNorm1d = _lazy(instancenorm.InstanceNorm1d, _LazyNorm, "num_features", **_INSTANCE)
LazyInstanceNorm2d = _lazy(instancenorm.InstanceNorm2d, _LazyNorm, "num_features", **_INSTANCE)
LazyInstanceNorm3d = _lazy(instancenorm.InstanceNorm3d, _LazyNorm, "num_features", **_INSTANCE)
