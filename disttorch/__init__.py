"""disttorch: PyTorch's API as a distributed training runtime in pure Python.

``import disttorch as torch``, then ordinary PyTorch code. Subpackages that cost time or memory
(nn, optim, distributed, utils, vision...) are imported when they are first touched; none of them
imports an optional dependency before it is used.
"""

from importlib import import_module as _import_module
from math import e, inf, nan, pi

from disttorch import autograd, ops, random
from disttorch.autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
from disttorch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from disttorch.autograd.tensor_methods import METHODS as _AUTOGRAD_METHODS
from disttorch.backends.cpu.alloc import keep_freed_memory as _keep_freed_memory
from disttorch.backends.cpu.threads import get_num_threads, set_num_threads
from disttorch.device import device, get_default_device, set_default_device
from disttorch.dtype import (
    bfloat16,
    bool,
    can_cast,
    cdouble,
    cfloat,
    complex64,
    complex128,
    double,
    dtype,
    finfo,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from disttorch.errors import OutOfMemoryError
from disttorch.layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from disttorch.ops.create_legacy import TENSOR_TYPES as _TENSOR_TYPES
from disttorch.printing import get_printoptions, printoptions, set_printoptions
from disttorch.random import (
    Generator,
    bind_state_type,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from disttorch.size import Size
from disttorch.storage import STORAGE_TYPES, TypedStorage, UntypedStorage, is_storage
from disttorch.tensor import Tensor, bind_methods, is_tensor
from disttorch.version import __version__

newaxis = None

_LAZY = {
    *("multiprocessing", "profiler"),
    *("amp", "cpu", "distributions", "futures"),
    *("cuda", "distributed", "fft", "linalg", "meter", "nn", "optim", "serialization", "signal"),
    *("func", "masked", "overrides", "special", "testing", "utils", "vision"),
    *("accelerator", "compiler", "hub", "jit", "mps", "onnx", "settings", "xpu"),
}
_LAZY_NAMES = {"load": "serialization", "save": "serialization", "vmap": "func"}
_LAZY_NAMES |= {"launch": "multiprocessing", "compile": "compiler", "GradScaler": "amp"}
_LAZY_NAMES |= dict.fromkeys(
    (
        *("are_deterministic_algorithms_enabled", "get_deterministic_debug_mode"),
        *("get_float32_matmul_precision", "get_num_interop_threads"),
        *("is_deterministic_algorithms_warn_only_enabled", "is_warn_always_enabled"),
        *("set_deterministic_debug_mode", "set_float32_matmul_precision", "set_flush_denormal"),
        *("set_num_interop_threads", "set_warn_always", "use_deterministic_algorithms"),
    ),
    "settings",
)
_LAZY_NAMES |= dict.fromkeys(
    (
        *("autocast", "autocast_decrement_nesting", "autocast_increment_nesting"),
        *("clear_autocast_cache", "get_autocast_cpu_dtype", "get_autocast_dtype"),
        *("get_autocast_gpu_dtype", "is_autocast_cache_enabled", "is_autocast_cpu_enabled"),
        *("is_autocast_enabled", "set_autocast_cache_enabled", "set_autocast_cpu_dtype"),
        *("set_autocast_cpu_enabled", "set_autocast_dtype", "set_autocast_enabled"),
        "set_autocast_gpu_dtype",
    ),
    "amp",
)
_LAZY_NAMES["bilinear"] = "nn.functional"
_LAZY_NAMES |= dict.fromkeys(
    ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"), "nn.functional.grid"
)

# Ops need Tensor and Tensor's methods are ops: they meet here, once.
bind_methods({**_AUTOGRAD_METHODS, **ops.METHODS})
# Subclasses of Tensor dispatch their operators; what does it is imported with the first of them.
bind_methods({"_overrides": staticmethod(lambda: _import_module("disttorch.overrides"))})
globals().update({**ops.PUBLIC, **_TENSOR_TYPES, **STORAGE_TYPES})
bind_state_type(Tensor._wrap)
_keep_freed_memory()


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return _import_module(f"disttorch.{name}")
    if name in _LAZY_NAMES:
        return getattr(_import_module(f"disttorch.{_LAZY_NAMES[name]}"), name)
    if name.startswith("_foreach_"):
        functions: dict[str, object] = _import_module("disttorch.ops.foreach").FUNCTIONS
        if name in functions:
            return functions[name]
    raise AttributeError(f"module 'disttorch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_LAZY_NAMES})
