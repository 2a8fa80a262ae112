"""Calls that both libraries must answer alike."""

from __future__ import annotations

from typing import Any

REDUCTIONS = ("SUM", "PRODUCT", "MIN", "MAX", "BAND", "BOR", "BXOR")
DTYPES = ("uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64", "bool")


def values(torch: Any, rank: int, dtype: str = "float32", n: int = 5) -> Any:
    return torch.arange(n).add(rank + 1).remainder(4).to(getattr(torch, dtype))


def reductions(torch: Any, dist: Any, r: int) -> dict[str, Any]:
    out = {}
    for op in REDUCTIONS:
        for dtype in DTYPES:
            t = values(torch, r, dtype)

            def call(t: Any = t, op: str = op) -> Any:
                dist.all_reduce(t, getattr(dist.ReduceOp, op))
                return t

            integral = dtype in {"uint8", "int8", "int32", "int64"}
            if not integral and op.startswith("B"):
                continue  # gloo sees bits of floats; ours refuses them
            if dtype != "bool":
                out[f"all_reduce {op} {dtype}"] = call
    return out


def edge_values(torch: Any, dtype: Any, r: int, *, ordered: bool) -> Any:
    """Ends of the range, infinities, zeros of both signs and NaN; not what has no order."""
    if dtype is torch.bool:
        return torch.tensor([[False, True, False, True], [False, False, True, True]][r])
    if not dtype.is_floating_point and not dtype.is_complex:
        low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
        rows = [[low, high, 3, high - 1, 7, 0, low], [low, 1, high, high - 2, 2, 0, high]]
        return torch.tensor(rows[r], dtype=dtype)
    nan, inf = float("nan"), float("inf")
    rows = [[1.0, inf, inf, -0.0, 2.5, 1e-30], [-inf, inf, 1.0, -0.0, 3.25, 1e30]]
    if not ordered:
        rows = [[*rows[0], nan, 1.0, 0.0, -0.0, inf], [*rows[1], 1.0, nan, -0.0, 0.0, -inf]]
    if dtype.is_complex:
        return torch.complex(torch.tensor(rows[r]), torch.tensor(rows[r][::-1])).to(dtype)
    return torch.tensor(rows[r]).to(dtype)


def edges(torch: Any, dist: Any, r: int) -> dict[str, Any]:
    """Reductions of values at the edges; gloo takes a NaN of one rank for the MIN or not."""
    out = {}
    for op in (*REDUCTIONS, "AVG"):
        for dtype in (*DTYPES, "complex64", "complex128"):
            kind, ordered = getattr(torch, dtype), op in {"MIN", "MAX"}
            integral = dtype == "bool" or "int" in dtype
            if (op == "AVG" and integral) or (op == "PRODUCT" and "complex" in dtype):
                continue  # more than gloo does

            def all_reduce(kind: Any = kind, ordered: bool = ordered, op: str = op) -> Any:
                x = edge_values(torch, kind, r, ordered=ordered)
                dist.all_reduce(x, getattr(dist.ReduceOp, op))
                return list(map(repr, x.tolist()))

            def reduce(kind: Any = kind, ordered: bool = ordered, op: str = op) -> Any:
                x = edge_values(torch, kind, r, ordered=ordered)
                dist.reduce(x, 1, getattr(dist.ReduceOp, op))
                return list(map(repr, x.tolist())) if r == 1 else None

            out |= {f"all_reduce {op} {dtype}": all_reduce}
            if op != "AVG":
                out |= {f"reduce {op} {dtype}": reduce}
    return out


def movements(torch: Any, dist: Any, r: int) -> dict[str, Any]:
    def v(n: int = 5) -> Any:
        return values(torch, r, n=n)

    def zeros(*shape: int) -> Any:
        return torch.zeros(*shape)

    def filled(call: Any, *outs: Any) -> Any:
        call(*outs)
        return list(outs)

    def both(outs: list[Any], call: Any) -> Any:
        call(outs)
        return outs

    return {
        "broadcast": lambda: filled(lambda t: dist.broadcast(t, 1), v()),
        "broadcast group_src": lambda: filled(lambda t: dist.broadcast(t, group_src=1), v()),
        "all_gather": lambda: both([zeros(5), zeros(5)], lambda o: dist.all_gather(o, v())),
        "all_gather_into_tensor": lambda: filled(
            lambda o: dist.all_gather_into_tensor(o, v()), zeros(10)
        ),
        "all_gather_into_tensor stacked": lambda: filled(
            lambda o: dist.all_gather_into_tensor(o, v()), zeros(2, 5)
        ),
        "gather": lambda: both(
            [zeros(5), zeros(5)], lambda o: dist.gather(v(), o if r == 0 else None, dst=0)
        ),
        "scatter": lambda: filled(
            lambda o: dist.scatter(o, [v(3), v(3) * 2] if r == 1 else None, src=1), zeros(3)
        ),
        "reduce_scatter": lambda: filled(
            lambda o: dist.reduce_scatter(o, [v(3), v(3) * 2]), zeros(3)
        ),
        "reduce_scatter_tensor": lambda: filled(
            lambda o: dist.reduce_scatter_tensor(o, v(6)), zeros(3)
        ),
        "all_to_all_single": lambda: filled(lambda o: dist.all_to_all_single(o, v(4)), zeros(4)),
        "all_to_all_single uneven": lambda: filled(
            lambda o: dist.all_to_all_single(o, v(4), [1, 1] if r == 0 else [3, 3], [1, 3]),
            zeros(2 if r == 0 else 6),
        ),
        "all_to_all_single rows": lambda: filled(
            lambda o: dist.all_to_all_single(
                o, v(8).reshape(4, 2), [1, 1] if r == 0 else [3, 3], [1, 3]
            ),
            zeros(2 if r == 0 else 6, 2),
        ),
        "future": lambda: (
            dist.all_reduce(v(), async_op=True).get_future().then(lambda f: f.value()[0]).wait()
        ),
        "sub-group": lambda: dist.get_rank(dist.new_group([1])),
    }


