"""What a row of the operator table is made of: `OpSpec`, `Sample` and descriptions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]

CHECKS = (
    *("forward", "strided", "float32", "gradcheck", "gradgradcheck", "inplace", "method"),
    *("integers", "bools", "fake", "fake_grad", "0-d", "empty"),
)


@dataclass(frozen=True)
class Values:
    """A tensor argument yet to be made: shape, dtype and how to draw its values."""

    shape: Shape
    dtype: str
    draw: Callable[[np.random.RandomState, Shape], Any]

    def make(self, rng: np.random.RandomState) -> np.ndarray:
        """Draw the values."""
        return np.asarray(self.draw(rng, self.shape)).astype(self.dtype).reshape(self.shape)


def floats(
    *shape: int, low: float = -2.0, high: float = 2.0, avoid: Sequence[float] = ()
) -> Values:
    """Floats, uniform in [low, high), at least 0.05 from each of `avoid` (kinks, poles)."""

    def draw(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
        values = np.asarray(rng.uniform(low, high, shape))
        for kink in avoid:
            side = np.where(values < kink, -0.05, 0.05)
            values = np.where(np.abs(values - kink) < 0.05, kink + side, values)
        return values

    return Values(shape, "float64", draw)


def distinct(*shape: int) -> Values:
    """Floats of which no two are closer than 0.3, in random order: for sorting and extremes."""

    def draw(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
        n = int(np.prod(shape))
        return (rng.permutation(n) - n / 2 + 0.2) * 0.3

    return Values(shape, "float64", draw)


def complexes(*shape: int) -> Values:
    """Complex numbers with both parts uniform in [-2, 2)."""

    def draw(rng: np.random.RandomState, shape: Shape) -> Any:
        return rng.uniform(-2, 2, shape) + 1j * rng.uniform(-2, 2, shape)

    return Values(shape, "complex128", draw)


def ints(*shape: int, low: int = -4, high: int = 5, dtype: str = "int64") -> Values:
    """Integers in [low, high)."""
    return Values(shape, dtype, lambda rng, s: rng.randint(low, high, s))


def bools(*shape: int) -> Values:
    """True and False, evenly."""
    return Values(shape, "bool", lambda rng, s: rng.randint(0, 2, s))


def array(values: Any, dtype: str = "float64") -> Values:
    """Just these values."""
    host = np.asarray(values, dtype)
    return Values(host.shape, dtype, lambda rng, s: host)


@dataclass(frozen=True)
class Sample:
    """Arguments of one call; `Values` in them, also in lists, stand for tensors."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> list[Values]:
        """The descriptions of tensors, in order."""
        found: list[Values] = []
        _map(self.args, lambda v: found.append(v) or v)
        _map(dict(self.kwargs), lambda v: found.append(v) or v)
        return found

    def make(self, convert: Callable[[np.ndarray], Any], seed: int = 0) -> Sample:
        """The same arguments with every description drawn and given to `convert`."""
        rng = np.random.RandomState(seed)

        def made(values: Values) -> Any:
            return convert(values.make(rng))

        return Sample(_map(self.args, made), _map(dict(self.kwargs), made))


def sample(*args: Any, **kwargs: Any) -> Sample:
    """Arguments as they are written in a call."""
    return Sample(args, kwargs)


def _map(value: Any, convert: Callable[[Values], Any]) -> Any:
    """Replace the descriptions in nested lists, tuples and dicts."""
    if isinstance(value, Values):
        return convert(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_map(v, convert) for v in value)
    if isinstance(value, dict):
        return {k: _map(v, convert) for k, v in value.items()}
    return value


@dataclass(frozen=True)
class OpSpec:
    """A row: an operator, its NumPy reference and its samples.

    * `name`: public name; `op`: a function of tensors to call instead of the public one.
    * `ref`: the same on ndarrays, in float64; a tuple for several outputs, None in it (or alone)
      where there is nothing to compare.
    * `integers`, `bools`: result dtype when the floating inputs are of that kind: "same",
      "float" (the default dtype), a dtype's name, or "refused" (RuntimeError). None: not checked.
    * `aliases`: other public names of the same operator.
    * `skip`: check (of `CHECKS`) -> why it is left out.
    * `rtol`, `atol`: of the forward comparison in float64.
    """

    name: str
    ref: Callable[..., Any]
    samples: tuple[Sample, ...]
    op: Callable[..., Any] | None = None
    integers: str | None = None
    bools: str | None = None
    aliases: tuple[str, ...] = ()
    skip: Mapping[str, str] = field(default_factory=dict)
    rtol: float = 1e-10
    atol: float = 1e-12

    def __post_init__(self) -> None:
        unknown = set(self.skip) - set(CHECKS)
        if unknown:
            raise ValueError(f"{self.name}: no such checks: {sorted(unknown)}")

    def __repr__(self) -> str:
        return f"OpSpec({self.name})"


ELEMENTWISE_SHAPES: tuple[Shape, ...] = ((), (3,), (2, 3), (2, 0))
BINARY_SHAPES: tuple[tuple[Shape, Shape], ...] = (
    *(((), ()), ((3,), ()), ((), (2, 2)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 0), (1,))),
)


def elementwise(
    low: float = -2.0,
    high: float = 2.0,
    avoid: Sequence[float] = (),
    extra: Sequence[Sample] = (),
    **kwargs: Any,
) -> tuple[Sample, ...]:
    """Samples of one floating tensor in the usual shapes, each with these keywords."""
    made = (floats(*s, low=low, high=high, avoid=avoid) for s in ELEMENTWISE_SHAPES)
    return (*(Sample((x,), kwargs) for x in made), *extra)


def binary(
    first: Callable[..., Values] = floats,
    second: Callable[..., Values] | None = None,
    numbers: Sequence[Any] = (),
    extra: Sequence[Sample] = (),
    **kwargs: Any,
) -> tuple[Sample, ...]:
    """Samples of two tensors that broadcast in the usual ways, and with `numbers` as second."""
    second = second or first
    pairs = (Sample((first(*a), second(*b)), kwargs) for a, b in BINARY_SHAPES)
    return (*pairs, *(Sample((first(2, 3), n), kwargs) for n in numbers), *extra)
