"""What the hosts of a running job tell each other, through the store that they met at.

Every host keeps one page there, which only it writes: a beat, and for the latest attempts why and
how its ranks ended. A thread writes it and reads those of the others, so that a network that has
gone quiet never holds up the launcher's loop; what it learns becomes events for `supervisor`.
"""

import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from disttorch.comm.errors import DistStoreError
from disttorch.comm.store import ZmqStore
from disttorch_launcher import hosts
from disttorch_launcher.hosts import HostCause, HostEnd
from disttorch_launcher.rendezvous import ANSWER_S, Meeting
from disttorch_launcher.supervisor import Event, HostFailed, HostLost, HostsAgreed

LOOK_EVERY_S = 0.2
BEAT_EVERY_S = 1.0
# Without a beat for so long, while we listened, a host has gone, or the network to it.
LOST_S = 6.0
LEAVE_S = 5.0
STILL_S = 1.0  # for a last word before this process is stopped
MAX_TEXT_CHARS = 20_000
# Attempts on a page: a host can be ahead of another by one.
KEPT = 2
GONE = "has gone: its launcher was killed, or the network to it is down"
LEFT = "has left the job"
SILENT_STORE = "has lost its store: nothing answers there"


def page_key(node: int) -> str:
    """Where the page of host `node` is in the store."""
    return f"host/{node}/page"


def where_key(node: int) -> str:
    """Where host `node` says in the store where its ranks are (`whereabouts`)."""
    return f"host/{node}/where"


