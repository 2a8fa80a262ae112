from __future__ import annotations

import random

import numpy as np
import pytest
from ml_dtypes import bfloat16

import disttorch
from disttorch import printing

# fmt: off
# Name, array, print options, and what torch 2.13 prints.
TORCH_TEXTS = [
    ("floats", np.array([1.5, -2.25, 3.0], "f4"), {}, "tensor([ 1.5000, -2.2500,  3.0000])"),
    ("whole floats", np.array([1.0, -20.0, 3.0], "f4"), {}, "tensor([  1., -20.,   3.])"),
    ("sci by spread", np.array([1e-3, 2.0, 1000.5], "f4"), {},
     "tensor([1.0000e-03, 2.0000e+00, 1.0005e+03])"),
    ("sci by size", np.array([1.5e8, 2e8], "f4"), {}, "tensor([1.5000e+08, 2.0000e+08])"),
    ("sci by smallness", np.array([1e-5, 2e-5], "f4"), {}, "tensor([1.0000e-05, 2.0000e-05])"),
    ("sci whole", np.array([1.0, 123456.0], "f4"), {}, "tensor([1.0000e+00, 1.2346e+05])"),
    ("three-digit exponent", np.array([1e-300, 1e300], "f8"), {},
     "tensor([1.0000e-300, 1.0000e+300], dtype=torch.float64)"),
    ("nan and inf", np.array([1.5, np.nan, -np.inf, np.inf], "f4"), {},
     "tensor([1.5000,    nan,   -inf,    inf])"),
    ("whole nan inf", np.array([1.0, np.nan, -np.inf], "f4"), {}, "tensor([1., nan, -inf])"),
    ("sci nan", np.array([1e-9, np.nan, -np.inf, 0.0], "f4"), {},
     "tensor([1.0000e-09,        nan,       -inf, 0.0000e+00])"),
    ("only nan", np.array([np.nan, np.inf], "f4"), {}, "tensor([nan, inf])"),
    ("zeros", np.zeros((2, 3), "f4"), {},
     "tensor([[0., 0., 0.],\n"
     "        [0., 0., 0.]])"),
    ("negative zero", np.array([-0.0, 0.0], "f4"), {}, "tensor([-0., 0.])"),
    ("0-d float", np.array(3.14159265, "f4"), {}, "tensor(3.1416)"),
    ("0-d whole", np.array(3.0, "f4"), {}, "tensor(3.)"),
    ("0-d int", np.array(7), {}, "tensor(7)"),
    ("0-d bool", np.array(True), {}, "tensor(True)"),
    ("0-d complex", np.array(1.5 - 2j, "c8"), {}, "tensor(1.5000-2.j)"),
    ("ints", np.array([[1, -20], [300, 4]]), {},
     "tensor([[  1, -20],\n"
     "        [300,   4]])"),
    ("int32", np.array([1, 2], "i4"), {}, "tensor([1, 2], dtype=torch.int32)"),
    ("uint8", np.array([1, 255], "u1"), {}, "tensor([  1, 255], dtype=torch.uint8)"),
    ("bools", np.array([[True, False], [False, True]]), {},
     "tensor([[ True, False],\n"
     "        [False,  True]])"),
    ("double", np.array([1.0, 2.5], "f8"), {}, "tensor([1.0000, 2.5000], dtype=torch.float64)"),
    ("half", np.array([0.1, 65504.0], "f2"), {},
     "tensor([9.9976e-02, 6.5504e+04], dtype=torch.float16)"),
    ("bfloat16", np.array([0.1, 2.0]).astype(bfloat16), {},
     "tensor([0.1001, 2.0000], dtype=torch.bfloat16)"),
    ("complex64", np.array([1 + 2j, -3.5 - 0.25j, 0j], "c8"), {},
     "tensor([ 1.0000+2.0000j, -3.5000-0.2500j,  0.0000+0.0000j])"),
    ("complex128", np.array([1e-6 + 2j, 1j], "c16"), {},
     "tensor([1.0000e-06+2.j, 0.0000e+00+1.j], dtype=torch.complex128)"),
    ("complex nan", np.array([complex(np.nan, np.inf), 1j], "c8"), {},
     "tensor([nan+infj, 0.+1.j])"),
    ("empty", np.zeros(0, "f4"), {}, "tensor([])"),
    ("empty int", np.zeros(0, "i8"), {}, "tensor([], dtype=torch.int64)"),
    ("empty 2-d", np.zeros((2, 0), "f4"), {}, "tensor([], size=(2, 0))"),
    ("empty double 3-d", np.zeros((0, 3, 4), "f8"), {},
     "tensor([], size=(0, 3, 4), dtype=torch.float64)"),
    ("3-d", np.arange(12).reshape(2, 3, 2), {},
     "tensor([[[ 0,  1],\n"
     "         [ 2,  3],\n"
     "         [ 4,  5]],\n"
     "\n"
     "        [[ 6,  7],\n"
     "         [ 8,  9],\n"
     "         [10, 11]]])"),
    ("4-d", np.arange(8.0, dtype="f4").reshape(2, 2, 1, 2) / 4, {},
     "tensor([[[[0.0000, 0.2500]],\n"
     "\n"
     "         [[0.5000, 0.7500]]],\n"
     "\n"
     "\n"
     "        [[[1.0000, 1.2500]],\n"
     "\n"
     "         [[1.5000, 1.7500]]]])"),
    ("wrapped row", np.arange(30), {},
     "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
     "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"),
    ("wrapped floats", np.arange(25, dtype="f4") / 8, {},
     "tensor([0.0000, 0.1250, 0.2500, 0.3750, 0.5000, 0.6250, 0.7500, 0.8750, 1.0000,\n"
     "        1.1250, 1.2500, 1.3750, 1.5000, 1.6250, 1.7500, 1.8750, 2.0000, 2.1250,\n"
     "        2.2500, 2.3750, 2.5000, 2.6250, 2.7500, 2.8750, 3.0000])"),
    ("wrapped complex", np.arange(9).astype("c8") * (1 - 0.5j), {},
     "tensor([0.+0.0000j, 1.-0.5000j, 2.-1.0000j, 3.-1.5000j, 4.-2.0000j, 5.-2.5000j,\n"
     "        6.-3.0000j, 7.-3.5000j, 8.-4.0000j])"),
    ("summary 1-d", np.arange(1001), {}, "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    ("not yet summary", np.arange(1000).reshape(2, 500)[:, :5], {},
     "tensor([[  0,   1,   2,   3,   4],\n"
     "        [500, 501, 502, 503, 504]])"),
    ("summary 2-d", np.arange(10000, dtype="f4").reshape(100, 100), {},
     "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.7000e+01, 9.8000e+01,\n"
     "         9.9000e+01],\n"
     "        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.9700e+02, 1.9800e+02,\n"
     "         1.9900e+02],\n"
     "        [2.0000e+02, 2.0100e+02, 2.0200e+02,  ..., 2.9700e+02, 2.9800e+02,\n"
     "         2.9900e+02],\n"
     "        ...,\n"
     "        [9.7000e+03, 9.7010e+03, 9.7020e+03,  ..., 9.7970e+03, 9.7980e+03,\n"
     "         9.7990e+03],\n"
     "        [9.8000e+03, 9.8010e+03, 9.8020e+03,  ..., 9.8970e+03, 9.8980e+03,\n"
     "         9.8990e+03],\n"
     "        [9.9000e+03, 9.9010e+03, 9.9020e+03,  ..., 9.9970e+03, 9.9980e+03,\n"
     "         9.9990e+03]])"),
    ("summary one long side", np.arange(2000, dtype="f4").reshape(2, 1000) / 7, {},
     "tensor([[0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 1.4243e+02, 1.4257e+02,\n"
     "         1.4271e+02],\n"
     "        [1.4286e+02, 1.4300e+02, 1.4314e+02,  ..., 2.8529e+02, 2.8543e+02,\n"
     "         2.8557e+02]])"),
    ("summary 3-d", np.arange(8000).reshape(20, 20, 20), {},
     "tensor([[[   0,    1,    2,  ...,   17,   18,   19],\n"
     "         [  20,   21,   22,  ...,   37,   38,   39],\n"
     "         [  40,   41,   42,  ...,   57,   58,   59],\n"
     "         ...,\n"
     "         [ 340,  341,  342,  ...,  357,  358,  359],\n"
     "         [ 360,  361,  362,  ...,  377,  378,  379],\n"
     "         [ 380,  381,  382,  ...,  397,  398,  399]],\n"
     "\n"
     "        [[ 400,  401,  402,  ...,  417,  418,  419],\n"
     "         [ 420,  421,  422,  ...,  437,  438,  439],\n"
     "         [ 440,  441,  442,  ...,  457,  458,  459],\n"
     "         ...,\n"
     "         [ 740,  741,  742,  ...,  757,  758,  759],\n"
     "         [ 760,  761,  762,  ...,  777,  778,  779],\n"
     "         [ 780,  781,  782,  ...,  797,  798,  799]],\n"
     "\n"
     "        [[ 800,  801,  802,  ...,  817,  818,  819],\n"
     "         [ 820,  821,  822,  ...,  837,  838,  839],\n"
     "         [ 840,  841,  842,  ...,  857,  858,  859],\n"
     "         ...,\n"
     "         [1140, 1141, 1142,  ..., 1157, 1158, 1159],\n"
     "         [1160, 1161, 1162,  ..., 1177, 1178, 1179],\n"
     "         [1180, 1181, 1182,  ..., 1197, 1198, 1199]],\n"
     "\n"
     "        ...,\n"
     "\n"
     "        [[6800, 6801, 6802,  ..., 6817, 6818, 6819],\n"
     "         [6820, 6821, 6822,  ..., 6837, 6838, 6839],\n"
     "         [6840, 6841, 6842,  ..., 6857, 6858, 6859],\n"
     "         ...,\n"
     "         [7140, 7141, 7142,  ..., 7157, 7158, 7159],\n"
     "         [7160, 7161, 7162,  ..., 7177, 7178, 7179],\n"
     "         [7180, 7181, 7182,  ..., 7197, 7198, 7199]],\n"
     "\n"
     "        [[7200, 7201, 7202,  ..., 7217, 7218, 7219],\n"
     "         [7220, 7221, 7222,  ..., 7237, 7238, 7239],\n"
     "         [7240, 7241, 7242,  ..., 7257, 7258, 7259],\n"
     "         ...,\n"
     "         [7540, 7541, 7542,  ..., 7557, 7558, 7559],\n"
     "         [7560, 7561, 7562,  ..., 7577, 7578, 7579],\n"
     "         [7580, 7581, 7582,  ..., 7597, 7598, 7599]],\n"
     "\n"
     "        [[7600, 7601, 7602,  ..., 7617, 7618, 7619],\n"
     "         [7620, 7621, 7622,  ..., 7637, 7638, 7639],\n"
     "         [7640, 7641, 7642,  ..., 7657, 7658, 7659],\n"
     "         ...,\n"
     "         [7940, 7941, 7942,  ..., 7957, 7958, 7959],\n"
     "         [7960, 7961, 7962,  ..., 7977, 7978, 7979],\n"
     "         [7980, 7981, 7982,  ..., 7997, 7998, 7999]]])"),
    ("summary of six", np.arange(1200).reshape(200, 6), {},
     "tensor([[   0,    1,    2,    3,    4,    5],\n"
     "        [   6,    7,    8,    9,   10,   11],\n"
     "        [  12,   13,   14,   15,   16,   17],\n"
     "        ...,\n"
     "        [1182, 1183, 1184, 1185, 1186, 1187],\n"
     "        [1188, 1189, 1190, 1191, 1192, 1193],\n"
     "        [1194, 1195, 1196, 1197, 1198, 1199]])"),
    ("precision 2", np.array([1.23456, 2.0], "f4"), {"precision": 2}, "tensor([1.23, 2.00])"),
    ("precision 10", np.array([1.23456, 2.0], "f8"), {"precision": 10},
     "tensor([1.2345600000, 2.0000000000], dtype=torch.float64)"),
    ("precision 0", np.array([1.6, 2.0], "f4"), {"precision": 0}, "tensor([2, 2])"),
    ("threshold 5", np.arange(10), {"threshold": 5}, "tensor([0, 1, 2,  ..., 7, 8, 9])"),
    ("edge items 1", np.arange(10), {"threshold": 5, "edgeitems": 1}, "tensor([0,  ..., 9])"),
    ("edge items 0", np.arange(10), {"threshold": 5, "edgeitems": 0}, "tensor([...], size=(10,))"),
    ("edge items 0 2-d", np.arange(10).reshape(2, 5), {"threshold": 5, "edgeitems": 0},
     "tensor([...], size=(2, 5))"),
    ("edge items 0 small", np.arange(3), {"edgeitems": 0}, "tensor([0, 1, 2], size=(3,))"),
    ("line width 20", np.arange(12), {"linewidth": 20},
     "tensor([ 0,  1,  2,\n"
     "         3,  4,  5,\n"
     "         6,  7,  8,\n"
     "         9, 10, 11])"),
    ("line width 1", np.arange(3), {"linewidth": 1},
     "tensor([0,\n"
     "        1,\n"
     "        2])"),
    ("sci on", np.array([1.5, 2.0], "f4"), {"sci_mode": True}, "tensor([1.5000e+00, 2.0000e+00])"),
    ("sci on whole", np.array([1.0, 20.0, np.inf], "f4"), {"sci_mode": True},
     "tensor([1.0000e+00, 2.0000e+01,        inf])"),
    ("sci off", np.array([1e-9, 1e9], "f4"), {"sci_mode": False},
     "tensor([         0.0000, 1000000000.0000])"),
    ("profile short", np.arange(2000, dtype="f4") / 3, {"profile": "short"},
     "tensor([0.00e+00, 3.33e-01,  ..., 6.66e+02, 6.66e+02])"),
    ("profile and precision", np.array([1.23456], "f4"), {"profile": "short", "precision": 3},
     "tensor([1.235])"),
]
# fmt: on


