"""Mixed precision against PyTorch on the CPU: dtype and value of every operator on its lists."""

import threading
import warnings

import numpy as np
import pytest

import disttorch
from disttorch import cpu, cuda
from disttorch.ops.matmul import MatMul
from tests.parity import optim_db

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

SQUARE = (4, 4)
# name: what is computed of a square matrix, three vectors' worth of others made from it
CALLS = {
    "matmul": lambda t, F, a, v: a @ a,
    "matmul vector": lambda t, F, a, v: t.matmul(a, v),
    "mm": lambda t, F, a, v: t.mm(a, a),
    "bmm": lambda t, F, a, v: t.bmm(a[None], a[None]),
    "mv": lambda t, F, a, v: t.mv(a, v),
    "dot": lambda t, F, a, v: t.dot(v, v),
    "method": lambda t, F, a, v: a.mm(a),
    "addmm": lambda t, F, a, v: t.addmm(a, a, a, beta=0.5),
    "addmm method": lambda t, F, a, v: a.addmm(a, a),
    "baddbmm": lambda t, F, a, v: t.baddbmm(a[None], a[None], a[None]),
    "addbmm": lambda t, F, a, v: t.addbmm(a, a[None], a[None]),
    "addmv": lambda t, F, a, v: t.addmv(v, a, v),
    "outer": lambda t, F, a, v: t.outer(v, v),
    "einsum": lambda t, F, a, v: t.einsum("ij,jk->ik", a, a),
    "linear": lambda t, F, a, v: F.linear(a, a, v),
    "conv1d": lambda t, F, a, v: F.conv1d(a[None], a[:, :, None], v),
    "conv2d": lambda t, F, a, v: F.conv2d(a[None, None], a[:2, :2][None, None]),
    "conv_transpose1d": lambda t, F, a, v: F.conv_transpose1d(a[None], a[:, :, None]),
    "prelu": lambda t, F, a, v: F.prelu(a, v[:1]),
    "attention": lambda t, F, a, v: F.scaled_dot_product_attention(a[None], a[None], a[None]),
    "add": lambda t, F, a, v: a + a.bfloat16(),
    "relu": lambda t, F, a, v: F.relu(a),
    "softmax": lambda t, F, a, v: F.softmax(a, -1),
    "softmax narrow": lambda t, F, a, v: F.softmax(a.bfloat16(), -1),
    "layer_norm": lambda t, F, a, v: F.layer_norm(a.bfloat16(), (4,)),
    "sum": lambda t, F, a, v: a.bfloat16().sum(),
    "norm": lambda t, F, a, v: a.bfloat16().norm(),
    "prod": lambda t, F, a, v: a.bfloat16().prod(),
    "trace": lambda t, F, a, v: t.trace(a.bfloat16()),
    "cdist": lambda t, F, a, v: t.cdist(a.bfloat16(), a.bfloat16()),
    "inverse": lambda t, F, a, v: t.linalg.inv(t.eye(3).bfloat16()),
    "solve": lambda t, F, a, v: t.linalg.solve(t.eye(4).bfloat16(), a.bfloat16()),
    "float64": lambda t, F, a, v: a.double() @ a.double(),
    "integers": lambda t, F, a, v: a.long() @ a.long(),
    "cat": lambda t, F, a, v: t.cat([a, a.bfloat16()]),
    "stack": lambda t, F, a, v: t.stack([a, a.bfloat16()]),
    "mse_loss": lambda t, F, a, v: F.mse_loss(a.bfloat16(), a.bfloat16() + 1),
    "mse_loss mixed": lambda t, F, a, v: F.mse_loss(a.bfloat16(), a),
    "l1_loss": lambda t, F, a, v: F.l1_loss(a.bfloat16(), -a.bfloat16()),
    "smooth_l1_loss": lambda t, F, a, v: F.smooth_l1_loss(a.bfloat16(), -a.bfloat16()),
    "huber_loss": lambda t, F, a, v: F.huber_loss(a.bfloat16(), -a.bfloat16()),
    "nll_loss": lambda t, F, a, v: F.nll_loss(a.bfloat16(), t.arange(4)),
    "cross_entropy": lambda t, F, a, v: F.cross_entropy(a, t.arange(4)),
    "bce": lambda t, F, a, v: F.binary_cross_entropy(v.sigmoid().bfloat16(), v.sigmoid()),
    "bce logits": lambda t, F, a, v: F.binary_cross_entropy_with_logits(
        v.bfloat16(), v.sigmoid().bfloat16()
    ),
    "kl_div": lambda t, F, a, v: F.kl_div(
        F.log_softmax(a.bfloat16(), 1), F.softmax(a.bfloat16(), 1), reduction="sum"
    ),
    "soft_margin_loss": lambda t, F, a, v: F.soft_margin_loss(a.bfloat16(), a.sign()),
    "hinge": lambda t, F, a, v: F.hinge_embedding_loss(a.bfloat16(), a.sign()),
    "margin_ranking": lambda t, F, a, v: F.margin_ranking_loss(
        v.bfloat16(), v.flip(0).bfloat16(), v.sign()
    ),
    "triplet": lambda t, F, a, v: F.triplet_margin_loss(
        a.bfloat16(), a.flip(0).bfloat16(), -a.bfloat16()
    ),
    "multi_margin": lambda t, F, a, v: F.multi_margin_loss(a.bfloat16(), t.arange(4)),
    "poisson": lambda t, F, a, v: F.poisson_nll_loss(a.bfloat16(), a.abs().bfloat16()),
    "module": lambda t, F, a, v: t.nn.MSELoss()(a.bfloat16(), a),
    "disabled": lambda t, F, a, v: off(t, a),
    "other dtype": lambda t, F, a, v: half(t, a),
}


