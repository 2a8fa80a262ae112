"""What a group's number of ranks is beside an int."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from disttorch.comm.member import Count


@pytest.mark.parametrize("dtype", np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "D?")
def test_arithmetic_with_a_count_keeps_the_dtype_of_arrays(dtype: str) -> None:
    n, array = Count(3), np.ones(4, dtype)
    for ufunc in (np.add, np.multiply, np.true_divide, np.maximum):
        for given in (array, array[0]):
            assert ufunc(given, n).dtype == ufunc(given, 3).dtype
            assert ufunc(n, given).dtype == ufunc(3, given).dtype
    assert (array * n).dtype == (array * 3).dtype
    assert (array[0] / n).dtype == (array[0] / 3).dtype
    if np.dtype(dtype).kind in "iu":
        array //= n
        assert array.tolist() == [0] * 4


def test_a_count_is_a_plain_int_to_all_else() -> None:
    n = Count(3)
    assert n() == n == 3 and type(n()) is int
    assert (json.dumps(n), repr(n), f"{n:02d}") == ("3", "3", "03")
    assert pickle.loads(pickle.dumps(n))() == copy.deepcopy(n)() == 3
    with pytest.raises(OverflowError):
        np.ones(1, np.int8) * Count(300)
