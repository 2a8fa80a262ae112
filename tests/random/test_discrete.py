from __future__ import annotations

import itertools

import numpy as np
import pytest

from disttorch import random
from disttorch.dtype import dtype_by_name

# fmt: off
# What torch 2.13 draws after manual_seed(0): method, dtype, length, arguments, values.
TORCH_DRAWS = [
    ("bernoulli", "float32", 8, (0.3,), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
    ("bernoulli", "bool", 8, (0.5,), [False, False, True, False, False, False, True, True]),
    ("geometric", "int64", 6, (0.2,), [1, 2, 4, 1, 2, 2]),
    ("random", "int64", 3, (), [900450186894289455, 3969543146641149120, 1895649597198586619]),
    ("random", "int32", 3, (), [209652396, 398764591, 924231285]),
    ("random", "uint8", 4, (), [172, 47, 117, 192]),
    ("random", "bool", 4, (), [False, True, True, False]),
    ("random", "float32", 3, (), [8325664.0, 12888472.0, 1484222.0]),
    ("random", "bfloat16", 3, (), [149.0, 179.0, 47.0]),
    ("random_range", "int64", 6, (0, 10), [4, 9, 3, 0, 3, 9]),
    ("random_range", "uint8", 6, (3, 7), [3, 6, 4, 3, 6, 6]),
    ("random_range", "float32", 4, (-5, 100), [69.0, 19.0, 93.0, 25.0]),
    ("random_range", "int64", 3, (0, 1 << 40), [741280623151, 506137267392, 291447657211]),
    ("random_range", "int64", 3, (-(1 << 63), None), [
        -8322921849960486353, -5253828890213626688, -7327722439656189189]),
    ("random_range", "int8", 4, (3, None), [47, 117, 61, 13]),
    ("random_range", "float16", 3, (0, 60000), [33824.0, 6960.0, 34048.0]),
]
# fmt: on
FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
LIVE = [
    *itertools.product(("bernoulli",), (*FLOATS, *INTEGERS, "bool"), (1, 40_000), [(0.3,)]),
    *itertools.product(("geometric",), (*FLOATS, *INTEGERS), (1000,), [(0.3,)]),
    *itertools.product(("random",), (*FLOATS, *INTEGERS, "bool"), (1000,), [()]),
    *itertools.product(("random_range",), (*FLOATS, *INTEGERS, "bool"), (1000,), [(0, 2)]),
    *itertools.product(("random_range",), (*FLOATS, "int64", "int32"), (1000,), [(-5, 100)]),
    *itertools.product(("random_range",), (*FLOATS, *INTEGERS), (1000,), [(3, None)]),
    *itertools.product(
        ("random_range",),
        ("int64", "float64"),
        (1000,),
        [(-(1 << 63), None), (0, 1 << 28), (0, (1 << 28) - 1), (-(1 << 50), 1 << 50)],
    ),
    ("random_range", "int64", 1000, (-(1 << 62), (1 << 63) - 1)),
    ("random_range", "int32", 1000, (-(1 << 31), (1 << 31) - 1)),
]


@pytest.mark.parametrize("row", TORCH_DRAWS, ids=lambda row: "-".join(map(str, row[:4])))
@pytest.mark.filterwarnings("ignore:to - 1 is out of bounds:UserWarning")
def test_draws_torchs_numbers(row, draw):
    *call, expected = row
    assert draw(*call)[0].tolist() == expected


@pytest.mark.parity
@pytest.mark.parametrize("call", LIVE, ids=lambda call: "-".join(map(str, call)))
def test_equals_torch(call, draw, torch_draw, assert_same_place):
    values, generator = draw(*call, seed=7)
    expected, their_generator = torch_draw(*call, seed=7)
    assert np.array_equal(values, expected)
    assert_same_place(generator, their_generator)


@pytest.mark.parametrize(
    ("weights", "n_samples", "replacement", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4], 2, False, [2, 1]),
        ([0.1, 0.2, 0.3, 0.4], 6, True, [3, 3, 2, 3, 3, 3]),
        ([[1, 2, 3], [4, 0, 0]], 3, True, [[2, 2, 1], [0, 0, 0]]),
    ],
)
def test_multinomial_draws_torchs_numbers(weights, n_samples, replacement, expected):
    generator = random.Generator().manual_seed(0)
    chosen = random.multinomial(np.array(weights, "f4"), n_samples, replacement, generator)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == expected


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(4,), (3, 5), (1000,)])
@pytest.mark.parametrize(
    ("n_samples", "replacement"), [(1, False), (1, True), (4, False), (4, True), (50, True)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_multinomial_equals_torch(shape, n_samples, replacement, dtype, assert_same_place):
    torch = pytest.importorskip("torch", reason="torch not installed")
    ours, theirs = random.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    weights = np.random.RandomState(1).rand(*shape).astype(dtype)
    chosen = random.multinomial(weights, n_samples, replacement, ours)
    expected = torch.multinomial(
        torch.from_numpy(weights), n_samples, replacement, generator=theirs
    )
    assert np.array_equal(chosen, expected.numpy())
    assert_same_place(ours, theirs)


def test_poisson_draws_torchs_numbers():
    rates = np.array([0.5, 3, 9.9, 10, 30, 1e4], "f4")
    counts = random.fill_poisson(np.empty(6, "f4"), rates, random.Generator().manual_seed(0))
    assert counts.tolist() == [2, 4, 10, 13, 33, 10007]


@pytest.mark.parity
@pytest.mark.parametrize("rate", [0.0, 0.5, 9.99, 10.0, 250.0])
def test_poisson_equals_torch(rate, assert_same_place):
    torch = pytest.importorskip("torch", reason="torch not installed")
    ours, theirs = random.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    counts = random.fill_poisson(np.empty(400), np.full(400, rate), ours)
    expected = torch.poisson(torch.full((400,), rate, dtype=torch.float64), generator=theirs)
    assert np.array_equal(counts, expected.numpy())
    assert_same_place(ours, theirs)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli_with_probabilities_equals_torch(dtype, assert_same_place):
    torch = pytest.importorskip("torch", reason="torch not installed")
    ours, theirs = random.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    p = torch.linspace(0, 1, 35).reshape(7, 5).to(getattr(torch, dtype))
    array = p.double().numpy().astype(dtype_by_name(dtype).np)
    values = random.fill_bernoulli_from(np.empty((7, 5), np.float32), array, ours)
    assert np.array_equal(values, torch.empty(7, 5).bernoulli_(p, generator=theirs).numpy())
    assert_same_place(ours, theirs)


def test_bernoulli_probabilities_broadcast():
    p = np.array([[0.0], [1.0]], np.float32)
    assert random.fill_bernoulli_from(np.empty((2, 3)), p).tolist() == [[0] * 3, [1] * 3]


ones = np.ones(2, "f4")


@pytest.mark.parametrize(
    ("name", "args", "error", "text"),
    [
        ("fill_bernoulli", (ones, 1.5), RuntimeError, "p to be in [0, 1], but got p=1.5"),
        ("fill_bernoulli_from", (ones, ones * 2), RuntimeError, "Expected p_in >= 0 && p_in <= 1"),
        ("fill_bernoulli_from", (ones, np.ones(2, int)), NotImplementedError, "for 'Long'"),
        ("fill_geometric", (ones, 1.5), RuntimeError, "p to be in (0, 1), but got p=1.5"),
        ("fill_poisson", (ones, -ones), RuntimeError, "expected rate to be non-negative"),
        ("fill_random", (np.ones(2, "u2"),), NotImplementedError, "for 'UInt16'"),
        ("fill_random_range", (ones, 5, 2), RuntimeError, "but got from=5 >= to=2"),
        ("fill_random_range", (np.ones(2, "i1"), 0, 1000), RuntimeError, "for signed char"),
        ("fill_random_range", (np.ones(2, "u1"), -3, 4), RuntimeError, "from is out of bounds"),
        ("fill_random_range", (np.ones(2, "f2"), 0, 70000), RuntimeError, "for c10::Half"),
        ("fill_random_range", (np.ones(2, "i1"), -(1 << 63), None), RuntimeError, "only int64"),
        (
            "multinomial",
            (np.ones(2, int), 1),
            RuntimeError,
            "floating-point dtypes for input, got: L",
        ),
        ("multinomial", (np.ones((1, 1, 1)), 1), RuntimeError, "prob_dist must be 1 or 2 dim"),
        ("multinomial", (ones, 0), RuntimeError, "cannot sample n_sample <= 0 samples"),
        ("multinomial", (ones, 3), RuntimeError, "cannot sample n_sample > prob_dist.size(-1)"),
        ("multinomial", (-ones, 1), RuntimeError, "contains either `inf`, `nan` or element < 0"),
        ("multinomial", (ones * np.inf, 1), RuntimeError, "contains either `inf`, `nan`"),
        ("multinomial", (ones * 0, 1), RuntimeError, "(sum of probabilities <= 0)"),
    ],
)
def test_refuses_bad_arguments(name, args, error, text):
    with pytest.raises(error) as caught:
        getattr(random, name)(*args)
    assert text in str(caught.value)


def test_warns_of_a_range_the_dtype_cannot_hold():
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^24\), 2\^24\]"):
        random.fill_random_range(np.empty(2, np.float32), 0, 1 << 26)
