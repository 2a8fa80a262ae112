"""`Distribution`: shapes, validation, expansion; and the two ways most families begin."""

from __future__ import annotations

import warnings
from numbers import Number
from typing import Any, ClassVar

import disttorch
from disttorch import autograd
from disttorch.autograd.grad_mode import no_grad
from disttorch.distributions import constraints
from disttorch.distributions.constraints import Constraint
from disttorch.distributions.parameters import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)
from disttorch.size import Size
from disttorch.tensor import Tensor


class Distribution:
    """Base of distributions, over batches (`batch_shape`) of events (`event_shape`).

    Subclasses give `arg_constraints` (parameter -> region) and `support`, and define `sample` or
    `rsample`, `log_prob` and whatever else they know.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__
    # Parts that are distributions, and plain values, which `expand` takes along.
    _parts: ClassVar[tuple[str, ...]] = ()
    _kept: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Validate parameters and values, or do not, where a distribution is not told."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Any = (),
        event_shape: Any = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()

    def _validate_parameters(self) -> None:
        """Raise ValueError for parameters outside of their regions."""
        try:
            regions = self.arg_constraints
        except NotImplementedError:
            regions = {}
            warnings.warn(
                f"{type(self)} does not define `arg_constraints`. Please set `arg_constraints = "
                "{}` or initialize the distribution with `validate_args=False` to turn off "
                "validation.",
                stacklevel=4,
            )
        for name, region in regions.items():
            if constraints.is_dependent(region):
                continue
            lazy = isinstance(getattr(type(self), name, None), lazy_property)
            if lazy and name not in self.__dict__:
                continue
            value = getattr(self, name)
            if not region.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{region!r}, but found invalid values:\n{value}"
                )

    # ---- shapes -----------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Size:
        """Shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one event."""
        return self._event_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return the distribution with its batch expanded to `batch_shape`, as tensors expand."""
        new = self._get_checked_instance(_library_class(type(self)), _instance)
        shape = Size(batch_shape)
        for name, region in self.arg_constraints.items():
            if name in self.__dict__:
                value = self.__dict__[name]
                event = value.shape[value.dim() - region.event_dim :]
                new.__dict__[name] = value.expand(shape + event)
        for name in self._parts:
            new.__dict__[name] = getattr(self, name).expand(self._part_shape(name, shape))
        for name in self._kept:
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name]
        Distribution.__init__(new, shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _part_shape(self, name: str, shape: Size) -> Size:
        """Batch shape of a part when this distribution's is `shape`."""
        return shape

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ != cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ "
                "method must also define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size(sample_shape) + self._batch_shape + self._event_shape

    # ---- what subclasses know ---------------------------------------------------------------

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        """The region of each parameter."""
        raise NotImplementedError

    @property
    def support(self) -> Constraint | None:
        """The region of values."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw values of shape ``sample_shape + batch_shape + event_shape``, without gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw values through which gradients flow to the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """Draw `n` values; deprecated."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density (or probability) of `value`."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of values up to `value`."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """Return the value up to which lies the given probability."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all values along a new first dimension."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """Return the entropy, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """Return exp of the entropy."""
        return self.entropy().exp()

    # ---- values -----------------------------------------------------------------------------

    def _validate_sample(self, value: Any) -> None:
        """Raise ValueError for a value of the wrong type or shape or outside of the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape = value.size()
        if shape[len(shape) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(shape), reversed(expected), strict=False):
            if i not in (1, j) and j != 1:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{shape} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `support` to enable sample validation. Please "
                "initialize the distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        assert support is not None
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(shape)}) to be "
                f"within the support ({support!r}) of the distribution {self!r}, but found invalid "
                f"values:\n{value}"
            )

    def _checked(self, value: Any) -> None:
        if self._validate_args:
            self._validate_sample(value)

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            if name in self.__dict__:
                value = self.__dict__[name]
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _library_class(cls: type) -> type:
    """The class of this package that a class (of a user, say) derives from."""
    return next(c for c in cls.__mro__ if c.__module__.startswith("disttorch.distributions"))


class Broadcast(Distribution):
    """A distribution of numbers whose parameters are broadcast against each other."""

    def _set(self, validate_args: bool | None, **values: Any) -> None:
        """Keep the parameters, broadcast, and initialise with their shape."""
        tensors = broadcast_all(*values.values())
        self.__dict__.update(zip(values, tensors, strict=True))
        Distribution.__init__(self, tensors[0].size(), validate_args=validate_args)


class ProbsOrLogits(Broadcast):
    """A distribution given by probabilities or by log-odds; the other is computed when needed."""

    def _set_either(
        self, probs: Any, logits: Any, validate_args: bool | None, **others: Any
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name = "logits" if probs is None else "probs"
        given = logits if probs is None else probs
        self._set(validate_args, **others, **{name: given})

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.logits

    @property
    def param_shape(self) -> Size:
        """Shape of the parameter."""
        return self._param.size()

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._param.new(*args, **kwargs)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=True)


class ExponentialFamily(Distribution):
    """A distribution with density exp(<natural parameters, t(x)> - log normalizer) * carrier.

    Subclasses give the natural parameters and the normalizer; the entropy follows from them.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """Return the entropy, from the normalizer and its gradient."""
        natural = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*natural)
        gradients = autograd.grad(normalizer.sum(), natural, create_graph=True)
        result = normalizer - self._mean_carrier_measure
        for p, g in zip(natural, gradients, strict=True):
            result = result - (p * g).reshape((*self._batch_shape, -1)).sum(-1)
        return result


def as_number(value: Any) -> bool:
    """Whether a parameter is a plain number."""
    return isinstance(value, Number)


def full(distribution: Any, value: float, like: Tensor) -> Tensor:
    """A tensor of the batch's shape with one value."""
    shape = distribution._extended_shape()
    return disttorch.full(shape, value, dtype=like.dtype, device=like.device)
