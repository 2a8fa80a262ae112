"""What the nodes of common operators are called, as tools that draw graphs read it.

Operators that are made of others here, but of one piece in PyTorch (`addmm` is a product and a
sum), or the other way round, show the nodes they have and are not in the table.
"""

from __future__ import annotations

import pytest

import disttorch

pytestmark = pytest.mark.parity

# Expressions of `x` (2, 2), `y` (2, 2), `v` (2,), `i` (2,) int64 and the functional interface `F`;
# `x4` is (1, 4, 2, 2).
UNARY = """
abs acos acosh asin asinh atan atanh ceil clone conj cos cosh deg2rad digamma erf erfc erfinv exp
exp2 expm1 floor frac lgamma log log10 log1p log2 logit neg positive reciprocal relu round rsqrt
sgn sigmoid sign sin sinc sinh sqrt square tan tanh trunc nan_to_num contiguous t tril triu
diagonal flatten ravel squeeze sum mean prod std var amax amin max min median norm numel
logcumsumexp_0 cumsum_0 cumprod_0 cummax_0 logsumexp_0 softmax_0 log_softmax_0 argmax detach
sum_0 mean_0 prod_0 std_0 var_0 max_0 min_0 sort_0 argsort_0 median_0 unsqueeze_0 squeeze_0
unbind_0 flip_0 double float half bfloat16 inverse det slogdet matrix_exp
"""
EXPRESSIONS = """
x + y; x - y; x * y; x / y; x ** y; x ** 2; 2 ** x; x + 1; x % 2; -x; x @ y; x @ v; v @ v; x.mm(y)
x.mv(v); v.dot(v); x[None].bmm(y[None]); t.outer(v, v); x[0]; x[:1]; x[:, 0]; x[..., None]; x[...]
x[i]; x[x > 1]; x[None]; x[:, None]; x[0, 0]; x.view(4); x.reshape(4); x.T; x.transpose(0, 1)
x.permute(1, 0); x.expand(3, 2, 2); x.repeat(2, 1); x.unfold(0, 2, 1); x.split(1)[0]
x.split([1, 1])[1]; x.chunk(2)[0]; x.narrow(0, 0, 1); x.select(0, 0); x.unbind()[0]; x.squeeze(0)
x.squeeze((0, 1)); x.roll(1); x.roll(1, 0); t.cat([x, y]); t.stack([x, y]); t.where(x > 1, x, y)
x.clamp(0, 1); x.clamp(min=0); x.clip(y, x); t.maximum(x, y); t.minimum(x, y); t.fmax(x, y)
t.atan2(x, y); t.hypot(x, y); t.lerp(x, y, 0.5); t.lerp(x, y, x); t.addcmul(x, x, y)
t.addcdiv(x, x, y); x.masked_fill(x > 1, 0); x.masked_select(x > 1); x.gather(0, i[None])
x.index_select(0, i); x.index_add(0, i, y); x.index_copy(0, i, y); x.index_fill(0, i, 0)
x.index_put((i,), v); x.take(i); x.scatter(0, i[None], y); x.scatter(0, i[None], 1.0)
x.scatter_add(0, i[None], y); x.topk(1)[0]; x.mode()[0]; x.norm(1); x.norm(2, 0); t.linalg.norm(x)
t.linalg.vector_norm(x); t.cdist(x, y); t.linalg.inv(x); t.linalg.solve(x, y); t.linalg.qr(x)[0]
t.linalg.svd(x)[1]; t.linalg.eigh(x)[0]; t.linalg.cholesky(x @ x.T + 2 * t.eye(2))
t.linalg.det(x); t.fft.rfft(x); t.complex(x, y); t.view_as_real(t.complex(x, y)); x.to(t.float16)
F.relu(x); F.relu6(x); F.elu(x); F.selu(x); F.celu(x); F.gelu(x); F.silu(x); F.mish(x)
F.softplus(x); F.leaky_relu(x); F.prelu(x, v[:1]); F.hardtanh(x); F.hardswish(x); F.hardsigmoid(x)
F.logsigmoid(x); F.softshrink(x); F.hardshrink(x); F.threshold(x, 0, 0); F.softmax(x, 0)
F.log_softmax(x, 0); F.linear(x, y, v); F.embedding(i, x); F.layer_norm(x, (2,))
F.batch_norm(x, None, None, training=True); F.group_norm(x, 1); F.instance_norm(x[None])
F.rms_norm(x, (2,)); F.normalize(x); F.conv1d(x[None], x[None])
F.conv2d(x[None, None], x[None, None]); F.max_pool2d(x4, 2); F.avg_pool2d(x4, 2); F.pad(x, (1, 1))
F.mse_loss(x, y); F.l1_loss(x, y); F.huber_loss(x, y)
F.smooth_l1_loss(x, y); F.nll_loss(x, i); F.cross_entropy(x, i)
F.binary_cross_entropy_with_logits(x, y); F.binary_cross_entropy(x.sigmoid(), y.sigmoid())
F.cosine_similarity(x, y); F.dropout(x, 0.5, True); F.unfold(x4, 2); x.clone().mul_(2)
x.clone().copy_(y); x.clone().add_(y); x.detach().requires_grad_().sum()
t.meshgrid(v, v, indexing="ij")[0]; x.diff(); x.movedim(0, 1); t.atleast_3d(x)
x.unflatten(0, (2, 1)); x.swapaxes(0, 1); t.hstack([x, y]); t.vstack([x, y])
"""


def expressions() -> list[str]:
    unary = [f"x.{n}()" if not n.endswith("_0") else f"x.{n[:-2]}(0)" for n in UNARY.split()]
    rows = EXPRESSIONS.strip().replace("\n", ";").split(";")
    return unary + [row.strip() for row in rows]


def name_of(expression: str, t) -> str | None:
    """The class name of the node of what an expression returns, of the first if of several."""
    values = t.tensor([[1.5, 0.25], [0.5, 2.0]])
    names = {"t": t, "F": t.nn.functional, "i": t.tensor([0, 1])}
    for name, array in (("x", values), ("y", values + 1), ("v", values[0])):
        names[name] = array.clone().requires_grad_()
    names["x4"] = t.ones(1, 4, 2, 2, requires_grad=True)
    result = eval(expression, names)
    first = result[0] if isinstance(result, (tuple, list)) else result
    node = getattr(first, "grad_fn", None)
    return None if node is None else type(node).__name__


@pytest.mark.parametrize("expression", expressions())
def test_nodes_have_pytorchs_names(expression):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert name_of(expression, disttorch) == name_of(expression, torch)
