"""Calls of every public corner of torch.distributed, one expression each; both libraries answer."""

from __future__ import annotations

import datetime
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.parity.distributed_programs import PROGRAMS

PUBLIC = (
    *("all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_object"),
    *("all_reduce", "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier"),
    *("batch_isend_irecv", "broadcast", "broadcast_object_list", "destroy_process_group"),
    *("gather", "gather_object", "get_backend", "get_backend_config", "get_global_rank"),
    *("get_default_backend_for_device", "get_group_rank", "get_node_local_rank", "get_pg_count"),
    *("get_rank", "get_world_size", "init_process_group", "irecv", "is_backend_available"),
    *("is_initialized", "isend", "monitored_barrier", "new_group", "new_subgroups", "recv"),
    *("new_subgroups_by_enumeration", "recv_object_list", "reduce", "reduce_scatter", "scatter"),
    *("reduce_scatter_tensor", "scatter_object_list", "send", "send_object_list"),
    *("shrink_group", "split_group", "supports_complex"),
)
SECOND = datetime.timedelta(seconds=10)
SHORT = datetime.timedelta(milliseconds=20)


def tables() -> dict[str, list[str]]:
    """The expressions of distributed_api.txt by the names in brackets above them."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "distributed_api.txt").read_text().splitlines():
        if line.startswith("[") and line.endswith("]") and line[1:-1].isalpha():
            calls = found[line[1:-1]] = []
        elif line and not line.startswith("#"):
            calls.append(line)
    return found


class Kit:
    """What the expressions use to make tensors and to wait for what they call."""

    def __init__(self, torch: Any, dist: Any, rank: int) -> None:
        self.torch, self.dist, self.rank = torch, dist, rank
        self.n = dist.get_world_size()

    def v(self, k: int) -> Any:
        return self.torch.arange(k).add(2 * self.rank + 1).remainder(5).float()

    def zs(self, k: int) -> list[Any]:
        return [self.torch.zeros(k) for _ in range(self.n)]

    def parts(self, k: int) -> list[Any]:
        return [self.v(k) + s for s in range(self.n)]

    @staticmethod
    def after(call: Callable[..., Any], *tensors: Any) -> list[Any]:
        work = call(*tensors)
        if work is not None:
            work.wait()
        return list(tensors)

    def on(self, rank: int, call: Callable[..., Any], *tensors: Any) -> Any:
        """As `after`, of which only one rank's tensors are told."""
        found = self.after(call, *tensors)
        return found if self.rank == rank else None

    @staticmethod
    def waited(work: Any) -> Any:
        work.wait()
        return work

    def swapped(self, send: Callable[..., Any], receive: Callable[..., Any]) -> Any:
        got, n = self.torch.zeros(3), self.n
        works = [send(self.v(3), (self.rank + 1) % n), receive(got, (self.rank - 1) % n)]
        for work in works:
            work.wait()
        return got

    def sender(self, receive: Callable[..., Any]) -> Any:
        got = self.torch.zeros(3)
        sent = self.dist.isend(self.v(3), (self.rank + 1) % self.n)
        of = receive(got)
        sent.wait()
        self.dist.barrier()
        return [of, got]

    def batched(self, ops: list[tuple[str, int]]) -> Any:
        made = []
        for i, (kind, step) in enumerate(ops):
            tensor = self.v(3) + i if kind == "isend" else self.torch.zeros(3)
            peer = (self.rank + step) % self.n
            made.append(self.dist.P2POp(getattr(self.dist, kind), tensor, peer))
        for work in self.dist.batch_isend_irecv(made):
            work.wait()
        return [op.tensor for op in made]

    def passed(self, send: Callable[..., Any], receive: Callable[..., Any]) -> Any:
        """What rank 1 has received into a list of two from rank 0."""
        got = [0, 0]
        if self.rank == 0:
            send([0, "m"])
        elif self.rank == 1:
            receive(got)
        return got

    @staticmethod
    def called(future: Any) -> Any:
        seen: list[Any] = []
        future.add_done_callback(lambda done: seen.append(done.value()))
        future.wait()
        while not seen:
            pass
        return seen

    @staticmethod
    def filled(call: Callable[..., Any], out: list[Any]) -> Any:
        call(out)
        return out

    def objects(self, out: list[Any], obj: Any) -> Any:
        self.dist.all_gather_object(out, obj)
        return [repr(item) if not hasattr(item, "tolist") else item.tolist() for item in out]

    def opts(self, name: str, **fields: Any) -> Any:
        homes = (self.dist, importlib.import_module(f"{self.dist.__name__}.distributed_c10d"))
        made = next(getattr(h, f"{name}Options") for h in homes if hasattr(h, f"{name}Options"))()
        for field, value in fields.items():
            setattr(made, field, value)
        return made

    @staticmethod
    def fields(kind: Any) -> Any:
        made = kind()
        shown = [a for a in dir(made) if not a.startswith("_") and a != "sparseIndices"]
        return [a if a == "reduceOp" else f"{a}: {getattr(made, a)!r}" for a in shown]

    def gradient(self, call: Callable[..., Any], k: int) -> Any:
        x = self.v(k).requires_grad_()
        y = call(x)
        (y * y * (self.rank + 1)).sum().backward()
        return [y.detach(), x.grad]

    def mesh(self, *shape: int) -> Any:
        return self.dist.init_device_mesh("cpu", shape)

    def named(self, *shape: int) -> Any:
        return self.dist.init_device_mesh("cpu", shape, mesh_dim_names=("a", "b")[: len(shape)])

    def with_mesh(self, *shape: int) -> Any:
        with self.mesh(*shape) as inside:
            return inside.size()

    def meet(self, url: str, **kwargs: Any) -> Iterator[tuple[Any, int, int]]:
        pairs = dict(pair.split("=") for pair in url.partition("?")[2].split("&"))
        yield self.dist.HashStore(), int(pairs["rank"]), int(pairs["world_size"])


