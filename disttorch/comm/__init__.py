"""Process groups, collectives, transports and the key-value store: bytes and arrays, never Tensors.

Layers, each importing only those to its right: group > collectives > algorithms | connect | mailbox
> mesh > transport | store > header | wire > errors. `pyproject.toml` has them all.
"""