@pytest.fixture(autouse=True)
def default_options():
    with printing.printoptions():
        printing.set_printoptions(profile="default")
        yield


@pytest.mark.parametrize("row", TORCH_TEXTS, ids=lambda row: row[0])
def test_prints_as_torch_does(row):
    _, array, options, expected = row
    with printing.printoptions(**options):
        assert printing.tensor_text(array) == expected


LONG = np.arange(10, dtype="f4") * 100000.5


@pytest.mark.parametrize(
    ("array", "facts", "expected"),
    [
        (np.ones(2, "f4"), {"requires_grad": True}, "tensor([1., 1.], requires_grad=True)"),
        (
            np.ones(2, "f4"),
            {"requires_grad": True, "grad_fn_name": "MulBackward0"},
            "tensor([1., 1.], grad_fn=<MulBackward0>)",
        ),
        (
            np.ones(2, "i4"),
            {"device": "cuda:0"},
            "tensor([1, 1], device='cuda:0', dtype=torch.int32)",
        ),
        (np.ones((2, 1), "f4"), {"device": "meta"}, "tensor(..., device='meta', size=(2, 1))"),
        (
            np.ones(2, "f8"),
            {"name": "Masked", "grad_fn_name": "ViewBackward0"},
            "Masked([1., 1.], dtype=torch.float64, grad_fn=<ViewBackward0>)",
        ),
        (
            LONG[:7],
            {"grad_fn_name": "MulBackward0"},
            "tensor([     0.0000, 100000.5000, 200001.0000, 300001.5000, 400002.0000,\n"
            "        500002.5000, 600003.0000], grad_fn=<MulBackward0>)",
        ),
        (
            LONG[:5].astype("f8"),
            {"grad_fn_name": "MulBackward0"},
            "tensor([     0.0000, 100000.5000, 200001.0000, 300001.5000, 400002.0000],\n"
            "       dtype=torch.float64, grad_fn=<MulBackward0>)",
        ),
    ],
)
def test_says_where_a_tensor_comes_from(array, facts, expected):
    assert printing.tensor_text(array, **facts) == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.ones(1, "f8"), "tensor([1.])"),
        (np.ones(1, "f4"), "tensor([1.], dtype=torch.float32)"),
        (np.ones(1, "c16"), "tensor([1.+0.j])"),
        (np.ones(1, "c8"), "tensor([1.+0.j], dtype=torch.complex64)"),
        (np.ones(1, "i8"), "tensor([1])"),
    ],
)
def test_names_the_dtype_unless_it_is_the_default(array, expected):
    disttorch.set_default_dtype(disttorch.float64)
    try:
        assert printing.tensor_text(array) == expected
    finally:
        disttorch.set_default_dtype(disttorch.float32)


