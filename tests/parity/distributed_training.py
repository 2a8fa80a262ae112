"""Training that both libraries must do alike on two ranks."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

N_STEPS = 20
N_ROWS, N_IN, N_OUT = 6, 5, 3


def numbers(torch: Any, *shape: int, start: int = 0) -> Any:
    """Values in [-1, 1) that depend on nothing but their places."""
    n = 1
    for size in shape:
        n *= size
    return ((torch.arange(start, start + n) * 37 % 101).float() / 50.5 - 1).reshape(shape)


def filled(torch: Any, model: Any) -> Any:
    """The model with parameters that are equal in both libraries."""
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(numbers(torch, *p.shape, start=7 * i) * 0.5)
    return model


def mlp(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Linear(N_IN, 16), nn.Tanh(), nn.Linear(16, N_OUT))


def convolutional(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        *(nn.Unflatten(1, (1, N_IN)), nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(4 * N_IN, N_OUT)),
    )


def tied(torch: Any) -> Any:
    nn = torch.nn
    first, second = nn.Linear(N_IN, N_IN), nn.Linear(N_IN, N_IN)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second, nn.Linear(N_IN, N_OUT))


def frozen(torch: Any) -> Any:
    model = mlp(torch)
    model[0].weight.requires_grad_(False)
    return model


def attentive(torch: Any) -> Any:
    nn = torch.nn
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    return nn.Sequential(
        *(nn.Unflatten(1, (N_IN, 1)), nn.Linear(1, 4), layer, nn.Flatten(), nn.Linear(20, N_OUT)),
    )


def partly_used(torch: Any) -> Any:
    class PartlyUsed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.never = mlp(torch), torch.nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.used(x)

    return PartlyUsed()


def checkpointed(torch: Any) -> Any:
    checkpoint = importlib.import_module(f"{torch.__name__}.utils.checkpoint").checkpoint

    class Checkpointed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.last = mlp(torch), torch.nn.Linear(N_OUT, N_OUT)

        def forward(self, x: Any) -> Any:
            return self.last(checkpoint(self.inner, x, use_reentrant=False))

    return Checkpointed()


def weight_normed(torch: Any) -> Any:
    model = mlp(torch)
    importlib.import_module(f"{torch.__name__}.nn.utils.parametrizations").weight_norm(model[0])
    return model


def recomputed_twice(torch: Any) -> Any:
    checkpoint = importlib.import_module(f"{torch.__name__}.utils.checkpoint").checkpoint

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.inner = torch.nn.Linear(N_IN, N_IN), mlp(torch)

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            return sum(checkpoint(self.inner, k * x, use_reentrant=True) for k in (1, 2))

    return Twice()


def changing(torch: Any) -> Any:
    class Changing(torch.nn.Module):
        """Of three layers each pass uses others, and each rank its own."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(N_IN, N_OUT) for _ in range(3))
            self.n_passes = 0

        def forward(self, x: Any) -> Any:
            self.n_passes += 1
            first = int(x[0, 0] * 100) % 3
            return self.layers[first](x) + self.layers[self.n_passes % 3](x)

    return Changing()


Run = dict[str, Any]
# How each run differs from a plain one: the model, DDP's options, what is done in a step.
RUNS: dict[str, Run] = {
    "mlp": {"model": mlp},
    "small buckets": {"model": mlp, "how": {"bucket_cap_mb": 1e-4}},
    "views": {"model": mlp, "how": {"gradient_as_bucket_view": True}},
    "batch norm": {"model": convolutional},
    "batch norm, own buffers": {"model": convolutional, "how": {"broadcast_buffers": False}},
    "tied": {"model": tied},
    "frozen": {"model": frozen},
    "attention": {"model": attentive},
    "unused": {"model": partly_used, "how": {"find_unused_parameters": True}},
    "unused, static": {"model": partly_used, "how": {"static_graph": True}},
    "checkpoint": {"model": checkpointed},
    "checkpoint, static": {"model": checkpointed, "how": {"static_graph": True}},
    "checkpoints, reentrant": {"model": recomputed_twice, "how": {"static_graph": True}},
    "changing use": {"model": changing, "how": {"find_unused_parameters": True}},
    "changing use, accumulate": {
        **{"model": changing, "accumulate": True, "how": {"find_unused_parameters": True}},
    },
    "weight norm": {"model": weight_normed},
    "batch norm, rows as the rank": {"model": convolutional, "rows": 3},
    "penalty": {"model": mlp, "penalty": True},
    "two forwards": {"model": mlp, "forwards": 2},
    "accumulate": {"model": mlp, "accumulate": True},
    "clip": {"model": mlp, "clip": 0.1},
    "adam": {"model": mlp, "optimizer": "AdamW"},
    "zero": {"model": mlp, "optimizer": "AdamW", "zero": {}},
    "zero, views": {
        "model": mlp,
        "optimizer": "SGD",
        "zero": {"parameters_as_bucket_view": True},
    },
    "zero, clip": {"model": mlp, "optimizer": "AdamW", "zero": {}, "clip": 0.1},
    "uneven": {"model": mlp, "uneven": True},
    "uneven, adam": {"model": mlp, "uneven": True, "optimizer": "AdamW"},
    "uneven, zero": {"model": mlp, "uneven": True, "optimizer": "AdamW", "zero": {}},
    "fp16 hook": {"model": mlp, "hook": "fp16_compress_hook"},
    "post-local": {"model": mlp, "post_local": {"warmup_steps": 3, "period": 4}},
    "float64": {"model": mlp, "dtype": "float64"},
    "bfloat16": {"model": mlp, "dtype": "bfloat16"},
}


