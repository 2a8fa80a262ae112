"""Programs as users have them, of messages and collectives; both libraries must give the same."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Program = Callable[[Any, Any, int, int], Any]


def numbers(torch: Any, rows: int, columns: int, seed: int = 0) -> Any:
    """Values in [-0.5, 0.5) that depend on nothing but their places."""
    flat = (torch.arange(rows * columns) * 29 + seed) % 97
    return flat.float().reshape(rows, columns) / 97 - 0.5


def filled(torch: Any, model: Any) -> Any:
    """The model with parameters that are equal in both libraries."""
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(numbers(torch, 1, p.numel(), 11 * i).reshape(p.shape))
    return model


def ring(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """All-reduce by messages to a neighbour, as in the tutorial on writing such programs."""
    right, left = (rank + 1) % size, (rank - 1) % size
    outgoing = torch.arange(4.0) + rank
    total = outgoing.clone()
    for _ in range(size - 1):
        request, incoming = dist.isend(outgoing, right), torch.zeros(4)
        dist.recv(incoming, left)
        request.wait()
        total[:] += incoming[:]
        outgoing = incoming
    return total


def gossip(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """Averages with ever other peers."""
    x = numbers(torch, 1, 8, 13 * rank)[0]
    for step in range(6):
        to, of = (rank + 1 + step) % size, (rank - 1 - step) % size
        if to != rank:
            other = torch.empty_like(x)
            ops = [dist.P2POp(dist.isend, x, to), dist.P2POp(dist.irecv, other, of)]
            for request in dist.batch_isend_irecv(ops):
                request.wait()
            x = (x + other) / 2
    return x


def parameter_server(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """Workers send gradients to rank 0, which steps and broadcasts."""
    model = filled(torch, torch.nn.Linear(5, 2))
    x, y = numbers(torch, 30, 5, rank), numbers(torch, 30, 2, rank + 5)
    for step in range(4):
        if rank:
            model.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            for p in model.parameters():
                dist.send(p.grad, dst=0, tag=step)
        else:
            for worker in range(1, size):
                for p in model.parameters():
                    grad = torch.empty_like(p)
                    assert dist.recv(grad, src=worker, tag=step) == worker
                    p.data -= 0.1 * grad / (size - 1)
        for p in model.parameters():
            dist.broadcast(p.data, src=0)
    return list(model.parameters())


def pipeline(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """Micro-batches go up the ranks and their gradients come down."""
    stage = filled(torch, torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Tanh()))
    passed, requests = [], []
    for batch in range(4):
        x = numbers(torch, 3, 6, batch)
        if rank:
            dist.irecv(x, src=rank - 1).wait()
            x.requires_grad_()
        passed.append((x, stage(x)))
        if rank < size - 1:
            requests.append(dist.isend(passed[-1][1].detach(), dst=rank + 1))
    for x, y in passed:
        if rank == size - 1:
            y.pow(2).mean().backward()
        else:
            grad = torch.empty_like(y)
            dist.irecv(grad, src=rank + 1).wait()
            y.backward(grad)
        if rank:
            requests.append(dist.isend(x.grad, dst=rank - 1))
    for request in requests:
        request.wait()
    return [p.grad for p in stage.parameters()]


def local_sgd(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """Models that are averaged every third step, in the background."""
    model = filled(torch, torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(9):
        optimizer.zero_grad()
        (model(numbers(torch, 6, 4, rank + step)) - step).square().mean().backward()
        optimizer.step()
        if step % 3 == 2:
            works = [dist.all_reduce(p.data, async_op=True) for p in model.parameters()]
            for work, p in zip(works, model.parameters(), strict=True):
                work.wait()
                p.data /= size
    return list(model.parameters())


def evaluation(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """Rank 0 gathers what all predict and tells them the result."""
    own = {
        "rank": rank,
        "predicted": [10 * rank + i for i in range(3)],
        "t": torch.arange(3) + rank,
    }
    gathered = [None] * size if rank == 0 else None
    dist.gather_object(own, gathered, dst=0)
    best = [None]
    if gathered is not None:
        best = [sum(int(g["t"].sum()) + len(g["predicted"]) for g in gathered)]
    dist.broadcast_object_list(best, src=0)
    return best


def contrastive(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """A loss over the embeddings of all ranks, with gradients to each."""
    gather = importlib.import_module(f"{dist.__name__}.nn.functional").all_gather
    F = torch.nn.functional
    model = torch.nn.parallel.DistributedDataParallel(filled(torch, torch.nn.Linear(5, 4)))
    pairs = [F.normalize(model(numbers(torch, 4, 5, rank + s)), dim=-1) for s in (0, 50)]
    a, b = (torch.cat(gather(part)) for part in pairs)
    loss = F.cross_entropy(a @ b.t() / 0.1, torch.arange(len(a)))
    loss.backward()
    return [loss.detach(), *(p.grad for p in model.parameters())]


def tensor_parallel(torch: Any, dist: Any, rank: int, size: int) -> Any:
    """Two layers whose weights are split, after Megatron."""
    pair = dist.new_group([0, 1])

    class Copied(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            grad = grad.contiguous()
            dist.all_reduce(grad, group=pair)
            return grad

    class Reduced(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x = x.clone()
            dist.all_reduce(x, group=pair)
            return x

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad

    linear, place = torch.nn.functional.linear, dist.get_rank(pair)
    first = numbers(torch, 8, 6, 1).chunk(2, 0)[place].clone().requires_grad_()
    second = numbers(torch, 6, 8, 2).chunk(2, 1)[place].clone().requires_grad_()
    x = numbers(torch, 3, 6, 7).requires_grad_()
    inner = torch.nn.functional.gelu(linear(Copied.apply(x), first))
    y = Reduced.apply(linear(inner, second))
    y.pow(2).sum().backward()
    return [y.detach(), x.grad, first.grad, second.grad]


PROGRAMS: tuple[Program, ...] = (
    *(ring, gossip, parameter_server, pipeline, local_sgd, evaluation, contrastive),
    tensor_parallel,
)