def messages(torch: Any, dist: Any, r: int) -> dict[str, Any]:
    def exchange() -> Any:
        t, got = values(torch, r), torch.zeros(5)
        ops = [dist.P2POp(dist.isend, t, 1 - r), dist.P2POp(dist.irecv, got, 1 - r)]
        for work in dist.batch_isend_irecv(ops):
            work.wait()
        return got

    def objects() -> Any:
        everyone: list[Any] = [None, None]
        dist.all_gather_object(everyone, {"rank": r, "list": [1, (2, "x")]})
        shared = ["a", 2] if r == 1 else [None, None]
        dist.broadcast_object_list(shared, src=1)
        part: list[Any] = [None]
        dist.scatter_object_list(part, ["for 0", "for 1"] if r == 0 else None, src=0)
        return [everyone[0]["rank"], everyone[1]["rank"], *shared, *part]

    def mesh() -> Any:
        m = dist.init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
        return [m["tp"].get_local_rank(), m.get_local_rank("dp"), m.size(), list(m.shape)]

    return {"exchange": exchange, "objects": objects, "mesh": mesh}


def gradients(torch: Any, dist: Any, r: int) -> dict[str, Any]:
    import importlib

    F = importlib.import_module(f"{dist.__name__}.nn.functional")

    def gradient(call: Any, n: int = 4) -> Any:
        def run() -> Any:
            x = values(torch, r, n=n).requires_grad_()
            y = call(x)
            y = torch.cat(list(y)) if isinstance(y, (list, tuple)) else y
            (y * y * (r + 1)).sum().backward()
            return [y.detach(), x.grad]

        return run

    def twice(call: Any, n: int = 4) -> Any:
        def run() -> Any:
            x = values(torch, r, n=n).requires_grad_()
            y = call(x)
            y = torch.cat(list(y)) if isinstance(y, (list, tuple)) else y
            (g,) = torch.autograd.grad((y * y * y * (r + 1)).sum(), x, create_graph=True)
            (g * g * (r + 1)).sum().backward()
            return [g.detach(), x.grad]

        return run

    calls = {
        "all_reduce": F.all_reduce,
        "all_gather": F.all_gather,
        "broadcast": lambda x: F.broadcast(x, 1),
        "gather": lambda x: F.gather(x, 1),
        "reduce": lambda x: F.reduce(x, 0),
        "scatter": lambda x: F.scatter([x, x * 2], 1),
        "reduce_scatter": lambda x: F.reduce_scatter(torch.zeros(4), [x, x * 2]),
        "all_to_all": lambda x: F.all_to_all([torch.zeros(2), torch.zeros(2)], list(x.split(2))),
        "all_to_all_single": lambda x: F.all_to_all_single(torch.zeros(4), x),
    }
    return {name: gradient(call) for name, call in calls.items()} | {
        f"{name} twice": twice(call) for name, call in calls.items()
    }


def refusals(torch: Any, dist: Any, r: int) -> dict[str, Any]:
    """Calls that fail on every rank before any data moves."""
    t = torch.zeros(4)
    return {
        "not a tensor": lambda: dist.all_reduce([1.0]),
        "not a list": lambda: dist.all_gather(t, t),
        "no gather list": lambda: dist.gather(t, None if r == 0 else [t], dst=0),
        "no scatter list": lambda: dist.scatter(t, None if r == 0 else [t], src=0),
        "foreign rank": lambda: dist.broadcast(t, 7),
        "send to oneself": lambda: dist.send(t, r),
        "no source": lambda: dist.broadcast(t),
        "both sources": lambda: dist.broadcast(t, src=0, group_src=0),
        "bad operation": lambda: dist.P2POp(dist.broadcast, t, 0),
        "empty batch": lambda: dist.batch_isend_irecv([]),
        "bad subgroup": lambda: dist.new_subgroups(3),
        "double subgroup": lambda: dist.new_subgroups_by_enumeration([[0], [0]]),
        "no subgroups": lambda: dist.new_subgroups_by_enumeration([]),
        "unknown rank": lambda: dist.new_group([5]),
        "init twice": lambda: dist.init_process_group("gloo"),
        "group rank": lambda: dist.get_group_rank(dist.group.WORLD, 5),
        "global rank": lambda: dist.get_global_rank(dist.group.WORLD, 5),
        "mesh dimension": lambda: dist.init_device_mesh("cpu", (2,)).get_group("x"),
        "mesh too large": lambda: dist.init_device_mesh("cpu", (3,)),
        "mesh names": lambda: dist.init_device_mesh("cpu", (2,), mesh_dim_names=("a", "b")),
    }


TABLES = (reductions, edges, movements, messages, gradients, refusals)


def plain(value: Any) -> Any:
    """Values as JSON has them."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return [str(value.dtype).rpartition(".")[2], value.tolist()]
    return value


def answers(torch: Any, dist: Any, rank: int) -> dict[str, Any]:
    """What each call returns, or the type of its error."""
    out = {}
    for table in TABLES:
        for name, call in table(torch, dist, rank).items():
            try:
                out[f"{table.__name__}: {name}"] = plain(call())
            except Exception as error:
                bases = [kind.__name__ for kind in type(error).__mro__]
                out[f"{table.__name__}: {name}"] = {"raises": bases, "text": str(error)}
            if table is refusals:
                dist.barrier()
    return out
