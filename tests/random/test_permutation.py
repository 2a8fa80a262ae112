from __future__ import annotations

import numpy as np
import pytest

from disttorch import random
from disttorch.dtype import dtype_by_name
from disttorch.random.permutation import shuffled, shuffled_inside_out


def swap_one_by_one(targets):
    """The shuffle as textbooks write it."""
    items = list(range(len(targets)))
    for i, target in enumerate(targets):
        items[i], items[target] = items[target], items[i]
    return items


def append_one_by_one(targets):
    """The inside-out shuffle as textbooks write it."""
    items = []
    for i, target in enumerate(targets):
        items.append(i)
        items[i] = items[target]
        items[target] = i
    return items


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 20, 400])
@pytest.mark.parametrize("seed", range(5))
def test_shuffles_without_a_loop(n, seed):
    numbers, steps = np.random.RandomState(seed), np.arange(n)
    ahead = steps + (numbers.rand(n) * (n - steps)).astype(int)
    behind = (numbers.rand(n) * (steps + 1)).astype(int)
    assert shuffled(ahead).tolist() == swap_one_by_one(ahead.tolist())
    assert shuffled_inside_out(behind).tolist() == append_one_by_one(behind.tolist())


@pytest.mark.parametrize(
    "expected", [[], [0], [0, 1], [4, 0, 1, 3, 2], [8, 0, 5, 9, 7, 4, 2, 10, 3, 1, 11, 6]]
)
def test_permutes_as_torch_does(expected):
    generator = random.Generator().manual_seed(0)
    assert random.permutation(len(expected), dtype_by_name("int64"), generator).tolist() == expected


@pytest.mark.parametrize("n", [40, 700])
def test_permutes_the_same_without_lapack(n, monkeypatch):
    kind, generators = dtype_by_name("int64"), [random.Generator().manual_seed(1) for _ in range(2)]
    first = random.permutation(n, kind, generators[0])
    assert sorted(first) == list(range(n))
    # By the globals of its module, whose name the function of the same name hides.
    monkeypatch.setitem(shuffled.__globals__, "swap_one_by_one", lambda values, places: False)
    assert np.array_equal(random.permutation(n, kind, generators[1]), first)
    assert np.array_equal(generators[0].words(2), generators[1].words(2))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("n", "kind"),
    [(1, "int64"), (7, "int32"), (100, "uint8"), (100, "float16"), (60_000, "int64")],
)
def test_equals_torch(n, kind, assert_same_place):
    torch = pytest.importorskip("torch", reason="torch not installed")
    ours, theirs = random.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    values = random.permutation(n, dtype_by_name(kind), ours)
    expected = torch.randperm(n, generator=theirs, dtype=getattr(torch, kind)).numpy()
    assert values.dtype == expected.dtype
    assert np.array_equal(values, expected)
    assert_same_place(ours, theirs)


@pytest.mark.parametrize(
    ("n", "kind", "error", "text"),
    [
        (-1, "int64", RuntimeError, "negative dimension -1: [-1]"),
        (3, "bool", NotImplementedError, "\"randperm\" not implemented for 'Bool'"),
    ],
)
def test_refuses_bad_arguments(n, kind, error, text):
    with pytest.raises(error) as caught:
        random.permutation(n, dtype_by_name(kind))
    assert text in str(caught.value)
