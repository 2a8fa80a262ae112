"""The key-value store of one attempt. It lives in the launcher: no rank's death ends it."""

from pathlib import Path

from disttorch.comm.env import exit_key, join_key
from disttorch.comm.errors import DistStoreError
from disttorch.comm.store import StoreServer, ZmqStore
from disttorch_launcher.rendezvous import Meeting

# The server is in this very process, or has just answered: what takes longer will not come.
ANSWER_S = 2.0


class JobStore:
    """The store of attempt number `restarts`, served here, or the one that the hosts met at."""

    def __init__(self, run_dir: Path, restarts: int, meeting: Meeting | None = None) -> None:
        self._restarts = restarts
        self._server: StoreServer | None = None
        self._client: ZmqStore | None = None
        self._joined: set[int] = set()  # that they have joined stays true without the store
        self._given_up = False  # host 0 has gone: to ask again would hold up the launcher
        if meeting is None:
            self._server = StoreServer(f"ipc://{run_dir}/store-{restarts}.sock")
            self._server.start()
            self.address = self._server.address
        else:
            self.address = meeting.address
            # It is connected, so that it knows at once when the store has gone.
            self._client = meeting.client

    def rank_ended(self, rank: int, how: str) -> None:
        """Tell ranks that wait for this one to join that it never will."""
        if self._given_up:
            return
        try:
            self._ask().set(exit_key(self._restarts, rank), how)
        except DistStoreError:
            self._given_up = True  # the ranks then wait until the launcher stops them

    def has_joined(self, rank: int) -> bool:
        """True if the rank has announced itself to the process group."""
        if self._given_up or rank in self._joined:
            return rank in self._joined
        try:
            if self._ask().check([join_key(self._restarts, rank)]):
                self._joined.add(rank)
        except DistStoreError:
            self._given_up = True
        return rank in self._joined

    def close(self) -> None:
        """Stop serving and remove the socket; a store of several hosts goes on."""
        if self._server is None:
            return
        if self._client is not None:
            self._client.close()
        self._server.close()

    def _ask(self) -> ZmqStore:
        if self._client is None:
            self._client = ZmqStore(self.address, ANSWER_S)
        return self._client
