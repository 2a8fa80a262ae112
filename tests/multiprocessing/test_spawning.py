import os
import pickle
import signal
import threading

import pytest

from disttorch import multiprocessing as mp
from disttorch.utils.data import start_method


def write(index, folder):
    with open(os.path.join(folder, str(index)), "w") as file:
        file.write(str(os.getpid()))


def misbehave(index, how):
    if index == 1:
        how()
    signal.pause()


def test_each_process_has_its_number(tmp_path):
    assert mp.spawn(write, args=(str(tmp_path),), nprocs=2) is None
    pids = [(tmp_path / str(i)).read_text() for i in range(2)]
    assert len({*pids, str(os.getpid())}) == 3


def test_context_is_joined_later(tmp_path):
    context = mp.spawn(write, args=(str(tmp_path),), nprocs=1, join=False)
    assert len(context.pids()) == 1
    while not context.join(timeout=10):
        pass
    assert context.join()


def boom():
    raise ValueError("boom")


def test_exception_ends_all_processes():
    with pytest.raises(mp.ProcessRaisedException) as raised:
        mp.start_processes(misbehave, args=(boom,), nprocs=2, start_method="spawn")
    text = str(raised.value)
    assert text.startswith("\n\n-- Process 1 terminated with the following error:\nTraceback")
    assert text.endswith("ValueError: boom\n")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (again.error_index, again.pid) == (1, raised.value.error_pid)


# name: (what the process does, message, exit code)
ENDS = {
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), "with signal SIGKILL", -9),
    "left": (lambda: os._exit(5), "with exit code 5", 5),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends_without_an_exception(name):
    how, text, code = ENDS[name]
    with pytest.raises(mp.ProcessExitedException, match=f"process 1 terminated {text}") as raised:
        mp.spawn(misbehave, args=(how,), nprocs=2)
    assert raised.value.exit_code == code


def test_names_of_multiprocessing_are_there():
    for name in ("Process", "Queue", "Pool", "get_context", "set_start_method", "Event"):
        assert hasattr(mp, name)
    before = mp.get_sharing_strategy()
    for strategy in mp.get_all_sharing_strategies():
        mp.set_sharing_strategy(strategy)
        assert mp.get_sharing_strategy() == strategy
    mp.set_sharing_strategy(before)
    with pytest.raises(AssertionError, match="invalid sharing strategy 'telepathy', expected one"):
        mp.set_sharing_strategy("telepathy")


def test_exceptions_are_pytorchs():
    raised = mp.ProcessRaisedException(msg="m", error_index=1, error_pid=7)
    exited = mp.ProcessExitedException("m", 1, 7, exit_code=-9, signal_name="SIGKILL")
    for error in (raised, exited):
        again = pickle.loads(pickle.dumps(error))
        assert (again.msg, again.error_index, again.error_pid, again.pid) == ("m", 1, 7, 7)
    assert pickle.loads(pickle.dumps(exited)).signal_name == "SIGKILL"
    with pytest.warns(UserWarning, match="SpawnContext is renamed to ProcessContext since 1.4"):
        assert mp.SpawnContext([], []).join()


def finish(index, path):
    if index == 0:
        raise ValueError("boom")
    while not os.path.exists(path + ".failed"):
        pass
    open(path, "w").close()


def test_others_may_finish_within_the_grace_period(tmp_path):
    path = str(tmp_path / "done")
    context = mp.spawn(finish, args=(path,), nprocs=2, join=False)
    context.processes[0].join()
    open(path + ".failed", "w").close()
    with pytest.raises(mp.ProcessRaisedException, match="boom"):
        context.join(grace_period=30)
    assert os.path.exists(path)


class Unreadable:
    def __reduce__(self):
        return int, ("no number",)


def test_a_call_that_cannot_be_read_is_the_processs_error():
    with pytest.raises(mp.ProcessRaisedException, match="ValueError: invalid literal for int"):
        mp.spawn(write, args=(Unreadable(),))


def answer(index, lock, count, *answers):
    with lock:
        count.release()
    for put in answers:
        put(index)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_queues_pipes_and_locks_are_arguments(method):
    context = mp.get_context(method)
    receiver, sender = mp.Pipe(duplex=False)
    queues = context.Queue(), context.SimpleQueue()
    args = (context.Lock(), count := context.Semaphore(0), sender.send, *(q.put for q in queues))
    assert mp.start_processes(answer, args=args, nprocs=2, start_method=method) is None
    assert [count.acquire(block=False) for _ in range(3)] == [True, True, False]
    for get in (receiver.recv, *(q.get for q in queues)):
        assert {get(), get()} == {0, 1}
    queues[0].close()
    queues[0].join_thread()


class SentOnce:
    def __init__(self):
        self.n_sent = 0

    def __reduce__(self):
        self.n_sent += 1
        if self.n_sent == 2:
            raise ValueError("not again")
        return int, ()


def test_an_argument_that_cannot_be_sent_leaves_no_process():
    with pytest.raises(ValueError, match="not again"):
        mp.spawn(misbehave, args=(SentOnce(),), nprocs=2)
    assert not mp.active_children()


def test_fork_becomes_spawn_where_threads_run(tmp_path):
    hold = threading.Event()
    thread = threading.Thread(target=hold.wait, name="of somebody")
    thread.start()
    try:
        with pytest.warns(RuntimeWarning, match=r"instead of 'fork': threads .*\(of somebody\)"):
            mp.start_processes(write, args=(str(tmp_path),), nprocs=2, start_method="fork")
    finally:
        hold.set()
        thread.join()
    assert len(os.listdir(tmp_path)) == 2


def test_fork_is_not_taken_while_cuda_is_initialised(tmp_path, monkeypatch):
    monkeypatch.setattr(start_method, "cuda_is_initialized", lambda: True)
    with pytest.warns(RuntimeWarning, match="CUDA is initialised"):
        mp.start_processes(write, args=(str(tmp_path),), nprocs=1, start_method="fork")
    assert os.listdir(tmp_path) == ["0"]
