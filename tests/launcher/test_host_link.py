"""Links of hosts that are all this one, over a store with a key; beats are made quick."""

import json
import select
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from disttorch.comm.curve import JobKey
from disttorch.comm.errors import StoreTimeoutError
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
def linked(nodes=(0, 1), max_restarts=0, *, start=True):
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
        for link in links if start else ():
            link.start()
        yield links, server
        for link in () if start else links:
            link.leave()


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


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test lets pass."""
    now = SimpleNamespace(s=1000.0)
    frozen = SimpleNamespace(monotonic=lambda: now.s, sleep=lambda s: None)
    monkeypatch.setattr(host_link, "time", frozen)
    return now


def looks(link, store, clock, for_s):
    """What a link that looks every half second learns in `for_s` seconds."""
    for _ in range(int(for_s / 0.5)):
        clock.s += 0.5
        link._look(store)
    return link.news() if select.select([link], [], [], 0)[0] else []


def test_host_that_went_before_it_wrote_a_page_is_lost(clock):
    with (
        linked(nodes=(0,), start=False) as ((link,), server),
        ZmqStore(server.address, 5.0, KEY) as store,
    ):
        assert looks(link, store, clock, host_link.LOST_S) == []
        (missed,) = looks(link, store, clock, 1.0)
        assert missed.cause.how == host_link.GONE


def test_time_in_which_this_process_was_stopped_is_no_silence_of_the_others(clock):
    with linked(start=False) as (links, server), ZmqStore(server.address, 5.0, KEY) as store:
        looks(links[1], store, clock, 1.0)
        assert looks(links[0], store, clock, 1.0) == []
        clock.s += 3600.0
        assert looks(links[0], store, clock, 0.5) == []
        looks(links[1], store, clock, 0.5)
        assert looks(links[0], store, clock, host_link.LOST_S) == []
        (missed,) = looks(links[0], store, clock, 1.0)
        assert missed.cause.how == host_link.GONE


class Frozen:
    """The store of a host whose process is stopped: connections are taken, nothing answers."""

    def set(self, key, value):
        raise StoreTimeoutError("no answer")

    check = multi_get = set


@pytest.mark.parametrize(("node", "how"), [(1, host_link.GONE), (0, host_link.SILENT_STORE)])
def test_store_that_never_answers_is_lost(node, how, clock):
    with linked(start=False) as (links, server), ZmqStore(server.address, 5.0, KEY) as store:
        for link in links:
            looks(link, store, clock, 1.0)
        assert looks(links[node], Frozen(), clock, host_link.LOST_S - 2.0) == []
        (missed,) = looks(links[node], Frozen(), clock, 3.0)
        assert missed.cause.how == how


def test_host_0_that_said_it_stands_still_may_be_silent(clock):
    with (
        linked(nodes=(1,), start=False) as ((link,), server),
        ZmqStore(server.address, 5.0, KEY) as store,
    ):
        page = {"beat": 1, "still": True, "left": False, "causes": {}, "ends": {}}
        store.set(host_link.page_key(0), json.dumps(page))
        assert looks(link, store, clock, 1.0) == []
        assert looks(link, Frozen(), clock, 100.0) == []


def test_whatever_ends_the_thread_is_told():
    with linked(nodes=(0,), start=False) as ((link,), server):
        with ZmqStore(server.address, 5.0, KEY) as store:
            store.set(host_link.page_key(1), "no page")
        link.start()
        (missed,) = next_news(link)
        assert missed.cause.host == 0
        assert missed.cause.how.startswith("can no longer speak with the others: JSONDecodeError")


def test_host_that_is_stopped_while_it_waits_says_why_it_leaves():
    stopped = HostCause(1, "stopped by SIGTERM", 143, "stopped by SIGTERM; exit status 143")
    with linked(max_restarts=2) as (links, _):
        links[1].tell_end(HostEnd(1, 3, BOOM), 0)
        next_news(links[0])
        assert links[0].running == ()
        assert links[1].running == (0,)
        links[1].tell_stop(stopped)
        (missed,) = next_news(links[0])
        assert isinstance(missed, HostLost)
        assert missed.cause == stopped
        all_leave(links)


def test_of_several_causes_of_a_host_the_first_counts():
    with linked() as (links, _):
        links[1].tell_cause(BOOM, 0)
        links[1].tell_cause(HostCause(1, "stopped by SIGINT", 130), 0)
        links[1].tell_end(HostEnd(1, 3), 0)
        links[0].tell_end(HostEnd(0, 0), 0)
        found = []
        while not found:
            found = [e for e in next_news(links[0]) if isinstance(e, HostsAgreed)]
        assert found[0].verdict.cause.how == BOOM.how
        all_leave(links)


def test_where_ranks_are_is_told_and_asked():
    with linked() as (links, _):
        links[1].tell_where({"alive": [2, 3], "n": 1})
        seen_s = []
        for n in (1, 1, 2):
            links[1].tell_where({"alive": [2, 3], "n": n})
            for _ in range(1000):
                links[0].tell_where({"alive": [0, 1]})
                time.sleep(2e-3)
                if links[0].elsewhere.get(1, (0.0, {}))[1].get("n") == n:
                    break
            at_s, told = links[0].elsewhere[1]
            assert told == {"alive": [2, 3], "n": n}
            seen_s.append(at_s)
        assert seen_s[0] == seen_s[1] < seen_s[2]
        all_leave(links)


def test_a_host_that_stands_still_is_known_to_the_others():
    with linked() as (links, _):
        for still in (True, False):
            links[1].stand_still(still)
            end_s = time.monotonic() + PATIENCE_S
            while links[0].stands_still is not still and time.monotonic() < end_s:
                time.sleep(2e-3)
            assert links[0].stands_still is still
        all_leave(links)


def test_a_store_that_does_not_answer_is_not_asked_where_ranks_are(clock):
    asked = []

    class Silent(Frozen):
        def set(self, key, value):
            asked.append(key)
            raise StoreTimeoutError("no answer")

    with linked(start=False) as (links, server), ZmqStore(server.address, 5.0, KEY) as store:
        link = links[1]
        looks(link, store, clock, 1.0)
        clock.s += host_link.BEAT_EVERY_S
        link._look(Silent())
        link.tell_where({"alive": [2]})
        link._take_post(Silent())
        assert asked == [host_link.page_key(1)]
        looks(link, store, clock, 1.0)
        link.tell_where({"alive": [2]})
        link._take_post(store)
        assert store.check([host_link.where_key(1)])
