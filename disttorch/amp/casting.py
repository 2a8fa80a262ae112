"""How operators are made to cast: only while some thread has autocast on.

PyTorch's lists name operators that compute in the narrow dtype and operators that need float32.
The former are few and are everywhere, so their `Op.apply` is replaced; the latter are functions,
replaced in the namespaces where users and modules look them up. Once autocast is off everywhere,
the originals stand there again: it costs nothing when it is not used.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from disttorch.dtype import dtype, float32, float64
from disttorch.ops.activation import Prelu
from disttorch.ops.attention import Attention
from disttorch.ops.conv import Convolution, TransposedConvolution
from disttorch.ops.matmul import Linear, MatMul
from disttorch.tensor import Tensor

_LOWER_OPS = (MatMul, Linear, Convolution, TransposedConvolution, Prelu, Attention)
# Functions made of several operators, which must cast all of their arguments.
_LOWER = ("addmm", "baddbmm", "addbmm")
# Functions that refuse operands of two dtypes before their operator could cast them.
_LOWER += (
    "mm",
    "bmm",
    "matmul",
    "__matmul__",
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "scaled_dot_product_attention",
)
_LOWER += ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "prelu")
# Networks that PyTorch gives to a library, or makes of products; its GRU adds in float32.
_LOWER += ("lstm", "rnn_tanh", "rnn_relu")
# Whoever took such a function before autocast began has the original; its checks must see what
# its operator will be given.
_LOWER += ("_check_dtypes", "_check_linear", "check_operands")
# Rooms with names of their own for such functions.
_ROOMS = ("disttorch.nn.functional.attention", "disttorch.ops.recurrent", "disttorch.ops.matmul")
_ROOMS += ("disttorch.ops.conv_check",)
# What PyTorch has on no list, but is made of products here.
_UNCAST = ("mv", "dot", "vdot", "addmv", "outer", "ger", "addr", "kron", "bilinear")
_FLOAT32 = (
    # losses
    *("binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss"),
    *("cross_entropy", "ctc_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss"),
    *("margin_ranking_loss", "mse_loss", "multi_margin_loss", "multilabel_margin_loss"),
    *("nll_loss", "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss"),
    *("triplet_margin_loss",),
    # pooling and sampling
    *("adaptive_avg_pool3d", "adaptive_max_pool3d", "avg_pool3d", "fractional_max_pool2d"),
    *("fractional_max_pool3d", "grid_sample", "max_pool3d", "max_unpool2d", "max_unpool3d"),
    # reductions and others
    *("cdist", "nanquantile", "polar", "prod", "quantile", "stft", "trace", "view_as_complex"),
    # linear algebra
    *("cholesky", "cholesky_inverse", "cholesky_solve", "geqrf", "inverse", "lu_solve", "orgqr"),
    *("ormqr", "pinverse", "qr", "svd", "triangular_solve"),
)
_FLOAT32_LINALG = (
    *("cholesky", "cholesky_ex", "cond", "eig", "eigh", "eigvals", "eigvalsh"),
    *("householder_product", "inv", "inv_ex", "lstsq", "matrix_rank", "pinv", "qr", "solve"),
    *("svd", "svdvals", "tensorinv", "tensorsolve"),
)
# CUDA kernels of float16 overflow where those of the CPU accumulate in float32.
_FLOAT32_CUDA = (
    *("acos", "asin", "cosh", "cumprod", "cumsum", "dist", "erfinv", "exp", "expm1", "group_norm"),
    *("layer_norm", "log", "log10", "log1p", "log2", "log_softmax", "logsumexp", "norm"),
    *("normalize", "pdist", "pow", "reciprocal", "renorm", "rsqrt", "sinh", "softmax", "softmin"),
    *("softplus", "sum", "tan", "cosine_similarity", "rms_norm"),
)
_NARROW = 2  # bytes of an element

Cast = Callable[[Any, Tensor], Tensor]


def _eligible(state: Any, x: Tensor) -> bool:
    floating = x.is_floating_point() and x.dtype is not float64
    return floating and state.enabled.get(x.device.type, False)


def lower(state: Any, x: Tensor) -> Tensor:
    """Cast to the narrow dtype; casts of parameters are kept until the outermost autocast ends."""
    target: dtype = state.dtype.get(x.device.type)
    if x.dtype is target or not _eligible(state, x):
        return x
    if not (state.cache_enabled and x.requires_grad and x.is_leaf and x.dtype is float32):
        return x.to(target)
    key = (id(x), target)
    if key not in state.cache:
        state.cache[key] = (x, x.to(target))
    return state.cache[key][1]


def widen(state: Any, x: Tensor) -> Tensor:
    """Cast a narrow tensor to float32."""
    return x.to(float32) if x.element_size() == _NARROW and _eligible(state, x) else x


def widen_cuda(state: Any, x: Tensor) -> Tensor:
    """Cast a narrow tensor to float32 if it is on a CUDA device."""
    return widen(state, x) if x.device.type == "cuda" else x


def keep(state: Any, x: Tensor) -> Tensor:
    """Cast nothing."""
    return x


def _cast_all(state: Any, cast: Cast, value: Any) -> Any:
    if isinstance(value, Tensor):
        return cast(state, value)
    if type(value) in (list, tuple):
        return type(value)(_cast_all(state, cast, item) for item in value)
    return value


def casting(function: Callable[..., Any], cast: Cast, state: Any) -> Callable[..., Any]:
    """The function on cast arguments; within it nothing more is cast."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if state.suspended or not any(state.enabled.values()):
            return function(*args, **kwargs)
        args = tuple([_cast_all(state, cast, value) for value in args])
        kwargs = {name: _cast_all(state, cast, value) for name, value in kwargs.items()}
        state.suspended = True
        try:
            return function(*args, **kwargs)
        finally:
            state.suspended = False

    return run