def off(t, a):
    with t.autocast("cpu", enabled=False):
        return a @ a


def half(t, a):
    with t.autocast("cpu", dtype=t.float16):
        return a @ a


@pytest.mark.parametrize("name", CALLS)
def test_dtypes_and_values(name):
    drawn = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    results = []
    for t in (torch, disttorch):
        a, v = t.from_numpy(drawn[:4].copy()), t.from_numpy(drawn[4].copy())
        with t.autocast("cpu"):
            results.append(CALLS[name](t, t.nn.functional, a, v))
    want, got = optim_db.to_ours(results[0].float()), results[1]
    assert str(got.dtype) == str(results[0].dtype)
    np.testing.assert_allclose(got.float().numpy(), want.numpy(), rtol=2e-2, atol=2e-2)


def training(t):
    """Dtypes and rough values of a step of a small network."""
    t.manual_seed(0)
    nn = t.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    )
    x = t.rand(2, 1, 4, 4)
    with t.autocast("cpu", dtype=t.bfloat16):
        out = model(x)
        loss = nn.functional.cross_entropy(out, t.tensor([0, 2]))
    loss.backward()
    return [out, loss, *(p.grad for p in model.parameters())]


def test_a_training_step():
    for got, want in zip(training(disttorch), training(torch), strict=True):
        assert str(got.dtype) == str(want.dtype)
        a, b = got.detach().float().numpy(), want.detach().float().numpy()
        np.testing.assert_allclose(a, b, rtol=0.05, atol=0.03)


def function_of(t, cast_inputs):
    class Product(t.autograd.Function):
        @staticmethod
        @t.amp.custom_fwd(device_type="cpu", cast_inputs=cast_inputs)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a.mm(b)

        @staticmethod
        @t.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            a, b = ctx.saved_tensors
            return grad.mm(b.t()), a.t().mm(grad)

    a = t.ones(2, 2).requires_grad_()
    with t.autocast("cpu"):
        out = Product.apply(a, t.ones(2, 2))
    out.sum().backward()
    outside = Product.apply(a, t.ones(2, 2))
    return [str(out.dtype), str(a.grad.dtype), a.grad.tolist(), str(outside.dtype)]


@pytest.mark.parametrize("name", [None, "float32", "bfloat16"])
def test_custom_functions(name):
    found = [function_of(t, None if name is None else getattr(t, name)) for t in (torch, disttorch)]
    assert found[1] == found[0]


def states(t):
    seen = [t.is_autocast_enabled("cpu"), t.is_autocast_enabled(), t.get_autocast_dtype("cuda")]
    seen += [t.get_autocast_dtype("cpu"), t.is_autocast_cache_enabled()]
    with t.autocast("cpu", dtype=t.float16, cache_enabled=False):
        seen += [t.is_autocast_enabled("cpu"), t.get_autocast_dtype("cpu")]
        seen += [t.is_autocast_cache_enabled(), t.is_autocast_enabled("cuda")]
        with t.autocast("cpu", enabled=False):
            seen += [t.is_autocast_enabled("cpu"), t.get_autocast_dtype("cpu")]
        seen += [t.is_autocast_enabled("cpu")]
    try:
        with t.autocast("cpu"):
            raise KeyError("x")
    except KeyError:
        seen += [t.is_autocast_enabled("cpu")]
    decorated = t.autocast("cpu")(lambda: t.is_autocast_enabled("cpu"))
    return [str(x) for x in [*seen, decorated(), t.is_autocast_enabled("cpu")]]


def test_states():
    assert states(disttorch) == states(torch)


def test_one_region_entered_twice():
    region = disttorch.autocast("cpu")
    with region, region:
        assert disttorch.is_autocast_enabled("cpu")
    assert not disttorch.is_autocast_enabled("cpu")