def test_copies_only_what_it_shows_to_the_host():
    copied = []

    def to_host(array):
        copied.append(array.size)
        return array

    printing.tensor_text(np.zeros((5000, 5000), np.int8), to_host=to_host)
    assert copied == [36]


def test_options():
    assert printing.get_printoptions() == {
        **{"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
    }
    printing.set_printoptions(sci_mode=True, precision=1)
    printing.set_printoptions(linewidth=70)
    options = printing.get_printoptions()
    assert (options["sci_mode"], options["precision"], options["linewidth"]) == (None, 1, 70)
    with printing.printoptions(profile="full"):
        assert printing.tensor_text(np.arange(2000)).count(",") == 1999
    assert printing.get_printoptions() == options


def random_array(numbers):
    """One of many shapes, dtypes and magnitudes, with the odd nan, inf and zero."""
    shape = [numbers.choice([0, 1, 2, 3, 7, 8, 40]) for _ in range(numbers.randrange(4))]
    draw = np.random.RandomState(numbers.randrange(1 << 30))
    kind = numbers.choice(["f4", "f8", "f2", "c8", "c16", "i8", "i4", "u1", "?"])
    values = draw.randn(*shape) * 10.0 ** numbers.randrange(-6, 12)
    if numbers.random() < 0.3:
        values = np.round(values)
    if kind[0] in "fc":
        for special in (np.nan, np.inf, -np.inf, 0.0):
            values = np.where(draw.rand(*shape) < 0.05, special, values)
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.asarray(values).astype(kind)
        return np.asarray(array * np.asarray(1 - 0.3j, kind)) if kind[0] == "c" else array


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(150))
def test_prints_random_arrays_as_torch_does(seed):
    torch = pytest.importorskip("torch", reason="torch not installed")
    numbers = random.Random(seed)
    array = random_array(numbers)
    options = {
        "precision": numbers.choice([0, 2, 4, 8]),
        "threshold": numbers.choice([5, 100, 1000]),
        "edgeitems": numbers.choice([1, 2, 3]),
        "linewidth": numbers.choice([20, 80, 120]),
        "sci_mode": numbers.choice([None, None, None, True, False]),
    }
    with printing.printoptions(**options), torch._tensor_str.printoptions(**options):
        assert printing.tensor_text(array) == repr(torch.from_numpy(array.copy()))


def test_tensors_print_themselves():
    x = disttorch.tensor([1.0, 2.5], requires_grad=True)
    assert repr(x) == "tensor([1.0000, 2.5000], requires_grad=True)"
    assert str(x.detach()) == "tensor([1.0000, 2.5000])"
    assert repr(x * 2) == "tensor([2., 5.], grad_fn=<MulBackward0>)"