# ---- putting it there and taking it away ----------------------------------------------------

_LOCK = threading.Lock()
_Place = tuple[Any, str, Any]  # owner, name, what belongs there


class _Installed:
    """How many switches are on, in all threads; the wrappers, and what they replace."""

    def __init__(self) -> None:
        self.count = 0
        self.wrappers: list[_Place] = []  # made once: that takes longer than putting them in place
        self.originals: list[_Place] = []


_INSTALLED = _Installed()
_INHERITED = object()  # what belongs there is the base class's


def _wrappers(state: Any) -> list[_Place]:
    """A wrapper for each function of the lists that exists, and where it goes."""
    found = [(op, "apply", staticmethod(casting(op.apply, lower, state))) for op in _LOWER_OPS]
    rooms = ("disttorch", "disttorch.nn.functional", *_ROOMS)
    everywhere = [*(import_module(room) for room in rooms), Tensor]
    rules = [(_LOWER, lower), (_UNCAST, keep), (_FLOAT32, widen), (_FLOAT32_CUDA, widen_cuda)]
    tables = [(owner, names, cast) for owner in everywhere for names, cast in rules]
    tables.append((import_module("disttorch.linalg"), _FLOAT32_LINALG, widen))
    fft = import_module("disttorch.fft")
    tables.append((fft, tuple(name for name in vars(fft) if "fft" in name), widen))
    for owner, names, cast in tables:
        for name in names:
            function = vars(owner).get(name)
            if callable(function):
                found.append((owner, name, casting(function, cast, state)))
    return found


def install(state: Any) -> None:
    """Make operators look at `state`; the first of nested or parallel autocasts does it."""
    with _LOCK:
        _INSTALLED.count += 1
        if _INSTALLED.count > 1:
            return
        if not _INSTALLED.wrappers:
            _INSTALLED.wrappers = _wrappers(state)
        for owner, name, wrapper in _INSTALLED.wrappers:
            _INSTALLED.originals.append((owner, name, vars(owner).get(name, _INHERITED)))
            setattr(owner, name, wrapper)


def uninstall(state: Any) -> None:
    """Put the originals back once the last autocast of all threads is off."""
    with _LOCK:
        _INSTALLED.count -= 1
        if _INSTALLED.count:
            return
        for owner, name, original in reversed(_INSTALLED.originals):
            if original is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        _INSTALLED.originals.clear()