def optimizer_of(torch: Any, run: Run, model: Any) -> Any:
    kind = getattr(torch.optim, run.get("optimizer", "SGD"))
    if "post_local" in run:
        return post_local(torch, run, kind(model.parameters(), lr=0.05))
    if "zero" not in run:
        return kind(model.parameters(), lr=0.05)
    module = importlib.import_module(f"{torch.__name__}.distributed.optim")
    zero = module.ZeroRedundancyOptimizer
    return zero(model.parameters(), optimizer_class=kind, lr=0.05, **run["zero"])


def post_local(torch: Any, run: Run, optimizer: Any) -> Any:
    """The optimiser, with models that are averaged every few steps."""
    path = f"{torch.__name__}.distributed"
    averagers = importlib.import_module(f"{path}.algorithms.model_averaging.averagers")
    wrapper = importlib.import_module(f"{path}.optim").PostLocalSGDOptimizer
    return wrapper(optimizer, averagers.PeriodicModelAverager(**run["post_local"]))


def register_hook(torch: Any, run: Run, model: Any) -> None:
    path = f"{torch.__name__}.distributed.algorithms.ddp_comm_hooks"
    if "hook" in run:
        hooks = importlib.import_module(f"{path}.default_hooks")
        model.register_comm_hook(None, getattr(hooks, run["hook"]))
    if "post_local" in run:
        hooks = importlib.import_module(f"{path}.post_localSGD_hook")
        alone, _ = torch.distributed.new_subgroups(1)
        state = hooks.PostLocalSGDState(None, alone, run["post_local"]["warmup_steps"])
        model.register_comm_hook(state, hooks.post_localSGD_hook)


def trained(torch: Any, rank: int, run: Run) -> Any:
    """Losses of this rank's steps, then sums over the model's state."""
    dtype = getattr(torch, run.get("dtype", "float32"))
    inner = filled(torch, run["model"](torch)).to(dtype)
    model = torch.nn.parallel.DistributedDataParallel(inner, **run.get("how", {}))
    register_hook(torch, run, model)
    optimizer = optimizer_of(torch, run, model)
    losses = []
    with around(torch, run, model, optimizer):
        for step in range(N_STEPS - (5 * rank if "uneven" in run else 0)):
            optimizer.zero_grad()
            losses.append(one_step(torch, run, model, step, rank, dtype))
            if "clip" in run:
                norm = torch.nn.utils.clip_grad_norm_(model.parameters(), run["clip"])
                losses.append(norm.item())
            optimizer.step()
    state = [v.double().reshape(-1).tolist() for v in inner.state_dict().values()]
    return {"losses": losses, "state": state, "keys": list(inner.state_dict())}


def around(torch: Any, run: Run, model: Any, optimizer: Any) -> Any:
    if "uneven" not in run:
        return contextlib.nullcontext()
    join = importlib.import_module(f"{torch.__name__}.distributed.algorithms.join").Join
    return join([model, optimizer] if "zero" in run else [model])


def one_step(torch: Any, run: Run, model: Any, step: int, rank: int, dtype: Any) -> float:
    n_rows = N_ROWS + rank * run.get("rows", 0)
    x = numbers(torch, n_rows, N_IN, start=2 * step + rank).to(dtype)
    if run.get("accumulate"):
        with model.no_sync():
            model(x).square().mean().backward()
    x.requires_grad_("penalty" in run)
    outputs = [model(k * x) for k in range(1, 1 + run.get("forwards", 1))]
    loss = (sum(outputs) - x[:, :N_OUT]).square().mean()
    if "penalty" in run:
        (slope,) = torch.autograd.grad(outputs[0].sum(), x, create_graph=True)
        loss = loss + (slope.norm(2, 1) - 1).square().mean()
    loss.backward()
    return float(loss.item())