def test_nothing_stays_behind():
    """Once autocast is off everywhere, the operators are what they were."""
    before = vars(MatMul).get("apply"), disttorch.addmm, disttorch.Tensor.prod
    with disttorch.autocast("cpu"):
        assert disttorch.addmm is not before[1]
    assert (vars(MatMul).get("apply"), disttorch.addmm, disttorch.Tensor.prod) == before


def test_other_threads_do_not_cast():
    seen = []
    a = disttorch.ones(2, 2)
    with disttorch.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((a @ a).dtype))
        thread.start()
        thread.join()
        seen.append((a @ a).dtype)
    assert seen == [disttorch.float32, disttorch.bfloat16]


def caches(t):
    """Whether a parameter is cast once: both products then share the node that casts."""
    w = t.ones(2, 2).requires_grad_()
    with t.autocast("cpu"):
        first, second = (t.ones(1, 2) @ w for _ in range(2))
    return first.grad_fn.next_functions[1][0] is second.grad_fn.next_functions[1][0]


def test_parameters_are_cast_once():
    assert caches(disttorch)


COMPLAINTS = {
    "device type": lambda t: t.autocast(3),
    "unknown device": lambda t: t.autocast("tpu"),
    "device without": lambda t: t.autocast("fpga", dtype=t.bfloat16),
    "cuda": lambda t: t.autocast("cuda"),
    "dtype": lambda t: t.autocast("cpu", dtype=t.int32),
    "call": lambda t: t.autocast("cpu")(3),
    "custom": lambda t: t.amp.custom_fwd(device_type=3),
    "cuda scaler": lambda t: t.amp.GradScaler("cuda"),
    "growth": lambda t: t.amp.GradScaler("cpu", growth_factor=1.0),
    "backoff": lambda t: t.amp.GradScaler("cpu", backoff_factor=1.0),
    "unscale first": lambda t: t.amp.GradScaler("cpu").unscale_(None),
    "step first": lambda t: t.amp.GradScaler("cpu").step(None),
    "update first": lambda t: t.amp.GradScaler("cpu").update(),
    "closure": lambda t: t.amp.GradScaler("cpu").step(None, closure=print),
    "outputs": lambda t: t.amp.GradScaler("cpu").scale(3),
    "empty state": lambda t: t.amp.GradScaler("cpu").load_state_dict({}),
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_complaints(name):
    found = []
    for t in (torch, disttorch):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                COMPLAINTS[name](t)
            except Exception as error:
                found.append((type(error).__name__, str(error)))
    assert len(found) == 2
    assert found[1] == found[0]


def scaled(t):
    """What a scaler does over steps, two of which overflow."""
    p, q = (t.nn.Parameter(t.ones(2)) for _ in range(2))
    optimisers = [t.optim.SGD([x], lr=0.1) for x in (p, q)]
    scaler = t.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    seen = [scaler.get_scale(), scaler.state_dict()]
    for i in range(7):
        for x, optimiser in zip((p, q), optimisers, strict=True):
            optimiser.zero_grad()
            factor = float("inf") if i in (2, 3) and x is q else 1.0 + i
            scaler.scale((x * factor).sum()).backward()
            if i % 2:
                scaler.unscale_(optimiser)
            scaler.step(optimiser)
        scaler.update(16.0 if i == 5 else None)
        seen += [scaler.get_scale(), scaler._get_growth_tracker(), p.tolist(), q.tolist()]
    seen += [x.tolist() for x in scaler.scale([p, (q, q)])[1]]
    other = t.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    return [*seen, other.state_dict(), other.is_enabled()]


def test_scaler():
    for got, want in zip(scaled(disttorch), scaled(torch), strict=True):
        assert got == (want if isinstance(want, (dict, bool)) else pytest.approx(want))


def twice(t, what):
    p = t.nn.Parameter(t.ones(1, dtype=t.float16 if what == "half" else t.float32))
    optimiser = t.optim.SGD([p], lr=0.1)
    scaler = t.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(p.sum()).backward()
    if what == "half":
        return scaler.unscale_(optimiser)
    if what != "unscale":
        scaler.step(optimiser)
    else:
        scaler.unscale_(optimiser)
    return (scaler.step if what == "step" else scaler.unscale_)(optimiser)


@pytest.mark.parametrize("what", ["step", "unscale", "unscale after step", "half"])
def test_scaler_out_of_order(what):
    errors = []
    for t in (torch, disttorch):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            twice(t, what)
        errors.append((caught.type.__name__, str(caught.value)))
    assert errors[1] == errors[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (cuda.amp, "cuda", "autocast"),
        (cuda.amp, "cuda", "GradScaler"),
        (cpu.amp, "cpu", "autocast"),
        (cpu.amp, "cpu", "GradScaler"),
    ],
)
def test_older_names(ours, theirs, name):
    texts = []
    for module in (ours, getattr(torch, theirs).amp):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            getattr(module, name)()
        texts.append([str(w.message) for w in seen])
    assert texts[0] == texts[1]
