"""Batch normalisation over the batches of all ranks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from disttorch.autograd.function import Function
from disttorch.autograd.grad_mode import no_grad
from disttorch.backends.precision import is_short
from disttorch.dtype import float32
from disttorch.nn.modules.batchnorm import _BatchNorm
from disttorch.ops.cast import cast
from disttorch.ops.join import cat
from disttorch.tensor import Tensor


class _Sum(Function):
    """The sum of a tensor over all ranks; so is the gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        """Add up `tensor`."""
        ctx.group = group
        return _summed(tensor, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Add up the gradients."""
        return _summed(grad, ctx.group), None


def _summed(tensor: Any, group: Any) -> Tensor:
    total = tensor.clone()
    _distributed().all_reduce(total, group=group)
    return total


def _world_size(group: Any) -> int:
    distributed = _distributed()
    return distributed.get_world_size(group) if distributed.is_initialized() else 1


def _distributed() -> Any:
    """Import the communication layer when it is needed, which it is not in a single process."""
    return import_module("disttorch.distributed")


class SyncBatchNorm(_BatchNorm):
    """Normalise (N, C, *) by the mean and variance over the batches of all ranks, in training."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        flags = (affine, track_running_stats, device, dtype)
        super().__init__(num_features, eps, momentum, *flags, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")
        if input.shape[1] == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel; as BatchNorm does in evaluation and with a single rank."""
        self._check_input_dim(input)
        if not self.training or _world_size(self.process_group) == 1:
            return super().forward(input)
        factor = self.momentum or 0.0
        if self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # a plain average over all batches
                factor = 1.0 / float(self.num_batches_tracked)
        # 16-bit floats could not even count the elements.
        wide = cast(input, float32) if is_short(input._array) else input
        return cast(self._synchronised(wide, factor), input.dtype)

    def _synchronised(self, input: Any, factor: float) -> Tensor:
        dims = [0, *range(2, input.ndim)]
        each = (1, -1, *(1,) * (input.ndim - 2))
        n_own = input.numel() // input.shape[1]
        first: Any = _Sum.apply(
            cat([input.sum(dims), input.new_full((1,), n_own)]), self.process_group
        )
        count = float(first[-1].detach())
        mean = first[:-1] / count
        centred = input - mean.reshape(each)
        spread: Any = _Sum.apply((centred * centred).sum(dims), self.process_group)
        variance = spread / count
        self._track(mean, spread, count, factor)
        y = centred * (variance + self.eps).rsqrt().reshape(each)
        if self.weight is not None:
            y = y * self.weight.reshape(each)
        return y if self.bias is None else y + self.bias.reshape(each)

    def _track(self, mean: Any, spread: Any, count: float, factor: float) -> None:
        """Move the running statistics towards those of this batch."""
        if not self.track_running_stats:
            return
        with no_grad():
            pairs = ((self.running_mean, mean), (self.running_var, spread / max(1.0, count - 1)))
            for kept, new in pairs:
                if kept is not None:
                    kept.mul_(1 - factor).add_(new.detach() * factor)

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """Replace the batch norms in `module`, or it, by synchronised ones with their tensors."""
        converted = module
        if isinstance(module, _BatchNorm):
            settings = (module.num_features, module.eps, module.momentum, module.affine)
            converted = cls(
                *settings,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            if module.affine:
                converted.weight, converted.bias = module.weight, module.bias
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(converted, name, getattr(module, name))
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
