"""`biject_to` and `transform_to`: from all real numbers to a region."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from disttorch.distributions import constraints
from disttorch.distributions.transform import (
    ComposeTransform,
    IndependentTransform,
    Transform,
    identity_transform,
)
from disttorch.distributions.transforms_scalar import (
    AffineTransform,
    ExpTransform,
    SigmoidTransform,
)
from disttorch.distributions.transforms_vector import (
    CatTransform,
    CorrCholeskyTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SoftmaxTransform,
    StackTransform,
    StickBreakingTransform,
)

Factory = Callable[[Any], Transform]


class ConstraintRegistry:
    """A table of transforms by kind of region; called with a region it gives the transform."""

    def __init__(self) -> None:
        self._registry: dict[type, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Enter a function of the region that makes the transform; also a decorator."""
        if factory is None:
            return lambda given: self.register(constraint, given)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, but got "
                f"{kind}"
            )
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> Transform:
        """Return the transform; NotImplementedError for unknown kinds of regions."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _interval(c: Any) -> Transform:
    bounds = c.lower_bound, c.upper_bound
    if all(isinstance(b, Number) for b in bounds) and bounds == (0, 1):
        return SigmoidTransform()
    width = c.upper_bound - c.lower_bound
    return ComposeTransform([SigmoidTransform(), AffineTransform(c.lower_bound, width)])


def _above(c: Any) -> Transform:
    return ComposeTransform([ExpTransform(), AffineTransform(c.lower_bound, 1)])


def _below(c: Any) -> Transform:
    return ComposeTransform([ExpTransform(), AffineTransform(c.upper_bound, -1)])


# Regions and their transforms. A kind of region comes once for `positive` and `greater_than`, which
# differ in nothing but the bound: the later row holds, as in PyTorch.
_BOTH: tuple[tuple[Any, Factory], ...] = (
    (constraints.real, lambda c: identity_transform),
    (constraints.greater_than, _above),
    (constraints.greater_than_eq, _above),
    (constraints.less_than, _below),
    (constraints.interval, _interval),
    (constraints.half_open_interval, _interval),
    (constraints.corr_cholesky, lambda c: CorrCholeskyTransform()),
)


def _fill(registry: ConstraintRegistry) -> None:
    for region, factory in _BOTH:
        registry.register(region, factory)
    registry.register(
        constraints.independent,
        lambda c: IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims),
    )
    registry.register(
        constraints.cat,
        lambda c: CatTransform([registry(part) for part in c.cseq], c.dim, c.lengths),
    )
    registry.register(
        constraints.stack, lambda c: StackTransform([registry(part) for part in c.cseq], c.dim)
    )


_fill(biject_to)
_fill(transform_to)
biject_to.register(constraints.simplex, lambda c: StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: LowerCholeskyTransform())
for _region in (constraints.positive_definite, constraints.positive_semidefinite):
    transform_to.register(_region, lambda c: PositiveDefiniteTransform())
