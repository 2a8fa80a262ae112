"""Programs about state and values: checkpoints, copies, metrics, state_dict surgery, printing."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict
from typing import Any


def checkpoint_and_resume(torch: Any) -> dict[str, Any]:
    def build():
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ELU(), torch.nn.Linear(8, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, amsgrad=True)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return model, optimizer, schedule

    def train(model, optimizer, schedule, n):
        for _ in range(n):
            optimizer.zero_grad()
            loss = (model(x).squeeze(-1) - y).abs().mean()
            loss.backward()
            optimizer.step()
            schedule.step()
        return loss.item()

    x, y = torch.randn(10, 4), torch.randn(10)
    parts = build()
    train(*parts, 4)
    file = io.BytesIO()
    torch.save({"parts": [p.state_dict() for p in parts], "epoch": 4}, file)
    straight = train(*parts, 4)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    resumed = build()
    for part, state in zip(resumed, loaded["parts"], strict=True):
        part.load_state_dict(state)
    again = train(*resumed, 4)
    return {
        **{"straight": straight, "equal": straight == again, "epoch": loaded["epoch"]},
        **{"lr": resumed[1].param_groups[0]["lr"], "keys": sorted(resumed[1].state_dict())},
    }


def deepcopied_model(torch: Any) -> dict[str, Any]:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    model(torch.randn(4, 2)).sum().backward()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[0].weight.fill_(7.0)
        twin[1].running_mean += 1
    t = torch.ones(2, requires_grad=True) * 2
    try:
        copy.deepcopy(t)
        error = ""
    except RuntimeError as e:
        error = str(e)[:80]
    return {
        **{"w": model[0].weight, "twin": twin[0].weight, "mean": model[1].running_mean},
        **{"type": type(twin[0].weight).__name__, "leaf": twin[0].weight.is_leaf, "e": error},
        **{"grad": twin[0].weight.grad, "requires": twin[0].weight.requires_grad},
    }


def metrics(torch: Any) -> dict[str, Any]:
    scores = torch.rand(20, 5)
    labels = torch.randint(5, (20,))
    _, top = scores.topk(3, dim=1, largest=True, sorted=True)
    hits = top.eq(labels.view(-1, 1).expand_as(top))
    one_hot = torch.zeros(20, 5).scatter_(1, labels.unsqueeze(1), 1.0)
    true_scores = scores.gather(1, labels[:, None]).squeeze(1)
    sums = torch.zeros(5).index_add_(0, labels, true_scores)
    counts = torch.bincount(labels, minlength=5)
    confident = scores.max(dim=1).values > 0.8
    scores[~confident] = 0.0
    values, order = scores[:, 0].sort(descending=True)
    where = torch.where(scores > 0.5, scores, -torch.ones_like(scores))
    u, inverse = torch.unique(labels, return_inverse=True)
    return {
        **{"top1": hits[:, :1].float().sum() / 20, "top3": hits.any(1).float().mean()},
        **{"one_hot": one_hot, "sums": sums, "counts": counts, "picked": labels[confident]},
        **{"values": values, "where": where.mean(0), "nonzero": confident.nonzero().flatten()},
        **{"std": scores.std(0), "median": scores.median(), "q": values.cumsum(0)[-1], "u": u},
        **{"inverse": inverse, "order": order.unique().numel(), "any": (labels == 9).any()},
        **{"minmax": [scores.amax(), scores.min(), scores.argmin()], "sum": labels.sum()},
    }


def state_dict_surgery(torch: Any) -> dict[str, Any]:
    nn = torch.nn
    source = nn.Sequential(OrderedDict(body=nn.Linear(3, 4), head=nn.Linear(4, 10)))
    state = {f"module.{k}": v for k, v in source.state_dict().items()}
    state = {k.removeprefix("module."): v for k, v in state.items()}
    for key in [k for k in state if k.startswith("head")]:
        del state[key]
    target = nn.Sequential(OrderedDict(body=nn.Linear(3, 4), head=nn.Linear(4, 2)))
    report = target.load_state_dict(state, strict=False)
    errors = []
    for bad in (state, source.state_dict()):
        try:
            target.load_state_dict(bad)
        except RuntimeError as e:
            errors.append(str(e))
    equal = torch.equal(target.body.weight, source.body.weight)
    target.head = nn.Identity()
    del target.body.bias
    target.register_buffer("steps", torch.tensor(3), persistent=True)
    keys = list(target.state_dict())
    return {"report": str(report), "errors": errors, "equal": equal, "keys": keys}


def printing(torch: Any) -> dict[str, Any]:
    x = torch.tensor([[1.5, -2.0, 3e-5], [1e5, 0.0, float("nan")]])
    texts = [
        *(x, x[0], x > 0, x.int(), x.double(), x.half(), x[:, :0], torch.arange(30)),
        *(torch.tensor(3.0), torch.tensor(True), torch.tensor([]), x.shape, x.dtype, x.device),
        torch.ones(2, requires_grad=True),
        torch.ones(2, requires_grad=True).exp(),
        torch.nn.Parameter(torch.zeros(2)),
        torch.nn.Conv2d(3, 8, (3, 5), stride=2, padding=1, bias=False),
        torch.rand(3, 4, 2) > 2,
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1),
        torch.arange(2000.0).view(20, 100),
        torch.tensor([1 + 2j, 3.5]),
        torch.finfo(torch.float32),
    ]
    return {
        "repr": [repr(t) for t in texts],
        "format": f"{torch.tensor(2.5):.2f} {torch.tensor([1, 2])} {torch.tensor(3):>4d}",
        "size": [str(x.size()), tuple(x.shape), x.shape[1], len(x), x.numel(), x.type()],
    }


def dtype_zoo(torch: Any) -> dict[str, Any]:
    u8 = torch.tensor([250, 10], dtype=torch.uint8)
    i64, f32 = torch.tensor([3, -4]), torch.tensor([0.5, 2.0])
    f64, b = torch.tensor(2.0, dtype=torch.float64), torch.tensor([True, False])
    results = [
        *(u8 + 10, u8 * 2, -i64, i64 / 2, i64 // 2, i64 % 3, f32 * f64, i64 * f32, b + b, b * 2.5),
        *(u8.float() / 255, i64**2, 2 ** i64.abs(), 1 / f32, 3 - i64, f32.int(), f32 > i64, b & ~b),
        *(u8 >> 1, i64 + 1.5, i64 * True, f32 == 0.5, f64 + i64, f32.sum(dtype=torch.float64)),
        *(b.sum(), i64.float().mean(), u8.sum(), f32.half() * 3, f32.bfloat16() + 1e-3, f64 * b),
        *(torch.tensor(1) + 0.5, torch.tensor([1, 2.0]), torch.full((2,), 3)),
        torch.arange(0, 1, 0.3),
    ]
    return {"values": results, "dtypes": [str(r.dtype) for r in results]}
