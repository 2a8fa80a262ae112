"""`Module`: base class of layers and models.

Its parts are by concept: `registry` (what a module holds), `module_hooks` (hooks and the call),
`module_state` (state_dict). Here are calling, conversion, modes and printing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Self

from disttorch.autograd.grad_mode import no_grad
from disttorch.device import device as Device
from disttorch.dtype import bfloat16, double, float32, half
from disttorch.dtype import dtype as Dtype
from disttorch.nn.modules.module_hooks import (
    GLOBAL,
    HookedCall,
    Hooks,
    register_module_backward_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from disttorch.nn.modules.module_state import StateDict
from disttorch.nn.modules.registry import (
    Registry,
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from disttorch.nn.parameter import is_lazy
from disttorch.tensor import Tensor

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

_REPLICA_ZERO_GRAD = (
    "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. The "
    "parameters are copied (in a differentiable manner) from the original module. This means they "
    "are not leaf nodes in autograd and so don't accumulate gradients. If you need gradients in "
    "your forward method, consider using autograd.grad instead."
)


class Module(Registry, Hooks, StateDict):
    """Base class of layers and models: subclass, call ``super().__init__()``, define `forward`.

    Parameters, buffers and modules assigned to attributes are registered
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html).
    """

    dump_patches = False
    call_super_init = False
    training: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            _refuse_arguments(type(self), args, kwargs)
        self.__dict__["training"] = True
        self._init_registry()
        self._init_hooks()
        self._init_state_hooks()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`, and the hooks around it."""
        # Most modules have no hooks: four empty dicts decide, then `forward` runs directly.
        own = self.__dict__
        if not (
            own["_forward_hooks"]
            or own["_forward_pre_hooks"]
            or own["_backward_hooks"]
            or own["_backward_pre_hooks"]
            or GLOBAL
        ):
            return self.forward(*args, **kwargs)
        return HookedCall(self, args, kwargs).run()

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`, and the hooks around it: what libraries override or wrap."""
        return Module.__call__(self, *args, **kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Accept PyTorch's request to compile `forward`; there is no compiler, it runs as it is."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        fresh = Module()
        self.__dict__.update({**fresh.__dict__, **state})

    # ---- conversion -------------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with every module below and then with this one; return self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the memory of parameters, gradients and buffers by what `fn` makes of them.

        Parameters keep their identity, so that an optimiser made before still holds them.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            grad = param.grad
            with no_grad():
                param.data = fn(param)
                if grad is not None:
                    grad.data = fn(grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                made = fn(buffer)
                if is_lazy(buffer):  # what has no shape yet goes on waiting for one
                    made = type(buffer)(buffer.requires_grad, made.device, made.dtype)
                self._buffers[name] = made
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device and/or cast floating parameters and buffers to a dtype, in place.

        Takes ``to(device)``, ``to(dtype)``, ``to(device, dtype)`` or ``to(tensor)``. Raises
        TypeError for an integer dtype.
        """
        device, dtype, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def convert(t: Any) -> Tensor:
            castable = t.is_floating_point() or t.is_complex()
            keywords = {"memory_format": memory_format} if memory_format and t.ndim >= 4 else {}
            where = t.device if device is None else device
            return t.to(where, dtype if castable else None, **keywords)

        return self._apply(convert)

    def _cast(self, dtype: Dtype) -> Self:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Self:
        """Cast floating parameters and buffers to float32."""
        return self._cast(float32)

    def double(self) -> Self:
        """Cast floating parameters and buffers to float64."""
        return self._cast(double)

    def half(self) -> Self:
        """Cast floating parameters and buffers to float16."""
        return self._cast(half)

    def bfloat16(self) -> Self:
        """Cast floating parameters and buffers to bfloat16."""
        return self._cast(bfloat16)

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers to `dst_type`, a dtype or a legacy type name."""
        return self._apply(lambda t: t.type(dst_type))

    def cpu(self) -> Self:
        """Move all parameters and buffers to host memory."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Move all parameters and buffers to a CUDA device."""
        return self._apply(lambda t: t.cuda(device))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without keeping the values."""
        where = Device(device)
        return self._apply(lambda t: t.to(where), recurse)

    def share_memory(self) -> Self:
        """Move all parameters and buffers to memory that child processes share."""
        return self._apply(lambda t: t.share_memory_())

    # ---- modes ------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set training (or evaluation) mode here and below; ValueError unless `mode` is a bool."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of all parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        if getattr(self, "_is_replica", False):
            warnings.warn(_REPLICA_ZERO_GRAD, stacklevel=2)
        for param in self.parameters():
            clear_grad(param, set_to_none)

    # ---- printing ---------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return what is printed in the parentheses of the repr; override."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({lines[0]})"
        for name, module in self._modules.items():
            lines.append(f"({name}): {indent(repr(module))}")
        inner = "\n  " + "\n  ".join(lines) + "\n" if lines else ""
        return f"{self._get_name()}({inner})"


def clear_grad(param: Tensor, set_to_none: bool) -> None:
    """Drop a parameter's gradient, or make it zeros without history."""
    grad = param._grad
    if set_to_none or grad is None:
        param._grad = None
        return
    if grad.grad_fn is not None:
        grad.detach_()
    grad.requires_grad_(False)
    grad._array[...] = 0
    grad._cell[0] += 1


def indent(text: str) -> str:
    """Indent all lines but the first by two spaces; blank lines stay empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line if line.strip() else "" for line in rest)])


def _refuse_arguments(module: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """PyTorch's errors for arguments that `Module.__init__` does not take."""
    if kwargs:
        raise TypeError(
            f"{module.__name__}.__init__() got an unexpected keyword argument "
            f"'{next(iter(kwargs))}'"
        )
    if args:
        raise TypeError(
            f"{module.__name__}.__init__() takes 1 positional argument but {len(args) + 1} were "
            "given"
        )


def _parse_to(
    *args: Any,
    device: Any = None,
    dtype: Dtype | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> tuple[Device | None, Dtype | None, Any]:
    """Sort the arguments of `Module.to` into (device, dtype, memory format)."""
    for value in args:
        if isinstance(value, Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, Dtype):
            dtype = value
        elif isinstance(value, (str, Device)) or type(value) is int:
            device = value
        elif value is not None and not isinstance(value, bool):
            raise TypeError(
                f"to() received an invalid combination of arguments - got ({type(value).__name__})"
            )
    return None if device is None else Device(device), dtype, memory_format
