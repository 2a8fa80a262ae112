"""The names that CuPy 14 has, as far as operators may want them.

From CuPy's reference manual, only names that NumPy spells the same; what CuPy lacks (`errstate`,
`vectorize`, `frompyfunc`, `maximum.accumulate`, `where=` and `initial=` of ufuncs and
reductions...) is left out on purpose.
"""

UFUNCS = (
    *("add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "remainder", "mod"),
    *("fmod", "divmod", "power", "float_power", "negative", "positive", "absolute", "abs", "fabs"),
    *("sign", "reciprocal", "square", "sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2"),
    *("log10", "log1p", "logaddexp", "logaddexp2", "sin", "cos", "tan", "arcsin", "arccos"),
    *("arctan", "arctan2", "hypot", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
    *("deg2rad", "rad2deg", "degrees", "radians", "bitwise_and", "bitwise_or", "bitwise_xor"),
    *("invert", "bitwise_not", "left_shift", "right_shift", "greater", "greater_equal", "less"),
    *("less_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_xor"),
    *("logical_not", "maximum", "minimum", "fmax", "fmin", "isfinite", "isinf", "isnan"),
    *("signbit", "copysign", "nextafter", "modf", "ldexp", "frexp", "floor", "ceil", "trunc"),
    *("rint", "conj", "conjugate", "gcd", "lcm", "matmul", "heaviside"),
)

UFUNC_METHODS = {
    "add": ("at", "reduce", "accumulate", "reduceat", "outer"),
    "multiply": ("reduce", "accumulate", "reduceat", "outer"),
    **{name: ("at", "outer") for name in ("subtract", "maximum", "minimum")},
    **{name: ("at", "outer") for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
}

# Functions that accept host data: the explicit way to the device.
UPLOADS = ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray")

FUNCTIONS = (
    # creation
    *("empty", "empty_like", "eye", "identity", "ones", "ones_like", "zeros", "zeros_like", "full"),
    *("full_like", "copy", "arange", "linspace", "logspace", "meshgrid", "diag", "diagflat", "tri"),
    *("tril", "triu", "tril_indices", "triu_indices", "indices"),
    # shape
    *("copyto", "shape", "ndim", "size", "reshape", "ravel", "moveaxis", "rollaxis", "swapaxes"),
    *("transpose", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to", "broadcast_arrays"),
    *("expand_dims", "squeeze", "concatenate", "stack", "vstack", "hstack", "dstack", "split"),
    *("array_split", "tile", "repeat", "append", "delete", "resize", "trim_zeros", "flip"),
    *("fliplr", "flipud", "roll", "rot90", "pad", "may_share_memory", "shares_memory"),
    # indexing
    *("where", "nonzero", "flatnonzero", "argwhere", "take", "take_along_axis", "choose"),
    *("compress", "diagonal", "select", "put", "place", "putmask", "fill_diagonal", "extract"),
    *("unravel_index", "ravel_multi_index", "diag_indices"),
    # reductions and scans
    *("sum", "prod", "cumsum", "cumprod", "nansum", "nanprod", "nancumsum", "nancumprod", "diff"),
    *("max", "min", "amax", "amin", "nanmax", "nanmin", "argmax", "argmin", "nanargmax"),
    *("nanargmin", "mean", "average", "var", "std", "median", "nanmean", "nanvar", "nanstd"),
    *("nanmedian", "percentile", "quantile", "ptp", "all", "any", "count_nonzero", "trace"),
    *("bincount", "histogram", "digitize", "corrcoef", "cov"),
    # sorting and sets
    *("sort", "argsort", "lexsort", "partition", "argpartition", "searchsorted", "unique"),
    "isin",
    # products
    *("dot", "vdot", "inner", "outer", "tensordot", "einsum", "kron", "cross", "convolve"),
    # rest
    *("clip", "round", "around", "fix", "nan_to_num", "real", "imag", "angle", "real_if_close"),
    *("isclose", "allclose", "array_equal", "isreal", "iscomplex", "iscomplexobj", "isrealobj"),
    *("isscalar", "result_type", "promote_types", "can_cast", "interp", "sinc", "i0", "unwrap"),
    *("gradient", "polyval", "isneginf", "isposinf", "packbits", "unpackbits"),
)

LINALG = (
    *("cholesky", "qr", "svd", "eigh", "eigvalsh", "norm", "det", "slogdet", "matrix_rank"),
    *("solve", "inv", "pinv", "lstsq", "tensorsolve", "tensorinv", "matrix_power"),
)

FFT = (
    *("fft", "ifft", "fft2", "ifft2", "fftn", "ifftn", "rfft", "irfft", "rfft2", "irfft2", "rfftn"),
    *("irfftn", "hfft", "ihfft", "fftfreq", "rfftfreq", "fftshift", "ifftshift"),
)

CONSTANTS = (
    *("e", "inf", "nan", "newaxis", "pi", "bool_", "int8", "int16", "int32", "int64", "intp"),
    *("uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64"),
    *("complex128", "dtype", "finfo", "iinfo", "generic", "floating", "integer", "issubdtype"),
)

METHODS = (
    *("all", "any", "argmax", "argmin", "argpartition", "argsort", "astype", "choose", "clip"),
    *("compress", "conj", "conjugate", "copy", "cumprod", "cumsum", "diagonal", "dot", "fill"),
    *("flatten", "max", "mean", "min", "nonzero", "partition", "prod", "put", "ravel", "repeat"),
    *("reshape", "round", "searchsorted", "sort", "squeeze", "std", "sum", "swapaxes", "take"),
    *("tobytes", "trace", "transpose", "var", "view"),
)

BANNED_KEYWORDS = frozenset({"where", "initial", "subok", "like", "signature", "extobj"})
