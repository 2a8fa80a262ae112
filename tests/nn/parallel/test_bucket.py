import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disttorch.nn.parallel.bucket import ALIGNMENT, plan_buckets

F4, F8 = np.dtype(np.float32), np.dtype(np.float64)

PLANS = [
    # element counts, cap, first cap -> parameters of each bucket
    ([16, 16, 400], 64 * 4, 64 * 4, [[2], [1, 0]]),
    ([16, 16, 16], 128, 64, [[2], [1, 0]]),
    ([16, 16, 16], 1 << 20, 1 << 20, [[2, 1, 0]]),
    ([5], 4, 4, [[0]]),
]


@pytest.mark.parametrize(("numels", "cap", "first_cap", "expected"), PLANS)
def test_last_parameters_come_first(numels, cap, first_cap, expected):
    plans = plan_buckets(numels, [F4] * len(numels), [4] * len(numels), cap, first_cap)
    assert [[s.parameter for s in p.slots] for p in plans] == expected


def test_dtypes_do_not_mix():
    plans = plan_buckets([4, 4, 4], [F4, F8, F4], [4, 8, 4], 1 << 20, 1 << 20)
    assert {(p.np_dtype, tuple(s.parameter for s in p.slots)) for p in plans} == {
        (F4, (2, 0)),
        (F8, (1,)),
    }


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), min_size=1, max_size=20),
       st.integers(1, 2000))  # fmt: skip
def test_every_parameter_has_one_slot_of_its_own(parameters, cap):
    numels = [n for n, _ in parameters]
    kinds = [F8 if wide else F4 for _, wide in parameters]
    plans = plan_buckets(numels, kinds, [k.itemsize for k in kinds], cap, cap)
    seen = [s.parameter for p in plans for s in p.slots]
    assert sorted(seen) == list(range(len(numels)))
    for plan in plans:
        end = 0
        for slot in plan.slots:
            assert slot.offset >= end
            assert slot.offset * plan.np_dtype.itemsize % ALIGNMENT == 0
            end = slot.offset + slot.numel
        assert end <= plan.numel
