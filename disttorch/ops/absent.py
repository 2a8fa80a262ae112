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
_GONE = "This function was deprecated since version 1.9 and is now removed."
# Function and method -> what it raises RuntimeError with.
_REMOVED = {
    "eig": (
        f"{_GONE} `torch.linalg.eig` returns complex tensors of dtype `cfloat` or `cdouble` rather "
        "than real tensors mimicking complex tensors.\n\nL, _ = torch.eig(A) should be replaced "
        "with:\nL_complex = torch.linalg.eigvals(A)\n\nand\n\n"
        "L, V = torch.eig(A, eigenvectors=True) "
        "should be replaced with:\nL_complex, V_complex = torch.linalg.eig(A)"
    ),
    "lstsq": (
        f"{_GONE} `torch.lstsq` is deprecated in favor of `torch.linalg.lstsq`.\n"
        "`torch.linalg.lstsq` has reversed arguments and does not return the QR decomposition in "
        "the returned tuple (although it returns other information about the problem)."
    ),
    "matrix_rank": (
        f"{_GONE}\nPlease use the `torch.linalg.matrix_rank` function instead. The parameter "
        "'symmetric' was renamed in `torch.linalg.matrix_rank()` to 'hermitian'."
    ),
    "solve": (
        f"{_GONE} `torch.solve` is deprecated in favor of `torch.linalg.solve`. "
        "`torch.linalg.solve` has its arguments reversed and does not return the LU factorization."
        "\n\nTo get the LU factorization see `torch.lu`, which can be used with `torch.lu_solve` "
        "or `torch.lu_unpack`.\nX = torch.solve(B, A).solution should be replaced with:\n"
        "X = torch.linalg.solve(A, B)"
    ),
    "symeig": (
        f"{_GONE} The default behavior has changed from using the upper triangular portion of the "
        "matrix by default to using the lower triangular portion.\n\nL, _ = torch.symeig(A, "
        "upper=upper) should be replaced with:\nL = torch.linalg.eigvalsh(A, UPLO='U' if upper "
        "else 'L')\n\nand\n\nL, V = torch.symeig(A, eigenvectors=True) should be replaced with:\n"
        "L, V = torch.linalg.eigh(A, UPLO='U' if upper else 'L')"
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


def _raising(
    name: str, error: type[Exception], text: str, function: bool = False
) -> Callable[..., Any]:
    def refuse(input: Tensor, *args: Any, **keywords: Any) -> Any:
        raise error(text)

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Raise {error.__name__}: {text.partition(chr(10))[0]}"
    return public(method=True, function=function)(refuse)


REFUSED = {
    **{name: _raising(name, RuntimeError, text) for name, text in _DENSE.items()},
    **{name: _raising(name, RuntimeError, text, True) for name, text in _REMOVED.items()},
    **{
        name: _raising(
            name, NotImplementedError, f"Tensor.{name}: there are no {kind} tensors in disttorch"
        )
        for name, kind in _ABSENT.items()
    },
}
globals().update(REFUSED)
__all__ = [*REFUSED]
