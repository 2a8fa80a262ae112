"""nn.functional against PyTorch over random shapes and settings: values, gradients, errors."""

import random
import warnings

import numpy as np
import pytest

import disttorch
from disttorch.nn import functional as F

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

N_CALLS = 12


class Draw(random.Random):
    """Random arguments."""

    def sizes(self, n, high=7):
        return tuple(self.randint(1, high) for _ in range(n))

    def array(self, *shape):
        return np.asarray(np.random.RandomState(self.randint(0, 1 << 30)).randn(*shape))

    def maybe(self, *shape):
        return self.choice([None, self.array(*shape)])


def pooling(draw, n):
    shape = (*draw.sizes(draw.choice([1, 2, 2]), 3), *draw.sizes(n, 8))
    kernel = draw.sizes(n, 3)
    return [draw.array(*shape)], {
        "kernel_size": kernel,
        "stride": draw.choice([None, draw.sizes(n, 3)]),
        "padding": tuple(draw.randint(0, k // 2) for k in kernel),
        "ceil_mode": draw.choice([False, True]),
    }


def max_pool(draw, n):
    args, kwargs = pooling(draw, n)
    return args, {**kwargs, "return_indices": draw.choice([False, True])}


def avg_pool(draw, n):
    args, kwargs = pooling(draw, n)
    return args, {**kwargs, "count_include_pad": draw.choice([False, True])}


def adaptive(draw, n):
    image = (*draw.sizes(2, 3), *draw.sizes(n, 8))
    return [draw.array(*image)], {"output_size": draw.sizes(n, 5)}


def conv(draw, n):
    groups, (i, o) = draw.choice([1, 1, 2, 3]), draw.sizes(2, 3)
    x = draw.array(*draw.sizes(draw.choice([0, 1, 1]), 3), i * groups, *draw.sizes(n, 9))
    w = draw.array(o * groups, i, *draw.sizes(n, 3))
    padding = draw.choice(["valid", "same", tuple(draw.randint(0, 2) for _ in range(n))])
    stride = 1 if padding == "same" else draw.sizes(n, 3)
    kwargs = {"stride": stride, "padding": padding, "dilation": draw.randint(1, 2)}
    return [x, w, draw.maybe(o * groups)], {**kwargs, "groups": groups}


def conv_transpose(draw, n):
    groups, (i, o) = draw.choice([1, 1, 2]), draw.sizes(2, 3)
    x = draw.array(*draw.sizes(draw.choice([0, 1, 1]), 3), i * groups, *draw.sizes(n, 6))
    w = draw.array(i * groups, o, *draw.sizes(n, 3))
    kwargs = {name: draw.randint(0, 1) for name in ("padding", "output_padding")}
    kwargs |= {name: draw.randint(1, 2) for name in ("stride", "dilation")}
    return [x, w, draw.maybe(o * groups)], {**kwargs, "groups": groups}


def batch_norm(draw, _):
    shape = (draw.randint(2, 4), *draw.sizes(draw.randint(1, 3), 4))
    c = shape[1]
    args = [draw.array(*shape) + 3, None, None, draw.maybe(c), draw.maybe(c)]
    return args, {"training": True, "eps": 1e-3}


def layer_norm(draw, _):
    shape = (*draw.sizes(2, 3), draw.randint(2, 4))
    normalised = shape[draw.randint(0, 2) :]
    return [draw.array(*shape), normalised, draw.maybe(*normalised), draw.maybe(*normalised)], {}


def group_norm(draw, _):
    groups, each = draw.sizes(2, 3)
    c = groups * each
    w = draw.maybe(c)
    shape = (draw.randint(1, 3), c, *draw.sizes(2, 4))
    return [draw.array(*shape), groups, w, w], {}


def softmax(draw, _):
    shape = draw.sizes(draw.randint(1, 3), 4)
    return [draw.array(*shape), draw.randrange(-len(shape), len(shape))], {}


def classes(draw, _):
    n, c = draw.randint(1, 4), draw.randint(2, 5)
    image = draw.sizes(draw.choice([0, 0, 1, 2]), 3)
    target = np.array([draw.randrange(c) for _ in range(n * int(np.prod(image)))])
    target = target.reshape(n, *image)
    ignored = draw.choice([-100, 0])
    kwargs = {"ignore_index": ignored, "reduction": draw.choice(["none", "mean", "sum"])}
    return [draw.array(n, c, *image), target], kwargs


def smoothed(draw, _):
    args, kwargs = classes(draw, _)
    return args, {**kwargs, "label_smoothing": draw.choice([0.0, 0.1, 1.0])}


def pairs(draw, _):
    shape = draw.sizes(draw.randint(0, 3), 4)
    kwargs = {"reduction": draw.choice(["none", "mean", "sum"])}
    return [draw.array(*shape), draw.array(*shape)], kwargs


def padding(draw, n):
    mode = draw.choice(["reflect", "replicate", "circular"])
    return [draw.array(2, 2, *draw.sizes(n, 5)), [draw.randint(0, 3) for _ in range(2 * n)]], {
        "mode": mode
    }


def constant_padding(draw, _):
    shape = draw.sizes(draw.randint(1, 4), 4)
    pads = [draw.randint(-1, 3) for _ in range(2 * draw.randint(1, len(shape)))]
    return [draw.array(*shape), pads], {"value": draw.choice([None, 1.5])}


def resizing(draw, n):
    size = {"size": draw.sizes(n, 8)}
    scale = {"scale_factor": draw.choice([2, 1.5, 3.0])}
    mode = draw.choice(
        ["nearest", "nearest-exact", "area", ("linear", "bilinear", "trilinear")[n - 1]]
    )
    kwargs = {**draw.choice([size, scale]), "mode": mode}
    if mode.endswith("linear"):
        kwargs["align_corners"] = draw.choice([False, True])
    return [draw.array(2, 1, *draw.sizes(n, 5))], kwargs


def dropping(draw, _):
    p = draw.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    return [draw.array(*draw.sizes(draw.randint(2, 3), 5))], {"p": p, "training": True}


def vectors(draw, _):
    return [draw.array(3, 4), draw.array(3, 4)], {}


CALLS = (
    *((f"max_pool{n}d", max_pool, n) for n in (1, 2, 3)),
    *((f"avg_pool{n}d", avg_pool, n) for n in (1, 2, 3)),
    *((f"adaptive_avg_pool{n}d", adaptive, n) for n in (1, 2, 3)),
    *((f"adaptive_max_pool{n}d", adaptive, n) for n in (1, 2, 3)),
    *((f"conv{n}d", conv, n) for n in (1, 2, 3)),
    *((f"conv_transpose{n}d", conv_transpose, n) for n in (1, 2, 3)),
    *(("batch_norm", batch_norm, 0), ("layer_norm", layer_norm, 0), ("group_norm", group_norm, 0)),
    *(("softmax", softmax, 0), ("log_softmax", softmax, 0), ("softmin", softmax, 0)),
    *(("nll_loss", classes, 0), ("cross_entropy", smoothed, 0)),
    *((name, pairs, 0) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")),
    *(("pad", padding, n) for n in (1, 2, 3)),
    ("pad", constant_padding, 0),
    *(("interpolate", resizing, n) for n in (1, 2, 3)),
    *((name, dropping, 0) for name in ("dropout", "alpha_dropout", "feature_alpha_dropout")),
    *(("cosine_similarity", vectors, 0), ("pairwise_distance", vectors, 0)),
)


def leaf(make, value):
    if not isinstance(value, np.ndarray):
        return value
    tensor = make(value.copy())
    return tensor.requires_grad_() if value.dtype.kind == "f" else tensor


def outcome(library, functional, make, name, args, kwargs):
    """Outputs and gradients as ndarrays, or the error's type and text."""
    operands = [leaf(make, a) for a in args]
    library.manual_seed(1)
    try:
        result = getattr(functional, name)(*operands, **kwargs)
    except (RuntimeError, ValueError, IndexError, NotImplementedError) as error:
        return type(error), str(error)
    outputs = result if isinstance(result, tuple) else (result,)
    if outputs[0].requires_grad:
        slope = np.random.RandomState(0).randn(*outputs[0].shape)
        outputs[0].backward(make(np.asarray(slope)))
    grads = [getattr(t, "grad", None) for t in operands]
    return [None if t is None else t.detach().numpy() for t in (*outputs, *grads)]


@pytest.mark.parametrize(("name", "arguments", "n"), CALLS)
def test_equal_to_pytorch(name, arguments, n):
    draw = Draw(f"{name}{n}")
    for _ in range(N_CALLS):
        args, kwargs = arguments(draw, n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = outcome(torch, torch.nn.functional, torch.from_numpy, name, args, kwargs)
        found = outcome(disttorch, F, disttorch.from_numpy, name, args, kwargs)
        shapes = [getattr(a, "shape", a) for a in args]
        if isinstance(wanted, tuple):
            assert found == wanted, (shapes, kwargs)
            continue
        assert not isinstance(found, tuple), (shapes, kwargs, found)
        for a, b in zip(found, wanted, strict=True):
            assert (a is None) == (b is None), (shapes, kwargs)
            if b is not None:
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, 1e-9, 1e-9, err_msg=f"{shapes} {kwargs}")
