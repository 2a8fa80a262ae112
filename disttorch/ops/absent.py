"""Methods of kinds of tensors that are not here: each says so, in PyTorch's words or plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import public
from disttorch.tensor import Tensor

_STRIDED = "expected sparse coordinate tensor layout but got Strided"

# Method -> what it raises RuntimeError with: PyTorch's own text for dense tensors.
_DENSE = {
    "coalesce": f"coalesce {_STRIDED}",
    "indices": f"indices {_STRIDED}",
    "values": "values expected sparse tensor layout but got Strided",
    "reinforce": (
        "reinforce() was removed.\nUse torch.distributions instead.\n"
        "See https://pytorch.org/docs/main/distributions.html"
    ),
}
# Method -> the kind of tensor that is missing here.
_ABSENT = {
    **{name: "sparse" for name in ("to_sparse", "to_sparse_csr", "to_sparse_csc", "sparse_mask")},
    **{name: "sparse" for name in ("to_sparse_bsr", "to_sparse_bsc", "to_sparse_coo")},
    **{name: "sparse" for name in ("sparse_resize_", "sparse_resize_and_clear_")},
    **{name: "quantized" for name in ("dequantize", "int_repr", "q_scale", "q_zero_point")},
    **{name: "MKL-DNN" for name in ("to_mkldnn",)},
    **{name: "nested" for name in ("to_padded_tensor",)},
    "chalf": "complex32",
}


def _raising(name: str, error: type[Exception], text: str) -> Callable[..., Any]:
    def refuse(input: Tensor, *args: Any, **keywords: Any) -> Any:
        raise error(text)

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Raise {error.__name__}: {text.partition(chr(10))[0]}"
    return public(method=True, function=False)(refuse)


REFUSED = {
    **{name: _raising(name, RuntimeError, text) for name, text in _DENSE.items()},
    **{
        name: _raising(
            name, NotImplementedError, f"Tensor.{name}: there are no {kind} tensors in disttorch"
        )
        for name, kind in _ABSENT.items()
    },
}
globals().update(REFUSED)
__all__ = [*REFUSED]
