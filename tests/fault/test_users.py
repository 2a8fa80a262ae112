"""Jobs of two users on one host, side by side; a store that is killed under a job."""

import ctypes
import os
import signal
import socket
import stat
import tempfile
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import disttorch as torch
from disttorch import distributed as dist
from disttorch import nn
from disttorch.comm.env import RankEnv
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import StoreServer, ZmqStore
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import run_ranks
from tests.launcher.jobs import Job

pytestmark = pytest.mark.fault

NOBODY = 65534
PR_SET_DUMPABLE = 4


def become(user):
    """Give up root; the others of this user may look into this process, as in any of theirs."""
    if user != os.getuid():
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def ours():
    """Modes and owners of the folders and files that look like ours, by name."""
    found = {}
    for folder in (tempfile.gettempdir(), "/dev/shm"):
        for entry in os.scandir(folder):
            if "disttorch" in entry.name:
                about = entry.stat()
                found[entry.path] = stat.S_IMODE(about.st_mode), about.st_uid
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_jobs_of_two_users_do_not_meet():
    ports = [free_port(), free_port()]

    def body(outer):
        job, rank = divmod(outer.rank, 2)
        become(NOBODY if job else 0)
        url = f"tcp://127.0.0.1:{ports[job]}"
        dist.init_process_group(init_method=url, rank=rank, world_size=2, timeout=30)
        model = DistributedDataParallel(nn.Linear(2, 2))
        model(torch.full((1, 2), float(outer.rank))).sum().backward()
        while_running = ours() if rank == 0 else {}
        dist.barrier()
        dist.destroy_process_group()
        return model.module.weight.grad[0, 0].item(), os.getuid(), while_running

    before = ours()
    results = run_ranks(4, body)
    assert [result[:2] for result in results] == [(0.5, 0), (0.5, 0), (2.5, NOBODY), (2.5, NOBODY)]
    for _, user, made in results:
        for path in made.keys() - before.keys():
            assert made[path][0] & 0o077 == 0, (path, made[path])
            assert made[path][1] in {0, NOBODY}
        if made:
            assert user in {owner for _, owner in made.values()}
    # A user's folder stays, for the next job; what was in it does not.
    left = ours().keys() - before.keys() | {path for path in before if "-stores-" in path}
    for path in left:
        assert "-stores-" in path
        assert not {str(port) for port in ports} & set(os.listdir(path)), path


WATCHED = """
    import os, signal
    import disttorch as torch
    import disttorch.distributed as dist
    dist.init_process_group()
    dist.all_reduce(torch.ones(4))
    print(os.getpid(), os.environ["DISTTORCH_RUN_DIR"], flush=True)
    signal.pause()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_reaches_nothing_of_a_job_even_without_a_umask(tmp_path):
    before = os.umask(0)
    try:
        job = Job(tmp_path, WATCHED, "--nproc", "2", "--show", "0")
    finally:
        os.umask(before)
    with job, ProcessPoolExecutor(1, initializer=become, initargs=(NOBODY,)) as somebody:
        _, pid, folder = job.lines(1)[0].split()
        paths = [folder, *(os.path.join(folder, name) for name in os.listdir(folder))]
        fds = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
        assert any(stat.S_ISSOCK(os.stat(path).st_mode) for path in paths)
        assert any("memfd" in os.readlink(fd) for fd in fds)
        for path in (*paths, *fds, f"/proc/{pid}/environ", f"/proc/{pid}/mem"):
            assert somebody.submit(refused, path).result() is PermissionError, path


def refused(path):
    """The kind of error that opening a file, listing a folder or speaking to a socket ends in."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    except ConnectionRefusedError:  # it is no socket
        try:
            os.listdir(path) if os.path.isdir(path) else os.close(os.open(path, os.O_RDONLY))
        except OSError as error:
            return type(error)
    except OSError as error:
        return type(error)
    return None


def test_a_job_goes_on_without_its_store(tmp_path):
    tmp_path.chmod(0o700)
    address = f"ipc://{tmp_path}/store.sock"
    ready, told = os.pipe()
    server = os.fork()
    if server == 0:
        with StoreServer(address) as store:
            os.write(told, b".")
            while True:
                store.step(0.2)
    os.read(ready, 1)

    def body(outer):
        store = ZmqStore(address, 20)
        group = ProcessGroup.from_env(RankEnv(outer.rank, 2), store, 20.0)
        group.barrier()
        if outer.rank == 0:
            os.kill(server, signal.SIGKILL)
        outer.barrier()
        part = group.new_group([0, 1])
        model = DistributedDataParallel(nn.Linear(2, 2), process_group=part)
        model(torch.full((1, 2), float(outer.rank))).sum().backward()
        array = np.ones(100_000)
        group.all_reduce(array)
        part.close()
        group.close()
        store.close()
        return model.module.weight.grad[0, 0].item(), array[-1]

    try:
        assert run_ranks(2, body) == [(0.5, 2.0)] * 2
    finally:
        os.close(ready)
        os.close(told)
        assert os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]) == -signal.SIGKILL