class HostLink:
    """This host's end; `fileno` becomes readable when there is `news`."""

    def __init__(self, meeting: Meeting, max_restarts: int) -> None:
        self._meeting = meeting
        self.node = meeting.hosts.node
        self._others = [n for n in range(meeting.hosts.n_nodes) if n != self.node]
        self._max_restarts = max_restarts
        self._posts: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._read_fd, self._write_fd = os.pipe()
        self._page: dict[str, Any] = {"beat": 0, "still": False, "left": False, "stop": None}
        self._page |= {"causes": {}, "ends": {}}
        self._present: set[int] = set()  # hosts whose page has been there
        self._beats: dict[int, int] = {}
        self._silent_s = dict.fromkeys((0, *self._others), 0.0)  # since the last beat
        self._looked_s = time.monotonic()
        self._store_stands_still = False
        self._gone: set[int] = set()
        self._cut_off = False  # host 0 has gone, with the store; it may say that it leaves, before
        self._told: set[tuple[int, int]] = set()  # causes passed on: host, attempt
        self._restarts = 0
        self._running = tuple(self._others)  # replaced, never changed: both threads read it
        # Where the others' ranks are, and when that was news; replaced, never changed.
        self._elsewhere: dict[int, tuple[float, dict[str, Any]]] = {}
        self._stands_still = False
        self._fails = False  # the store has not answered when it was last asked
        self._written = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._read_fd

    def start(self) -> None:
        """Begin to talk; after this, process and thread share nothing but queues."""
        self._thread.start()

    def tell_cause(self, cause: HostCause, restarts: int) -> None:
        """Tell the others at once that attempt `restarts` has failed here."""
        self._posts.put(("causes", restarts, replace(cause, text="")))

    def tell_end(self, end: HostEnd, restarts: int) -> None:
        """Tell the others how the ranks of this host ended in attempt `restarts`."""
        cause = end.cause and replace(end.cause, text=end.cause.text[-MAX_TEXT_CHARS:])
        self._posts.put(("ends", restarts, replace(end, cause=cause)))

    def tell_stop(self, cause: HostCause) -> None:
        """Tell the others that this host leaves, for its user's sake, without their word."""
        self._posts.put(("stop", 0, hosts.pack(cause)))

    @property
    def running(self) -> tuple[int, ...]:
        """The hosts whose ranks had not all ended when they were last looked at."""
        return self._running

    def tell_where(self, where: dict[str, Any]) -> None:
        """Tell the others where this host's ranks are, and ask the same of them."""
        self._posts.put(("where", 0, where))

    @property
    def elsewhere(self) -> Mapping[int, tuple[float, dict[str, Any]]]:
        """What each other host told last of its ranks, and when this host first read it."""
        return self._elsewhere

    @property
    def stands_still(self) -> bool:
        """Whether another host has been stopped by its user (Ctrl-Z)."""
        return self._stands_still

    def news(self) -> list[Event]:
        """What has been learnt since the last call, in order."""
        os.read(self._read_fd, 1 << 12)
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._news.get_nowait())
        return found

    def stand_still(self, still: bool) -> None:
        """Ctrl-Z: say that this host's beats will not come for a while, or come again."""
        self._written.clear()
        self._posts.put(("still", 0, still))
        self._written.wait(STILL_S)
        if still and self.node == 0:
            time.sleep(2 * LOOK_EVERY_S)  # once this process stops, nobody can read that page

    def leave(self) -> None:
        """Say good-bye: host 0 stays, LEAVE_S at most, until the others have done so."""
        self._posts.put(("left", 0, True))
        if self._thread.ident is not None:
            self._thread.join(LEAVE_S)
        os.close(self._read_fd)
        if not self._thread.is_alive():
            os.close(self._write_fd)

    # The thread

    def _run(self) -> None:
        try:
            store = ZmqStore(self._meeting.near, ANSWER_S, self._meeting.key)
            with contextlib.closing(store):
                while not self._is_over():
                    self._look(store)
                    self._take_post(store)
        except Exception as error:  # whatever it is: the launcher would wait for our word for ever
            self._lost(self.node, f"can no longer speak with the others: {error!r}")

    def _look(self, store: ZmqStore) -> None:
        now_s = time.monotonic()
        # If this process was stopped meanwhile, it is not the others who were silent.
        listened_s = min(now_s - self._looked_s, LOST_S / 2)
        self._looked_s = now_s
        if self._cut_off:
            return
        try:
            self._write(store)
            self._read(store, listened_s)
            self._fails = False
        except DistStoreError:
            self._fails = True
            if not self._store_stands_still:
                self._silent_s[0] += listened_s
            self._store_failed()

    def _is_over(self) -> bool:
        """Whether this host may go: it has said so, and if it serves, so have the others."""
        if not self._page["left"]:
            return False
        return self.node != 0 or self._gone.issuperset(self._others)

    def _take_post(self, store: ZmqStore) -> None:
        """Wait a while for what the launcher has to tell, and write it on the page."""
        try:
            what, restarts, told = self._posts.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            return
        if what == "where":
            self._exchange(store, told)
            return
        if what in ("left", "still", "stop"):
            self._page[what] = told
        elif what == "causes":
            self._put(what, restarts, replace(told, order=self._number(store, restarts)))
        else:
            self._put(what, restarts, told)
        try:
            if not self._cut_off:
                self._write(store, now=True)
        except DistStoreError:
            self._store_failed()
        self._written.set()

    def _exchange(self, store: ZmqStore, where: dict[str, Any]) -> None:
        if self._cut_off or self._fails:
            return  # each question would hold up how soon a host is missed
        try:
            store.set(where_key(self.node), json.dumps(where))
            told = [n for n in self._others if n in self._elsewhere or store.check([where_key(n)])]
            values = map(json.loads, store.multi_get([where_key(node) for node in told]))
        except DistStoreError:
            self._store_failed()
            return
        now_s, before = time.monotonic(), self._elsewhere
        self._elsewhere = {
            node: before[node] if node in before and before[node][1] == value else (now_s, value)
            for node, value in zip(told, values, strict=True)
        }

    def _number(self, store: ZmqStore, restarts: int) -> int:
        """The place of a cause among those of all hosts; 0, the last, if the store has gone."""
        try:
            return 0 if self._cut_off else store.add(f"job/causes/{restarts}", 1)
        except DistStoreError:
            self._store_failed()
            return 0

    def _put(self, what: str, restarts: int, told: HostCause | HostEnd) -> None:
        kept = self._page[what]
        kept.setdefault(str(restarts), hosts.pack(told))  # of several causes the first counts
        kept.pop(str(restarts - KEPT), None)

    def _write(self, store: ZmqStore, *, now: bool = False) -> None:
        beat = self._beat()
        if now or beat != self._page["beat"]:
            self._page["beat"] = beat
            store.set(page_key(self.node), json.dumps(self._page))

    def _beat(self) -> int:
        return int(time.monotonic() / BEAT_EVERY_S)

    def _read(self, store: ZmqStore, listened_s: float) -> None:
        """Look at the other hosts' pages, and tell what is new."""
        pages = self._pages(store)
        self._stands_still = any(page["still"] for page in pages.values())
        if self.node == 0:
            self._silent_s[0] = 0.0  # the store has answered
        for node in self._others:
            page = pages.get(node, {"beat": None, "still": False})
            beat, is_still = page["beat"], page["still"]
            self._silent_s[node] += listened_s
            if beat != self._beats.get(node) or is_still:
                self._beats[node], self._silent_s[node] = beat, 0.0
            elif self._silent_s[node] > LOST_S:
                self._lost(node, GONE)
            if node == 0:
                self._store_stands_still = is_still
        name = str(self._restarts)
        ended = {n for n, page in pages.items() if name in page["ends"]}
        self._running = tuple(n for n in self._others if n not in ended)
        self._pass_on_causes(pages)
        for page in pages.values():
            if page.get("stop"):
                self._stopped(hosts.unpack_cause(page["stop"]))
        self._decide(pages)
        for node, page in pages.items():
            if page["left"]:
                self._lost(node, LEFT)

    def _pages(self, store: ZmqStore) -> dict[int, dict[str, Any]]:
        """The others' pages; a host that went after the meeting may never have written one."""
        new = set(self._others) - self._present
        self._present |= {node for node in new if store.check([page_key(node)])}
        nodes = sorted(self._present)
        values = store.multi_get([page_key(node) for node in nodes])
        return dict(zip(nodes, map(json.loads, values), strict=True))

    def _pass_on_causes(self, pages: Mapping[int, Mapping[str, Any]]) -> None:
        restarts = self._restarts
        for node, page in pages.items():
            end = page["ends"].get(str(restarts)) or {}
            values = page["causes"].get(str(restarts)) or end.get("cause")
            if values and (node, restarts) not in self._told:
                self._told.add((node, restarts))
                cause = hosts.unpack_cause(values)
                self._tell(HostFailed(cause, restarts, time.monotonic()))

    def _decide(self, pages: Mapping[int, Mapping[str, Any]]) -> None:
        name = str(self._restarts)
        all_pages = [self._page, *pages.values()]
        ended = [name in page["ends"] for page in all_pages]
        if len(ended) <= len(self._others) or not all(ended):
            return
        ends = [hosts.unpack_end(page["ends"][name]) for page in all_pages]
        causes = [hosts.unpack_cause(p["causes"][name]) for p in all_pages if name in p["causes"]]
        left = self._max_restarts - self._restarts
        verdict = hosts.agree(ends, causes, restarts_left=left)
        cause = verdict.cause
        elsewhere = cause if cause and cause.host != self.node else None
        self._tell(HostsAgreed(verdict, self._restarts, elsewhere))
        self._restarts += 1

    def _store_failed(self) -> None:
        """Whether host 0 has gone, or this was a hiccup of the network."""
        if self.node == 0:
            if self._silent_s[0] > LOST_S:
                self._lost(0, SILENT_STORE)
            return
        address = self._meeting.hosts.address, self._meeting.hosts.port
        refused = False
        try:
            # Somebody listens even while its process is stopped: that is no proof of life.
            socket.create_connection(address, timeout=ANSWER_S).close()
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
        if refused or self._silent_s[0] > LOST_S:
            self._lost(0, GONE)

    def _lost(self, node: int, why: str) -> None:
        self._cut_off |= node == 0 and why in (GONE, SILENT_STORE)
        if node not in self._gone:
            self._gone.add(node)
            self._tell(HostLost(hosts.lost(node, why), time.monotonic()))

    def _stopped(self, cause: HostCause) -> None:
        if cause.host not in self._gone:
            self._gone.add(cause.host)
            self._tell(HostLost(cause, time.monotonic()))

    def _tell(self, event: Event) -> None:
        self._news.put(event)
        with contextlib.suppress(OSError):  # the launcher has ended
            os.write(self._write_fd, b"!")
