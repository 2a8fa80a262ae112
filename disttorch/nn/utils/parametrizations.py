"""Ready-made parametrizations: orthogonal, weight-normalised and spectrally normalised tensors."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from disttorch import linalg
from disttorch.autograd.grad_mode import no_grad
from disttorch.dtype import finfo
from disttorch.nn.functional.distance import normalize
from disttorch.nn.modules.module import Module
from disttorch.nn.utils import parametrize
from disttorch.nn.utils.spectral_norm import as_matrix, output_dim, unit_vector
from disttorch.nn.utils.weight_norm import scaled_direction
from disttorch.ops.compare import allclose
from disttorch.ops.create_fill import eye, zeros_like
from disttorch.ops.create_random import randn
from disttorch.ops.join import cat
from disttorch.ops.linalg_norm import norm_except_dim
from disttorch.ops.linalg_qr import geqrf
from disttorch.tensor import Tensor

_FIRST_ITERATIONS = 15  # power iterations when a spectral norm is registered


def _identity(n: int, like: Tensor) -> Tensor:
    return eye(n, dtype=like.dtype, device=like.device)


def _is_orthogonal(q: Tensor) -> bool:
    n, k = q.size(-2), q.size(-1)
    return allclose(q.mH @ q, _identity(k, q), atol=10.0 * n * finfo(q.dtype).eps)


def _make_orthogonal(a: Tensor) -> Tensor:
    """The orthogonal factor of `a`, with the signs that make it unique."""
    reflectors, tau = geqrf(a)
    q = linalg.householder_product(reflectors, tau)
    return q * reflectors.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _OrthMaps(Enum):
    matrix_exp = auto()
    cayley = auto()
    householder = auto()


class _Orthogonal(Module):
    """A matrix of free numbers -> a matrix with orthonormal columns (or rows if it is wide)."""

    base: Tensor

    def __init__(
        self, weight: Tensor, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True
    ) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.size(-2) < X.size(-1)
        x = X.mT if wide else X
        mapped = self.orthogonal_map == _OrthMaps.householder
        q = _from_reflections(x) if mapped else self._from_skew(x)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    def _from_skew(self, x: Tensor) -> Tensor:
        """Map the lower triangle, as a skew matrix, to the orthogonal group."""
        n, k = x.size(-2), x.size(-1)
        lower = x.tril()
        if n != k:
            missing = zeros_like(lower[..., :1]).expand(*x.shape[:-1], n - k)
            lower = cat([lower, missing], dim=-1)
        skew = lower - lower.mH
        if self.orthogonal_map == _OrthMaps.matrix_exp:
            q = linalg.matrix_exp(skew)
        else:
            one = _identity(n, skew)
            q = linalg.solve(one - 0.5 * skew, one + 0.5 * skew)
        return q[..., :k] if n != k else q

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """Return the free numbers for `Q`; what is not orthogonal is made so."""
        if self.shape != Q.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {Q.shape}."
            )
        wide = Q.size(-2) < Q.size(-1)
        q = Q.mT if wide else Q
        if not hasattr(self, "base"):
            return self._reflections_of(q, wide)
        n, k = q.size(-2), q.size(-1)
        if n != k:
            rest = randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)
            self.base = _make_orthogonal(cat([q, rest], dim=-1))
        else:
            self.base = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
        # All maps take minus the identity to the identity, which leaves the base.
        free = zeros_like(Q)
        free.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return free

    def _reflections_of(self, q: Tensor, wide: bool) -> Tensor:
        if self.orthogonal_map != _OrthMaps.householder:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False."
            )
        a, tau = geqrf(q)
        diagonal = a.diagonal(dim1=-2, dim2=-1)
        diagonal.copy_(diagonal.sign() * (1 - 2 * (tau == 0.0).to(a.dtype)))
        return a.mT if wide else a


def _from_reflections(x: Tensor) -> Tensor:
    """The product of the reflections whose normals are the columns below the diagonal."""
    below = x.tril(diagonal=-1)
    tau = 2.0 / (1.0 + (below * below).sum(dim=-2))
    q = linalg.householder_product(below, tau)
    return q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)


def _tensor_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Make a matrix (or batch of them) orthogonal, or unitary; wide ones have orthonormal rows.

    `orthogonal_map` is "matrix_exp", "cayley" or "householder", by default the first for square or
    complex ones, else the last. Raises ValueError for vectors and for names the module lacks.
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
            f"{orthogonal_map}"
        )
    function = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, function, unsafe=True)


class _WeightNorm(Module):
    """(length, direction) -> weight."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return scaled_direction(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Store a tensor as its length (`original0`) and direction (`original1`).

    State dicts of the old `nn.utils.weight_norm` load too.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        old = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _SpectralNorm(Module):
    """Weight -> weight over its largest singular value."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        ndim = weight.ndim
        if dim >= ndim or dim < -ndim:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            self.register_buffer("_u", unit_vector(matrix.size(0), matrix, eps))
            self.register_buffer("_v", unit_vector(matrix.size(1), matrix, eps))
            self._power_method(matrix, _FIRST_ITERATIONS)

    @no_grad()
    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(normalize(matrix.mv(self._v), dim=0, eps=self.eps))
            self._v.copy_(normalize(matrix.H.mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # The next call overwrites the buffers; the graph of this one keeps these values.
        u, v = self._u.clone(), self._v.clone()
        return weight / u.vdot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a tensor by its largest singular value, estimated by power iterations.

    Each evaluation in training mode makes `n_power_iterations`. `dim` holds the matrix's rows: 0,
    for transposed convolutions 1. Raises ValueError for names the module lacks.
    """
    weight = _tensor_of(module, name)
    function = _SpectralNorm(weight, n_power_iterations, output_dim(module, dim), eps)
    return parametrize.register_parametrization(module, name, function)
