"""Links of hosts that are all this one, over a store with a key; beats are made quick."""

import json
import select
from contextlib import contextmanager

import pytest

from disttorch.comm.curve import JobKey
from disttorch.comm.store import StoreServer, ZmqStore
from disttorch_launcher import host_link
from disttorch_launcher.config import Hosts
from disttorch_launcher.host_link import HostLink
from disttorch_launcher.hosts import HostCause, HostEnd
from disttorch_launcher.rendezvous import Meeting
from disttorch_launcher.supervisor import HostFailed, HostLost, HostsAgreed

KEY = JobKey.new()
BOOM = HostCause(1, "rank 1 raised ValueError: boom", 3, text="all of it", restartable=True)
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(host_link, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(host_link, "BEAT_EVERY_S", 0.1)


@contextmanager
def linked(nodes=(0, 1), max_restarts=0):
    with StoreServer("tcp://127.0.0.1:*", KEY) as server:
        server.start()
        port = int(server.address.rpartition(":")[2])
        links = []
        for node in nodes:
            hosts = Hosts(2, node, "127.0.0.1", port)
            client = ZmqStore(server.address, 5.0, KEY)
            meeting = Meeting(hosts, KEY, [], server.address, server.address, client, None)
            links.append(HostLink(meeting, max_restarts))
            client.close()
        for link in links:
            link.start()
        yield links, server


def next_news(link):
    assert select.select([link], [], [], PATIENCE_S)[0]
    return link.news()


def all_leave(links):
    for link in reversed(links):
        link.leave()


def test_cause_and_end_reach_the_other_host():
    with linked() as (links, _):
        links[1].tell_cause(BOOM, 0)
        (failed,) = next_news(links[0])
        assert isinstance(failed, HostFailed)
        assert (failed.cause.how, failed.cause.text, failed.cause.order) == (BOOM.how, "", 1)
        links[1].tell_end(HostEnd(1, 3, BOOM), 0)
        links[0].tell_end(HostEnd(0, 0), 0)
        for node, link in enumerate(links):
            (agreed,) = [e for e in next_news(link) if isinstance(e, HostsAgreed)]
            assert (agreed.verdict.restart, agreed.verdict.status) == (False, 3)
            assert agreed.verdict.cause.text == "all of it"
            assert (agreed.elsewhere is None) == (node == 1)
        all_leave(links)


def test_every_attempt_is_agreed_on():
    with linked(max_restarts=2) as (links, _):
        for attempt in range(3):
            links[0].tell_end(HostEnd(0, 0), attempt)
            links[1].tell_end(HostEnd(1, 3, BOOM), attempt)
            for link in links:
                agreed = None
                while agreed is None:
                    found = [e for e in next_news(link) if isinstance(e, HostsAgreed)]
                    agreed = found[0] if found else None
                assert (agreed.restarts, agreed.verdict.restart) == (attempt, attempt < 2)
        all_leave(links)


def test_host_that_stands_still_is_not_lost_one_that_says_nothing_is(monkeypatch):
    monkeypatch.setattr(host_link, "LOST_S", 0.5)
    with linked() as (links, _):
        links[1].stand_still(True)
        monkeypatch.setattr(links[1], "_beat", lambda: 0)
        assert not select.select([links[0]], [], [], 1.0)[0]
        links[1].stand_still(False)
        (missed,) = next_news(links[0])
        assert isinstance(missed, HostLost)
        assert missed.cause.text == f"first cause: host 1 {host_link.GONE}"
        all_leave(links)


def test_host_0_goes_with_the_store():
    with linked(nodes=(1,)) as (links, server):
        with ZmqStore(server.address, 5.0, KEY) as store:
            page = {"beat": 1, "still": False, "left": False, "causes": {}, "ends": {}}
            store.set(host_link.page_key(0), json.dumps(page))
            store.wait([host_link.page_key(1)])
        server.close()
        (missed,) = next_news(links[0])
        assert missed.cause.how == host_link.GONE
        all_leave(links)
