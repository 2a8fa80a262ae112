import os
import select
import socket
import threading

import pytest

from disttorch.utils.data import channel
from disttorch.utils.data.channel import LoaderEnd, WorkerEnd


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    loader, worker = LoaderEnd(ours), WorkerEnd(theirs)
    yield loader, worker
    loader.close()
    worker.close()


def test_a_loader_never_waits_for_a_worker_that_does_not_read(ends):
    loader, worker = ends
    sent = [("task", i, os.urandom(100_000)) for i in range(50)]
    for message in sent:
        loader.send(message)
    assert loader.has_unsent
    received = []
    while len(received) < len(sent):
        loader.flush()
        received.append(worker.receive())
    assert received == sent
    assert not loader.has_unsent


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_messages_are_taken_whole(ends, cut):
    loader, worker = ends
    worker.send(("answer", list(range(100))))
    data = loader._socket.recv(1 << 16)
    theirs = worker._socket
    theirs.sendall(data[:cut])
    assert loader.receive() == []
    theirs.sendall(data[cut:] + data)
    assert loader.receive() == [("answer", list(range(100)))] * 2


def test_messages_that_were_put_travel_together(ends):
    loader, worker = ends
    for message in "abc":
        loader.put(message)
    loader.flush()
    assert worker.receive() == "a"
    worker.put("put")
    assert [worker.receive() for _ in "bc"] == ["b", "c"]
    assert loader.receive() == []
    loader.send("d")
    assert worker.receive() == "d"  # sends what was put before it waits
    worker.put("e")
    worker.send("f")
    assert loader.receive() == ["put", "e", "f"]


def test_both_ends_notice_that_the_other_has_gone(ends):
    loader, worker = ends
    loader.send("last")
    loader.close()
    assert worker.receive() == "last"
    with pytest.raises(EOFError):
        worker.receive()
    with pytest.raises(BrokenPipeError):
        worker.send("too late")


def test_nothing_is_raised_for_a_worker_that_died(ends):
    loader, worker = ends
    worker._socket.shutdown(socket.SHUT_RDWR)
    loader.send("lost")
    assert loader.receive() == []
    assert loader.ended
    assert not loader.has_unsent


def test_answers_that_are_held_are_sent_also_while_the_worker_is_busy(ends):
    loader, worker = ends
    for k in range(3):  # sent at once, held for others, sent by the thread
        worker.put(k)
        worker.flush_soon()
    received = []
    while len(received) < 3:
        assert select.select([loader], [], [], 5)[0], f"only {received} came"
        received += loader.receive()
    assert received == [0, 1, 2]
    loader.close()
    worker.put(3)
    with pytest.raises(BrokenPipeError):
        worker.flush()


def test_messages_are_as_they_were_when_they_were_put(ends):
    loader, worker = ends
    state = {"position": 1}
    worker.put(state)
    state["position"] = 2
    with pytest.raises(TypeError):
        worker.put(threading.Lock())  # costs the others nothing
    worker.flush()
    assert loader.receive() == [{"position": 1}]


def test_answers_are_not_held_where_no_thread_can_be_had(ends, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(channel, "_HELD_S", 1e9)
    loader, worker = ends
    worker.put("alone")
    worker.flush_soon()
    assert loader.receive() == ["alone"]
