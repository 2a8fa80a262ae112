"""Questions about tensors: sizes, kinds, places, the dtype that an operation would have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import public
from disttorch.autograd.promotion import operand_dtype
from disttorch.backends.cpu.numpy_backend import CPU
from disttorch.dtype import dtype as Dtype
from disttorch.inference import InferenceCell
from disttorch.tensor import Tensor

__all__ = [
    *("get_device", "grad_dtype", "is_coalesced", "is_cpu"),
    *("is_distributed", "is_inference", "is_ipu", "is_maia", "is_meta"),
    *("is_mkldnn", "is_mps", "is_mtia", "is_neg", "is_nested", "is_nonzero", "is_quantized"),
    *("is_same_size", "is_signed", "is_sparse_csr", "is_vulkan", "is_xla", "is_xpu", "name"),
    *("numel", "result_type", "typename"),
]


def _asked(name: str, answer: Callable[[Tensor], Any], doc: str, *, method: bool = False) -> Any:
    """A question as a function that takes one tensor and refuses everything else."""

    def ask(input: Tensor) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, not "
                f"{type(input).__name__}"
            )
        return answer(input)

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = doc
    return public(method=method)(ask)


numel = _asked("numel", Tensor.numel, "Number of elements.")
is_signed = _asked("is_signed", Tensor.is_signed, "Whether the dtype has negative values.")
is_nonzero = _asked(
    "is_nonzero",
    bool,
    "Whether the only element is not zero; RuntimeError if there is not exactly one.",
    method=True,
)
is_inference = _asked(
    "is_inference",
    lambda t: type(t._cell) is InferenceCell,
    "Whether it was made in inference mode.",
    method=True,
)
is_neg = _asked("is_neg", lambda t: False, "Always False: negation is never deferred.", method=True)
is_distributed = _asked(
    "is_distributed", lambda t: False, "Always False; of PyTorch's past.", method=True
)
get_device = _asked(
    "get_device",
    lambda t: -1 if t.device.index is None else t.device.index,
    "Index of the device, -1 on the CPU.",
    method=True,
)


@public(method=True)
def is_same_size(input: Tensor, other: Tensor) -> Any:
    """Whether both tensors have the same shape."""
    return input._array.shape == other._array.shape


@public()
def result_type(tensor1: Any, tensor2: Any) -> Dtype:
    """Dtype of an arithmetic operation on two tensors or numbers."""
    tensors = [x for x in (tensor1, tensor2) if isinstance(x, Tensor)]
    backend = tensors[0].backend if tensors else CPU
    operands = [x._array if isinstance(x, Tensor) else x for x in (tensor1, tensor2)]
    return operand_dtype(backend, operands)


@public()
def typename(obj: Any) -> str:
    """Name of a tensor's legacy type (``torch.FloatTensor``), or of a class or function."""
    if isinstance(obj, Tensor):
        kind: str = obj.type()
        return kind
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", None)
    if module in (None, "builtins", "__builtin__"):
        return str(named.__qualname__)
    return f"{module}.{named.__qualname__}"


def _constant(name: str, value: Any, doc: str) -> Any:
    def answer(input: Tensor) -> Any:
        return value

    answer.__name__ = answer.__qualname__ = name
    answer.__doc__ = doc
    return public(attribute=True, function=False)(answer)


def _kind(name: str, what: str) -> Any:
    return _constant(name, False, f"Always False: there are no {what} tensors here.")


is_meta, is_mps, is_xpu = _kind("is_meta", "meta"), _kind("is_mps", "MPS"), _kind("is_xpu", "XPU")
is_xla, is_ipu, is_maia = _kind("is_xla", "XLA"), _kind("is_ipu", "IPU"), _kind("is_maia", "MAIA")
is_mtia, is_vulkan = _kind("is_mtia", "MTIA"), _kind("is_vulkan", "Vulkan")
is_nested, is_quantized = _kind("is_nested", "nested"), _kind("is_quantized", "quantized")
is_mkldnn, is_sparse_csr = _kind("is_mkldnn", "MKL-DNN"), _kind("is_sparse_csr", "sparse")
name = _constant("name", None, "Always None: tensors carry no names.")


@public(attribute=True, function=False)
def is_cpu(input: Tensor) -> Any:
    """Whether the memory is the host's."""
    return input.device.type == "cpu"


@public(attribute=True, function=False)
def grad_dtype(input: Tensor) -> Any:
    """Dtype that a gradient of this tensor must have: its own."""
    return input.dtype


@public(method=True, function=False)
def is_coalesced(input: Tensor) -> Any:
    """Raise RuntimeError: only sparse tensors can be coalesced."""
    raise RuntimeError("is_coalesced expected sparse coordinate tensor layout but got Strided")
