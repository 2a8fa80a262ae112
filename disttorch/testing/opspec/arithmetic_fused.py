"""Rows of `ops/arithmetic_fused.py`."""

from __future__ import annotations

from disttorch.testing.opspec.spec import OpSpec, Sample, floats, sample

SHAPES = (((), (), ()), ((3,), (3,), (3,)), ((2, 3), (3,), (2, 1)), ((2, 0), (1,), ()))


def triples(**kwargs: float) -> tuple[Sample, ...]:
    """Three tensors that broadcast, the last away from 0."""
    return tuple(
        Sample((floats(*a), floats(*b), floats(*c, low=0.5)), kwargs) for a, b, c in SHAPES
    )


SPECS = (
    OpSpec(
        "addcdiv",
        ref=lambda x, a, b, value=1: x + value * a / b,
        samples=(*triples(), *triples(value=-0.5)),
    ),
    OpSpec(
        "addcmul",
        ref=lambda x, a, b, value=1: x + value * a * b,
        samples=(*triples(), *triples(value=-0.5)),
        integers="same",
    ),
    OpSpec(
        "lerp",
        ref=lambda x, y, w: x + w * (y - x),
        samples=(*triples(), sample(floats(3), floats(3), 0.3)),
    ),
)
