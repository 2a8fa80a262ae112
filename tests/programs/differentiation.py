"""Programs about gradients: custom functions, second derivatives, hooks, partial training."""

from __future__ import annotations

import copy
import math
from typing import Any


def attention_by_hand(torch: Any) -> dict[str, Any]:
    F = torch.nn.functional
    batch, length, width, heads = 2, 5, 8, 2
    x = torch.randn(batch, length, width, requires_grad=True)
    qkv = torch.randn(width, 3 * width, requires_grad=True)
    q, k, v = (x @ qkv).split(width, dim=-1)
    q, k, v = (t.view(batch, length, heads, -1).transpose(1, 2) for t in (q, k, v))
    causal = torch.tril(torch.ones(length, length)).bool()
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.size(-1))
    padding = torch.arange(length)[None, :] < torch.tensor([[5], [3]])
    keep = causal & padding[:, None, None, :]
    weights = F.softmax(scores.masked_fill(~keep, float("-inf")), dim=-1)
    y = (weights @ v).transpose(1, 2).contiguous().view(batch, length, width)
    y = F.layer_norm(y + x, (width,))
    loss = y.square().mul(torch.linspace(0, 1, width)).sum()
    loss.backward()
    return {"w": weights, "y": y, "gx": x.grad, "gqkv": qkv.grad, "name": y.grad_fn.name()}


def custom_function(torch: Any) -> dict[str, Any]:
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            y = (x * scale).exp()
            ctx.save_for_backward(y)
            ctx.scale = scale
            return y

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            return grad * y * ctx.scale, None

    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = torch.tensor([0.2, -0.7, 1.6], dtype=torch.float64, requires_grad=True)
    y = Exp.apply(x, 2.0)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (gg,) = torch.autograd.grad(g.sum(), x)
    z = Round.apply(x) * x
    z.sum().backward()
    checked = torch.autograd.gradcheck(lambda t: Exp.apply(t, 0.5), (x,))
    return {"y": y, "g": g, "gg": gg, "straight": x.grad, "ok": checked, "fn": y.grad_fn.name()}


def gradient_penalty(torch: Any) -> dict[str, Any]:
    nn = torch.nn
    critic = nn.Sequential(nn.Linear(3, 16), nn.Softplus(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    real, fake = torch.randn(12, 3) + 1, torch.randn(12, 3) - 1
    penalties = []
    for _ in range(12):
        eps = torch.rand(12, 1)
        mixed = (eps * real + (1 - eps) * fake).requires_grad_(True)
        score = critic(mixed)
        (grad,) = torch.autograd.grad(
            score, mixed, grad_outputs=torch.ones_like(score), create_graph=True
        )
        penalty = ((grad.norm(2, dim=1) - 1) ** 2).mean()
        loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        penalties.append(penalty.item())
    return {"penalty": penalties, "g": critic[0].weight.grad}


def gradient_accumulation(torch: Any) -> dict[str, Any]:
    model = torch.nn.Linear(4, 2)
    x, y = torch.randn(12, 4), torch.randn(12, 2)
    torch.nn.functional.mse_loss(model(x), y).backward()
    whole = model.weight.grad.clone()
    model.zero_grad()
    for xs, ys in zip(x.chunk(3), y.split(4), strict=True):
        (torch.nn.functional.mse_loss(model(xs), ys) / 3).backward()
    same = torch.allclose(whole, model.weight.grad, atol=1e-6)
    return {"same": same, "g": model.weight.grad, "bias": model.bias.grad}


def weight_tying(torch: Any) -> dict[str, Any]:
    nn = torch.nn

    class LM(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(7, 5, padding_idx=0)
            self.head = nn.Linear(5, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids):
            return self.head(self.embed(ids).cumsum(1))

    model, ids = LM(), torch.tensor([[1, 2, 3, 0], [4, 5, 6, 1]])
    loss = nn.functional.cross_entropy(
        model(ids)[:, :-1].reshape(-1, 7), ids[:, 1:].flatten(), ignore_index=0
    )
    loss.backward()
    names = [name for name, _ in model.named_parameters()]
    return {
        **{"loss": loss, "g": model.embed.weight.grad, "names": names},
        **{"keys": list(model.state_dict()), "tied": model.head.weight is model.embed.weight},
    }


def freezing(torch: Any) -> dict[str, Any]:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    for p in model[0].parameters():
        p.requires_grad = False
    model[1].eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, weight_decay=0.01)
    before = [p.detach().clone() for p in model.parameters()]
    x = torch.randn(6, 3)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).logsumexp(1).mean().backward()
        optimizer.step()
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    return {"changed": changed, "frozen": model[0].weight.grad is None, "out": model(x)}


def clipping_and_hooks(torch: Any) -> dict[str, Any]:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    seen = []
    handles = [
        p.register_hook(lambda g, name=name: (seen.append((name, g.norm().item())), g * 2)[1])
        for name, p in model.named_parameters()
    ]
    x = torch.randn(5, 3)
    h = model[0](x)
    h.retain_grad()
    h.register_hook(lambda g: g.clamp(-0.1, 0.1))
    model[2](model[1](h)).sum().backward()
    for handle in handles:
        handle.remove()
    clipped = torch.nn.utils.clip_grad_value_(model.parameters(), 0.5)
    total = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.7)
    grads = [p.grad for p in model.parameters()]
    return {"seen": sorted(seen), "total": total, "grads": grads, "h": h.grad, "none": str(clipped)}


def moving_average(torch: Any) -> dict[str, Any]:
    model = torch.nn.Linear(3, 2)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(5):
        optimizer.zero_grad()
        (model(torch.ones(1, 3)) ** 2).sum().backward()
        optimizer.step()
        with torch.no_grad():
            for a, p in zip(average.parameters(), model.parameters(), strict=True):
                a.mul_(0.9).add_(p, alpha=0.1)
            average.bias.lerp_(model.bias, 0.5)
    return {"average": list(average.parameters()), "version": average.weight._version}


def hessian_vector_product(torch: Any) -> dict[str, Any]:
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.double, requires_grad=True)
    v = torch.tensor([0.3, 1.0, -1.0], dtype=torch.double)
    y = (x**3).sum() + x.prod() + torch.sin(x[0] * x[1])
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    (hv,) = torch.autograd.grad(g, x, grad_outputs=v, retain_graph=True)
    rows = [torch.autograd.grad(g[i], x, retain_graph=True)[0] for i in range(3)]
    hessian = torch.stack(rows)
    return {"hv": hv, "same": torch.allclose(hessian @ v, hv), "h": hessian, "sym": hessian.T}


def inplace_and_views(torch: Any) -> dict[str, Any]:
    x = torch.arange(6.0, requires_grad=True)
    y = x.clone().view(2, 3)
    y[0, 1:] = 0
    y[:, 0] *= 3
    y[y > 4] += x.sum()
    row = y[1]
    row.add_(1).mul_(row.detach() + 1)
    z = torch.zeros(2, 3)
    z[:, ::2] = y[:, ::2]
    (z.t() @ y).diagonal().sum().backward()
    names = [t.grad_fn.name() for t in (z, z.t())]
    try:
        w = x.exp()
        w.add_(1)
        w.sum().backward()
        error = ""
    except RuntimeError as e:
        error = str(e).splitlines()[0]
    return {"g": x.grad, "y": y, "z": z, "names": names, "error": error}
