"""The key-value store through which ranks find each other.

`HashStore` lives in one process, `ZmqStore` talks to a `StoreServer` in the launcher, `TCPStore` is
served by a rank and `FileStore` by a file; `PrefixStore` gives a part of a store its own names. zmq
is imported only when a server or client is made.
"""

from disttorch.comm.store.base import Store
from disttorch.comm.store.client import ZmqStore
from disttorch.comm.store.file_store import FileStore
from disttorch.comm.store.hash_store import HashStore
from disttorch.comm.store.prefix import PrefixStore
from disttorch.comm.store.server import StoreServer
from disttorch.comm.store.tcp_store import TCPStore

__all__ = [
    "FileStore",
    "HashStore",
    "PrefixStore",
    "Store",
    "StoreServer",
    "TCPStore",
    "ZmqStore",
]
