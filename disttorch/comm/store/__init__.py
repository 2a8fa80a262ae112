"""The key-value store through which ranks find each other.

`HashStore` lives in one process, `ZmqStore` talks to a `StoreServer` in the launcher, `PrefixStore`
gives a part of another store its own names. zmq is imported only when a server or client is made.
"""

from disttorch.comm.store.base import Store
from disttorch.comm.store.client import ZmqStore
from disttorch.comm.store.hash_store import HashStore
from disttorch.comm.store.prefix import PrefixStore
from disttorch.comm.store.server import StoreServer

__all__ = ["HashStore", "PrefixStore", "Store", "StoreServer", "ZmqStore"]
