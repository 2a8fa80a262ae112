"""Which gradients travel together: a pure plan, and the memory it is laid out in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ALIGNMENT = 64  # bytes; slices of ranks and vector loads start on cache lines


@dataclass(frozen=True)
class Slot:
    """Place of one parameter's gradient: position in the model's list, offset in elements."""

    parameter: int
    offset: int
    numel: int


@dataclass(frozen=True)
class BucketPlan:
    """Gradients of one dtype that are reduced in one collective."""

    np_dtype: Any
    slots: tuple[Slot, ...]
    numel: int  # padding between slots included


def plan_buckets(
    numels: Sequence[int],
    np_dtypes: Sequence[Any],
    itemsizes: Sequence[int],
    cap_nbytes: int,
    first_cap_nbytes: int,
) -> list[BucketPlan]:
    """Group parameters into buckets of at most `cap_nbytes`, last parameter first.

    Gradients come in about the reverse order of the forward pass, so reversed buckets fill one
    after the other. The first is small (`first_cap_nbytes`): communication starts early. A
    parameter larger than the cap has a bucket of its own; dtypes never mix.
    """
    plans: list[BucketPlan] = []
    open_buckets: dict[Any, tuple[list[Slot], int]] = {}
    for i in reversed(range(len(numels))):
        key, item = np_dtypes[i], itemsizes[i]
        slots, end = open_buckets.get(key, ([], 0))
        cap = cap_nbytes if plans else first_cap_nbytes
        if slots and (end + numels[i]) * item > cap:
            plans.append(BucketPlan(key, tuple(slots), end))
            slots, end = [], 0
        slots.append(Slot(i, end, numels[i]))
        step = ALIGNMENT // item
        open_buckets[key] = (slots, -(-(end + numels[i]) // step) * step)
    plans += [BucketPlan(key, tuple(slots), end) for key, (slots, end) in open_buckets.items()]
    return plans
