"""Normal vectors, with a full covariance matrix or one of low rank plus a diagonal."""

from __future__ import annotations

import math
from typing import Any

import disttorch
from disttorch import linalg
from disttorch.distributions import constraints
from disttorch.distributions.distribution import Distribution
from disttorch.distributions.parameters import lazy_property, standard_normal
from disttorch.size import Size
from disttorch.tensor import Tensor

_LOG_2_PI = math.log(2 * math.pi)
MATRICES = ("scale_tril", "covariance_matrix", "precision_matrix")


def product(matrix: Tensor, vector: Tensor) -> Tensor:
    """Batched matrix (*, n, m) times vector (*, m)."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def mahalanobis(scale_tril: Tensor, x: Tensor) -> Tensor:
    """Squared length of ``inverse(scale_tril) @ x``, batches broadcast."""
    solved = linalg.solve_triangular(scale_tril, x.unsqueeze(-1), upper=False)
    return solved.squeeze(-1).pow(2).sum(-1)


def half_log_det(scale_tril: Tensor) -> Tensor:
    """Half of the log-determinant of the covariance."""
    return scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def precision_to_scale_tril(precision: Tensor) -> Tensor:
    """The lower factor of the covariance whose inverse is given."""
    flipped = linalg.cholesky(precision.flip(-2, -1))
    inverse = flipped.flip(-2, -1).mT
    one = disttorch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return linalg.solve_triangular(inverse, one, upper=False)


def factor(name: str, matrix: Tensor) -> Tensor:
    """The lower factor of the covariance, given in one of three ways."""
    if name == "scale_tril":
        return matrix
    return (
        linalg.cholesky(matrix) if name == "covariance_matrix" else precision_to_scale_tril(matrix)
    )


class Covariance(Distribution):
    """A distribution with a covariance matrix, given by it, its inverse, or its lower factor."""

    _unbroadcasted_scale_tril: Tensor

    def _square(self) -> Size:
        """Shape of a batch of matrices."""
        n = self._event_shape[-1:]
        return self._batch_shape + n + n

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Lower factor of the covariance matrix."""
        return self._unbroadcasted_scale_tril.expand(self._square())

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        lower = self._unbroadcasted_scale_tril
        return (lower @ lower.mT).expand(self._square())

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Inverse of the covariance matrix."""
        return disttorch.cholesky_inverse(self._unbroadcasted_scale_tril).expand(self._square())


class MultivariateNormal(Covariance):
    """Normal vectors with mean `loc` (*, n) and one of three matrices (*, n, n)."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _kept = ("_unbroadcasted_scale_tril",)

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        matrices = (scale_tril, covariance_matrix, precision_matrix)
        given = [(n, m) for n, m in zip(MATRICES, matrices, strict=True) if m is not None]
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = given
        if matrix.dim() < 2:
            what = "scale_tril matrix" if name == "scale_tril" else name
            raise ValueError(
                f"{what} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch_shape = disttorch.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch_shape, -1, -1)))
        self.loc = loc.expand((*batch_shape, -1))
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor(name, matrix)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + product(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        lower = self._unbroadcasted_scale_tril
        distance = mahalanobis(lower, value - self.loc)
        return -0.5 * (self._event_shape[0] * _LOG_2_PI + distance) - half_log_det(lower)

    def entropy(self) -> Tensor:
        half = half_log_det(self._unbroadcasted_scale_tril)
        return (0.5 * self._event_shape[0] * (1.0 + _LOG_2_PI) + half).expand(self._batch_shape)


def capacitance(cov_factor: Tensor, cov_diag: Tensor) -> Tensor:
    """Lower factor of ``1 + W' inverse(D) W``."""
    inner = (cov_factor.mT / cov_diag.unsqueeze(-2)) @ cov_factor
    one = disttorch.eye(inner.shape[-1], dtype=inner.dtype, device=inner.device)
    return linalg.cholesky(inner + one)


def low_rank_log_det(d: LowRankMultivariateNormal) -> Tensor:
    """Log-determinant of the covariance, by the matrix determinant lemma."""
    return 2 * half_log_det(d._capacitance_tril) + d._unbroadcasted_cov_diag.log().sum(-1)


def low_rank_mahalanobis(d: LowRankMultivariateNormal, x: Tensor) -> Tensor:
    """Squared length of x in units of the covariance, by the Woodbury identity."""
    weights = d._unbroadcasted_cov_factor.mT / d._unbroadcasted_cov_diag.unsqueeze(-2)
    whole = (x.pow(2) / d._unbroadcasted_cov_diag).sum(-1)
    return whole - mahalanobis(d._capacitance_tril, product(weights, x))


class LowRankMultivariateNormal(Distribution):
    """Normal vectors with covariance ``cov_factor @ cov_factor.T + diag(cov_diag)``."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _kept = ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril")

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m"
            )
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        try:
            columns = loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1)
            wide_loc, self.cov_factor, wide_diag = disttorch.broadcast_tensors(*columns)
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc, self.cov_diag = wide_loc[..., 0], wide_diag[..., 0]
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = capacitance(cov_factor, cov_diag)
        super().__init__(self.loc.shape[:-1], event_shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    def _square(self) -> Size:
        return self._batch_shape + self._event_shape + self._event_shape

    @lazy_property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return squares.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Lower factor of the covariance matrix."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        one = disttorch.eye(scaled.shape[-2], dtype=scaled.dtype, device=scaled.device)
        return (root * linalg.cholesky(scaled @ scaled.mT + one)).expand(self._square())

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        w = self._unbroadcasted_cov_factor
        return (w @ w.mT + self._unbroadcasted_cov_diag.diag_embed()).expand(self._square())

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Inverse of the covariance matrix."""
        weights = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        a = linalg.solve_triangular(self._capacitance_tril, weights, upper=False)
        inverse = self._unbroadcasted_cov_diag.reciprocal().diag_embed() - a.mT @ a
        return inverse.expand(self._square())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        of_factor = standard_normal(shape[:-1] + self.cov_factor.shape[-1:], self.loc)
        of_diagonal = standard_normal(shape, self.loc)
        low_rank = product(self._unbroadcasted_cov_factor, of_factor)
        return self.loc + low_rank + self._unbroadcasted_cov_diag.sqrt() * of_diagonal

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        distance = low_rank_mahalanobis(self, value - self.loc)
        return -0.5 * (self._event_shape[0] * _LOG_2_PI + low_rank_log_det(self) + distance)

    def entropy(self) -> Tensor:
        h = 0.5 * (self._event_shape[0] * (1.0 + _LOG_2_PI) + low_rank_log_det(self))
        return h.expand(self._batch_shape)
