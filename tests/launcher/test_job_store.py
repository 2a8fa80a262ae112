from types import SimpleNamespace

from disttorch.comm.env import join_key
from disttorch.comm.store import StoreServer, ZmqStore
from disttorch_launcher.job_store import JobStore


def test_who_has_joined_is_known_also_when_the_store_has_gone(tmp_path):
    tmp_path.chmod(0o700)
    with StoreServer(f"ipc://{tmp_path}/store.sock") as server:
        server.start()
        client = ZmqStore(server.address, 0.2)
        store = JobStore(tmp_path, 2, SimpleNamespace(address=server.address, client=client))
        client.set(join_key(2, 0), "here")
        client.set(join_key(1, 1), "an attempt ago")
        assert (store.has_joined(0), store.has_joined(1)) == (True, False)
        client.set(join_key(2, 1), "here")
    assert (store.has_joined(0), store.has_joined(1)) == (True, False)
    client.close()
