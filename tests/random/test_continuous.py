from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from disttorch import random

# fmt: off
# What torch 2.13 draws after manual_seed(0): method, dtype, length, arguments, values.
TORCH_DRAWS = [
    ("uniform", "float32", 6, (), [
        0.49625659, 0.768221796, 0.0884774327, 0.132030487, 0.307422817, 0.634078681]),
    ("uniform", "float64", 4, (), [0.970053002, 0.707819864, 0.459382943, 0.920747684]),
    ("uniform", "float16", 4, (), [0.496337891, 0.768066406, 0.0885009766, 0.132080078]),
    ("uniform", "bfloat16", 4, (), [0.49609375, 0.76953125, 0.0883789062, 0.131835938]),
    ("uniform", "float32", 4, (-0.3, 0.7), [
        0.196256578, 0.468221784, -0.211522579, -0.167969525]),
    ("uniform", "bfloat16", 4, (-0.3, 0.7), [0.196289062, 0.46875, -0.211914062, -0.16796875]),
    ("uniform", "complex64", 2, (), [(0.49625659+0.768221796j), (0.0884774327+0.132030487j)]),
    ("normal", "float32", 5, (), [
        1.54099607, -0.293428898, -2.17878938, 0.568431258, -1.08452237]),
    ("normal", "float32", 18, (), [
        -1.12583983, -1.1523602, 0.566650629, 0.793508351, 0.598839462, -1.55509508,
        -0.34136039, 1.85300612, 0.468096405, -0.157712445, -0.173396751, 0.183477938,
        1.38936615, 1.58633423, 0.946298361, -0.843676746, 0.931826591, 1.25900924]),
    ("normal", "float64", 18, (), [
        -2.3104118, -0.373250861, -1.26092466, -0.726951062, -0.0199647509, 0.21029989,
        0.177189351, -0.830510051, 0.238718058, 0.733528369, -0.773011277, -1.59518149,
        -0.687003694, 1.48807432, -0.448415805, -0.891003035, 0.674857544, 1.04686538]),
    ("normal", "bfloat16", 18, (), [
        -1.125, -1.15625, -1.3515625, -1.6953125, 0.56640625, 0.79296875, 0.59765625,
        -1.5546875, -0.341796875, 1.8515625, 0.75, -0.5859375, -0.173828125, 0.18359375,
        1.390625, 1.5859375, 0.9453125, -0.84375]),
    ("normal", "float32", 16, (1.5, 0.02), [
        1.47748315, 1.47695279, 1.49498844, 1.4913224, 1.51697421, 1.5138402, 1.49367976,
        1.4576956, 1.50644553, 1.47473335, 1.50699961, 1.50616264, 1.50239682, 1.52475321,
        1.52233553, 1.49505448]),
    ("normal", "complex64", 2, (), [(1.08964884-0.207485572j), (-1.54063678+0.401941597j)]),
    ("log_normal", "float32", 3, (1.0, 0.5), [5.87377787, 2.34734654, 0.91448456]),
    ("exponential", "float32", 4, (2.5,), [1.40333045, 0.492153913, 0.246017635, 1.0140475]),
    ("cauchy", "float64", 3, (1.0, 2.0), [22.1954587, 2.52953452, 0.743401316]),
]
# fmt: on
FLOATS = ("float32", "float64", "float16", "bfloat16")
LIVE = [
    *itertools.product(("normal",), FLOATS, (1, 3, 15, 16, 17, 31, 40, 40_000), [(), (1.5, 0.02)]),
    *itertools.product(("uniform",), FLOATS, (1, 5, 40_000), [(), (-0.3, 0.7)]),
    *itertools.product(("exponential",), FLOATS, (5, 40_000), [(), (2.5,)]),
    *itertools.product(("cauchy", "log_normal"), FLOATS, (5, 1000), [(1.0, 0.5)]),
    *itertools.product(("normal", "uniform"), ("complex64", "complex128"), (3, 8, 100), [()]),
]
RTOL = {"float64": 1e-12, "complex128": 1e-12, "float16": 1e-3, "bfloat16": 8e-3}


@pytest.mark.parametrize("row", TORCH_DRAWS, ids=lambda row: "-".join(map(str, row[:4])))
def test_draws_torchs_numbers(row, draw):
    *call, expected = row
    values, _ = draw(*call)
    np.testing.assert_allclose(values, expected, rtol=RTOL.get(call[1], 1e-6) + 2e-8, atol=1e-7)


@pytest.mark.parity
@pytest.mark.parametrize("call", LIVE, ids=lambda call: "-".join(map(str, call)))
def test_equals_torch(call, draw, torch_draw, assert_same_place):
    values, generator = draw(*call, seed=7)
    expected, their_generator = torch_draw(*call, seed=7)
    np.testing.assert_allclose(values, expected, rtol=RTOL.get(call[1], 1e-5), atol=5e-7)
    assert_same_place(generator, their_generator)


def test_small_normals_keep_the_second_half_of_a_pair():
    one_by_one, at_once = (random.Generator().manual_seed(3) for _ in range(2))
    singles = [random.fill_normal(np.empty(1), generator=one_by_one)[0] for _ in range(5)]
    assert singles == random.fill_normal(np.empty(5), generator=at_once).tolist()


@pytest.mark.parametrize(
    ("name", "dtype", "args", "error", "text"),
    [
        ("uniform", "f4", (2, 1), RuntimeError, "found from=2 > to=1"),
        ("uniform", "f4", (0, 1e39), RuntimeError, "to is out of bounds for float"),
        ("uniform", "f4", (-3e38, 3e38), RuntimeError, "numeric_limits<Float>::max(), but found"),
        ("uniform", "i4", (), NotImplementedError, "not implemented for 'Int'"),
        ("normal", "f4", (0, -1), RuntimeError, "normal expects std >= 0.0, but found std -1"),
        ("normal", "f4", (0, math.nan), RuntimeError, "normal expects std >= 0.0"),
        ("normal", "i8", (), NotImplementedError, "not implemented for 'Long'"),
        ("log_normal", "f4", (0, 0), RuntimeError, "expects std > 0.0, but found std=0"),
        ("exponential", "f4", (-1,), RuntimeError, "expects lambda > 0.0, but found lambda=-1"),
        ("exponential", "i4", (), RuntimeError, "dtype must be a floating point but you"),
        ("cauchy", "f4", (0, -1), RuntimeError, "expects sigma > 0.0, but found sigma=-1"),
    ],
)
def test_refuses_bad_arguments(name, dtype, args, error, text):
    with pytest.raises(error) as caught:
        getattr(random, f"fill_{name}")(np.empty(3, dtype), *args)
    assert text in str(caught.value)


def test_empty_arrays_draw_nothing():
    generator = random.Generator().manual_seed(1)
    before = np.array(generator.get_state())
    for fill in (random.fill_uniform, random.fill_normal, random.fill_exponential):
        assert fill(np.empty((3, 0), np.float32), generator=generator).shape == (3, 0)
    assert np.array_equal(before, generator.get_state())
