import multiprocessing
import os
import resource
import threading
from multiprocessing import resource_sharer

import numpy as np
import pytest

import disttorch as torch
from disttorch import multiprocessing as mp
from disttorch import nn
from disttorch.backends.cpu import shared_memory


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Descriptors are handed over by a thread of multiprocessing."""
    yield
    resource_sharer.stop(10)


def train(index, model, seen):
    """Two steps on weights that others use too."""
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for optimizer in (sgd, torch.optim.Adam(model.parameters(), lr=0.1)):
        optimizer.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    seen[index] += 1


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_processes_train_one_shared_model(method):
    """As PyTorch's Hogwild example does."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2).eval()).share_memory()
    before = model[0].weight.detach().clone()
    seen = torch.zeros(2).share_memory_()
    mp.start_processes(train, args=(model, seen), nprocs=2, start_method=method)
    assert seen.tolist() == [1, 1]
    assert model[0].weight.is_shared()
    assert (model[0].weight < before).all()


def test_processes_of_pythons_own_module_share_too():
    x = torch.zeros(4, 3).t().share_memory_()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=torch.Tensor.fill_, args=(x[1:], 5))
    process.start()
    process.join()
    assert x.stride() == (1, 3)
    assert x.sum(1).tolist() == [0, 20, 20]


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "Pipe"])
def test_shared_tensors_stay_shared_through(kind):
    x, copied = torch.arange(6.0).share_memory_(), torch.ones(2)
    weight = nn.Parameter(torch.ones(1 << 20).share_memory_())
    if kind == "Pipe":
        receiver, sender = mp.Pipe(duplex=False)
        put, get = sender.send, receiver.recv
    else:
        queue = getattr(mp.get_context("spawn"), kind)()
        put, get = queue.put, queue.get
    put((x[2:4], weight, copied))
    part, other, copy = get()
    part.add_(10)
    other.detach()[7] = 3
    copy.zero_()
    assert x.tolist() == [0, 1, 12, 13, 4, 5]
    assert weight[7] == 3 and type(other) is nn.Parameter and other.requires_grad
    assert copied.tolist() == [1, 1]
    assert part.is_shared() and other.is_shared() and not copy.is_shared()
    if kind == "Queue":
        queue.close()
        queue.join_thread()


def send_back(index, receiver, sender):
    """The third message is of what came with the first; what came is written to at the end."""
    x = receiver.recv()
    sender.send(x)
    sender.send(x[1:])
    receiver.recv()
    x.mul_(2)


def test_tensors_that_a_spawned_process_sends_back_or_on_are_shared():
    x = torch.arange(3.0).share_memory_()
    (theirs, ours), (ours_back, theirs_back) = mp.Pipe(duplex=False), mp.Pipe(duplex=False)
    context = mp.spawn(send_back, args=(theirs, theirs_back), nprocs=1, join=False)
    ours.send(x)
    back, part = ours_back.recv(), ours_back.recv()
    assert back.is_shared() and part.is_shared()
    back.add_(10)
    ours.send(None)
    while not context.join():
        pass
    assert x.tolist() == [20, 22, 24]
    assert part.tolist() == [22, 24]


def test_a_message_of_many_tensors_needs_few_descriptors():
    model = nn.ParameterList(torch.ones(5) for _ in range(300)).share_memory()
    receiver, sender = mp.Pipe(duplex=False)
    n_open = len(os.listdir("/proc/self/fd"))
    sending = threading.Thread(target=sender.send, args=(model,), daemon=True)  # not all fits
    sending.start()
    receiver.poll(None)
    assert len(os.listdir("/proc/self/fd")) <= n_open + 2  # one for the block, one to ask for it
    other = receiver.recv()
    sending.join()
    other[299].detach().fill_(7)
    assert model[299].sum() == 35


def test_many_tensors_need_few_descriptors():
    n_open = len(os.listdir("/proc/self/fd"))
    model = nn.ParameterList(torch.ones(5) for _ in range(500)).share_memory()
    large = torch.ones(5 << 20).share_memory_()
    assert len(os.listdir("/proc/self/fd")) <= n_open + 4
    assert all(p.is_shared() and p.sum() == 5 for p in model)
    assert large.untyped_storage().nbytes() == 20 << 20
    del model, large
    assert len(os.listdir("/proc/self/fd")) <= n_open


def test_forked_processes_take_memory_of_their_own():
    x = torch.zeros(3).share_memory_()
    if (child := os.fork()) == 0:
        y = torch.ones(3).share_memory_()
        os._exit(int(y.sum()) - 3)
    assert os.waitpid(child, 0)[1] == 0
    z = torch.ones(3).share_memory_()
    assert x.sum() == 0 and z.sum() == 3
    mine, theirs = (shared_memory.block_of(t._array) for t in (x, z))
    assert mine is theirs is not None


def test_a_tensor_with_a_history_is_not_sent():
    receiver, sender = mp.Pipe(duplex=False)
    x = torch.ones(2, requires_grad=True)
    for shared in (x * 2, (x * 2).share_memory_()):
        with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
            sender.send([shared])
        with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
            mp.spawn(print, args=(shared,))
    sender.send((x * 2).detach())
    assert receiver.recv().tolist() == [2, 2]


def test_a_shared_tensor_does_not_grow_out_of_its_memory():
    x = torch.zeros(4).share_memory_()
    assert x.resize_(2, 1).is_shared() and x.resize_(4).is_shared()
    with pytest.raises(RuntimeError, match="Trying to resize storage that is not resizable"):
        x.resize_(5)
    assert x.shape == (4,) and x.is_shared()


@pytest.mark.parametrize("make", [lambda: np.arange(3), lambda: np.array(["a", None], object)])
def test_other_arrays_are_sent_as_ever(make):
    torch.ones(1).share_memory_()
    receiver, sender = mp.Pipe(duplex=False)
    sender.send(make())
    assert receiver.recv().tolist() == make().tolist()


def test_a_file_that_may_not_be_so_long_is_an_error():
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            torch.ones(5 << 20).share_memory_()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_no_descriptors_is_an_error():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limit[1]))
    taken = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        os.close(taken.pop())  # enough for the file, but not to map it
        with pytest.raises(OSError, match="Too many open files"):
            torch.ones(5 << 20).share_memory_()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        for fd in taken:
            os.close(fd)
