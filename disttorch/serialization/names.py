"""Torch's names in a pickle: what a file says, without torch being installed."""

from __future__ import annotations

from typing import Any

from disttorch.dtype import ALL, TYPE_NAMES, dtype


class Named:
    """A global written into a pickle as ``module name`` although there is no such module here.

    Callable only because the pickler asks that of what rebuilds an object.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *args: Any) -> None:
        """Refuse, with TypeError: a name is only for writing."""
        raise TypeError(f"{self.module}.{self.name} is a name in a file, not a function")


REBUILD_TENSOR = Named("torch._utils", "_rebuild_tensor_v2")
REBUILD_TENSOR_OF_DTYPE = Named("torch._utils", "_rebuild_tensor_v3")
REBUILD_PARAMETER = Named("torch._utils", "_rebuild_parameter")
REBUILD_PARAMETER_WITH_STATE = Named("torch._utils", "_rebuild_parameter_with_state")
REBUILD_FROM_TYPE = Named("torch._tensor", "_rebuild_from_type_v2")
TENSOR = Named("torch", "Tensor")
SIZE = Named("torch", "Size")
DEVICE = Named("torch", "device")
DTYPES = {kind: Named("torch", kind.name) for kind in ALL}
UNTYPED_STORAGE = Named("torch.storage", "UntypedStorage")
# The unsigned types beyond uint8 came after typed storages had been given up.
_WITHOUT_STORAGE_TYPE = ("uint16", "uint32", "uint64")
STORAGES = {
    kind: Named("torch", f"{TYPE_NAMES[kind]}Storage")
    for kind in ALL
    if kind.name not in _WITHOUT_STORAGE_TYPE
}


class StorageType:
    """What a storage's name in a file stands for: its element type, None for plain bytes."""

    __slots__ = ("dtype",)

    def __init__(self, kind: dtype | None) -> None:
        self.dtype = kind


def storage_types() -> dict[tuple[str, str], StorageType]:
    """Return the storage types by their (module, name) in files, CUDA's too."""
    types = {(UNTYPED_STORAGE.module, UNTYPED_STORAGE.name): StorageType(None)}
    for kind, named in STORAGES.items():
        types["torch", named.name] = types["torch.cuda", named.name] = StorageType(kind)
    return types