def names(torch: Any, dist: Any, rank: int, group: Any) -> dict[str, Any]:
    """What the expressions may use."""
    kit = Kit(torch, dist, rank)
    of_kit = {name: getattr(kit, name) for name in dir(kit) if not name.startswith("_")}
    modules = {"t": torch, "d": dist, "datetime": datetime, "W": group, "r": rank}
    return {
        **{**of_kit, **modules, "z": torch.zeros, "second": SECOND, "short": SHORT},
        "f": importlib.import_module(f"{dist.__name__}._functional_collectives"),
        "c": importlib.import_module(f"{dist.__name__}.distributed_c10d"),
    }


def plain(value: Any) -> Any:
    """What JSON has of a value; of an object no more than that it is one."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (complex, bytes, datetime.timedelta)):
        return repr(value)
    return value if isinstance(value, (bool, int, float, str, type(None))) else "an object"


def answer(call: str, space: dict[str, Any]) -> Any:
    """The value of a call, or the kinds and the first line of its error."""
    try:
        return plain(eval(call, space))
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"raises": kinds, "text": str(error).partition("\n")[0]}


def signatures(dist: Any) -> dict[str, Any]:
    """The parameters of every public function, with the defaults that JSON has."""
    out: dict[str, Any] = {}
    home = importlib.import_module(f"{dist.__name__}.distributed_c10d")
    for name in PUBLIC:
        call = getattr(home, name)
        parameters = inspect.signature(call).parameters.values()
        out[f"signature: {name}"] = [
            f"{p.name}{'' if p.default is p.empty else f' = {p.default!r}'}"
            for p in parameters
            if not p.name.startswith("_")
        ]
    return out


def answers(torch: Any, dist: Any, rank: int) -> dict[str, Any]:
    """What every expression gives on this rank."""
    space, out = names(torch, dist, rank, dist.group.WORLD), dict[str, Any]()
    for name, calls in tables().items():
        for call in calls:
            out[f"{name}: {call}"] = answer(call, space)
            dist.barrier()
    for program in PROGRAMS:
        out[f"program: {program.__name__}"] = plain(program(torch, dist, rank, space["n"]))
        dist.barrier()
    return out | signatures(dist)


def main(name: str, rank: str, n: str, path: str) -> None:
    """Answer as one rank of the library `name`; they meet in the file `path`."""
    torch, dist = importlib.import_module(name), importlib.import_module(f"{name}.distributed")
    torch.set_num_threads(1)
    how = {"timeout": datetime.timedelta(seconds=60), "world_size": int(n), "rank": int(rank)}
    dist.init_process_group("gloo", init_method=f"file://{path}", **how)
    print(json.dumps(answers(torch, dist, int(rank))), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
