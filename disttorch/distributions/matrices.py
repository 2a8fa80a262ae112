"""Distributions of matrices: covariances (Wishart) and factors of correlations (LKJ)."""

from __future__ import annotations

import math
import warnings
from numbers import Number
from typing import Any

import disttorch
from disttorch import linalg
from disttorch.distributions import constraints
from disttorch.distributions.distribution import Distribution, ExponentialFamily
from disttorch.distributions.gamma import Beta, Chi2
from disttorch.distributions.multivariate import MATRICES, Covariance, factor, half_log_det
from disttorch.distributions.parameters import broadcast_all
from disttorch.dtype import finfo
from disttorch.size import Size
from disttorch.tensor import Tensor

_LOG_2 = math.log(2)


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    """Derivative of the multivariate log-gamma function."""
    steps = disttorch.arange(p, dtype=x.dtype, device=x.device) / 2
    return (x.unsqueeze(-1) - steps).digamma().sum(-1)


class Wishart(Covariance, ExponentialFamily):
    """Sums of the outer squares of `df` normal vectors; one of three matrices gives their scale."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0.0

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        matrices = (scale_tril, covariance_matrix, precision_matrix)
        given = [(n, m) for n, m in zip(MATRICES, matrices, strict=True) if m is not None]
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = given
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if isinstance(df, Number):
            batch_shape = Size(matrix.shape[:-2])
            self.df = disttorch.tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch_shape = disttorch.broadcast_shapes(matrix.shape[:-2], df.shape)
            self.df = df.expand(batch_shape)
        self._check_df(df, matrix.shape[-1])
        setattr(self, name, matrix.expand((*batch_shape, -1, -1)))
        super().__init__(batch_shape, matrix.shape[-2:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor(name, matrix)

    def _check_df(self, df: Any, n: int) -> None:
        if (self.df <= n - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        if (self.df < n).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 "
                "< df < ndim.",
                stacklevel=3,
            )

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Wishart, _instance)
        new._event_shape = self._event_shape
        shape = Size(batch_shape) + self.event_shape
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril.expand(shape)
        return super().expand(batch_shape, new)

    def _square(self) -> Size:
        return self._batch_shape + self._event_shape

    def _column(self, x: Tensor) -> Tensor:
        """One number a matrix, to multiply it with."""
        return x.expand(self._batch_shape).reshape((*self._batch_shape, 1, 1))

    @property
    def mean(self) -> Tensor:
        return self._column(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        weight = self.df - self.covariance_matrix.shape[-1] - 1
        return self._column(weight.masked_fill(weight <= 0, math.nan)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._column(self.df) * (v.pow(2) + outer)

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        """Draw by Bartlett's decomposition; singular matrices are drawn anew a few times."""
        tries = 10 if max_try_correction is None else max_try_correction
        sample = self._bartlett(Size(sample_shape))
        singular = ~self.support.check(sample)
        if not singular.any():
            return sample
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(tries):
            again = self._bartlett(Size(sample_shape))
            sample = disttorch.where(singular[..., None, None], again, sample)
            singular = ~self.support.check(sample)
            if not singular.any():
                break
        return sample

    def _bartlett(self, sample_shape: Size) -> Tensor:
        p = self._event_shape[-1]
        like: Any = {"dtype": self._unbroadcasted_scale_tril.dtype, "device": self.df.device}
        df = self.df.expand(self._batch_shape).unsqueeze(-1) - disttorch.arange(p, **like)
        roots = Chi2(df).rsample(sample_shape).sqrt()
        noise = roots.clamp(min=finfo(roots.dtype).eps).diag_embed()
        below = disttorch.randn(sample_shape + self._batch_shape + (p * (p - 1) // 2,), **like)
        i, j = disttorch.tril_indices(p, p, offset=-1)
        noise[..., i, j] = below
        lower = self._unbroadcasted_scale_tril @ noise
        return lower @ lower.mT

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        nu, p, lower = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        solved = disttorch.cholesky_solve(value, lower)
        return (
            -nu * (p * _LOG_2 / 2 + half_log_det(lower))
            - disttorch.mvlgamma(nu / 2, p=p)
            + (nu - p - 1) / 2 * linalg.slogdet(value).logabsdet
            - solved.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / 2
        )

    def entropy(self) -> Tensor:
        nu, p = self.df, self._event_shape[-1]
        volume = (p + 1) * (p * _LOG_2 / 2 + half_log_det(self._unbroadcasted_scale_tril))
        slope = (nu - p - 1) / 2 * _mvdigamma(nu / 2, p)
        return volume + disttorch.mvlgamma(nu / 2, p=p) - slope + nu * p / 2

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        p = self._event_shape[-1]
        half = y + (p + 1) / 2
        return half * (-linalg.slogdet(-2 * x).logabsdet + _LOG_2 * p) + disttorch.mvlgamma(
            half, p=p
        )


class LKJCholesky(Distribution):
    """Lower factors of correlation matrices (dim, dim); concentration 1 is uniform."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _parts = ("_beta",)
    _kept = ("dim",)

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        a = self.concentration
        # Rows grow like vines: the i-th has i - 1 numbers, whose common length is from a beta.
        offset = disttorch.arange(dim - 1, dtype=a.dtype, device=a.device)
        offset = disttorch.cat([offset.new_zeros((1,)), offset])
        rest = (a + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * offset
        self._beta = Beta(offset + 0.5, rest)
        super().__init__(a.size(), (dim, dim), validate_args)

    def _part_shape(self, name: str, shape: Size) -> Size:
        return Size((*shape, self.dim))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        y = self._beta.sample(sample_shape).detach().unsqueeze(-1)
        shape = self._extended_shape(sample_shape)
        normal = disttorch.randn(shape, dtype=y.dtype, device=y.device).tril(-1)
        direction = normal / normal.norm(dim=-1, keepdim=True)
        direction[..., 0, :] = 0.0
        w = y.sqrt() * direction
        rest = (1 - (w**2).sum(-1)).clamp(min=finfo(w.dtype).tiny)
        return w + rest.sqrt().diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        a, n = self.concentration, self.dim - 1
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = 2 * (a - 1).unsqueeze(-1) + self.dim
        order = order - disttorch.arange(2, self.dim + 1, device=a.device)
        alpha = a + 0.5 * n
        normalizer = 0.5 * n * math.log(math.pi) + disttorch.mvlgamma(alpha - 0.5, n)
        return (order * diagonal.log()).sum(-1) - (normalizer - alpha.lgamma() * n)
