"""Ranks in a grid: a process group along each of its dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from disttorch.distributed.subgroups import new_group
from disttorch.distributed.world import (
    get_rank,
    get_world_size,
    init_process_group,
    is_initialized,
    resolve_group,
)
from disttorch.tensor import Tensor

Ranks = np.ndarray[Any, np.dtype[np.int64]]


class DeviceMesh:
    """`mesh` holds global ranks in n dimensions; ranks that differ in one only share a group.

    All ranks of the job must make it alike. Raises ValueError if names and dimensions differ in
    number or a rank is named twice.
    """

    def __init__(
        self,
        device_type: str,
        mesh: Any,
        *,
        mesh_dim_names: Sequence[str] | None = None,
        _groups: Sequence[Any] | None = None,
    ) -> None:
        array = mesh._array if isinstance(mesh, Tensor) else mesh
        self._ranks: Ranks = np.asarray(array, np.int64)
        self.device_type = device_type
        self.mesh_dim_names = None if mesh_dim_names is None else tuple(mesh_dim_names)
        if self.mesh_dim_names is not None and len(self.mesh_dim_names) != self._ranks.ndim:
            raise ValueError("mesh_shape and mesh_dim_names should have same length!")
        if len(set(self._ranks.flat)) != self._ranks.size:
            raise ValueError("DeviceMesh cannot have duplicate values")
        if not is_initialized():
            init_process_group()
        if self._ranks.size > get_world_size():
            raise RuntimeError(
                f"Mesh should not be bigger than default world size {get_world_size()}, but found "
                f"{self._ranks.size} ranks!"
            )
        self._part_of: tuple[DeviceMesh, list[int]] | None = None
        self._flat: dict[str, DeviceMesh] = {}
        self._groups = list(_groups) if _groups is not None else self._make_groups()

    @classmethod
    def from_group(
        cls,
        group: Any,
        device_type: str,
        mesh: Any = None,
        *,
        mesh_dim_names: Sequence[str] | None = None,
    ) -> DeviceMesh:
        """Return the one-dimensional mesh of a group's ranks, or `mesh` with a group a dimension.

        ValueError for a list of groups without its mesh, or with another number of dimensions.
        """
        if not isinstance(group, (list, tuple)):
            ranks = list(resolve_group(group).ranks)
            if mesh is not None and np.asarray(mesh).tolist() != ranks:
                raise ValueError(f"Invalid mesh {mesh} for ProcessGroup with ranks {ranks}")
            return cls(device_type, ranks, mesh_dim_names=mesh_dim_names, _groups=[group])
        if len(group) == 0:
            raise ValueError("Expects at least one ProcessGroup to be passed")
        if mesh is None:
            raise ValueError("Must pass mesh if passing multiple ProcessGroups")
        made = cls(device_type, mesh, mesh_dim_names=mesh_dim_names, _groups=group)
        if made.ndim != len(group):
            raise ValueError(
                "Expects mesh with ndim equal to number of ProcessGroups but got mesh "
                f"{made._ranks.tolist()} and {len(group)} ProcessGroups"
            )
        return made

    @property
    def mesh(self) -> Tensor:
        """The global ranks as an integer tensor."""
        return Tensor._wrap(self._ranks.copy())

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self._ranks.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self._ranks.shape

    def size(self, mesh_dim: int | None = None) -> int:
        """Return the number of ranks, along one dimension or in all."""
        return self._ranks.size if mesh_dim is None else self._ranks.shape[mesh_dim]

    def get_rank(self) -> int:
        """Return this process's global rank."""
        return get_rank()

    def get_coordinate(self) -> list[int] | None:
        """Return this process's place in the mesh, None if it is not in it."""
        found = np.argwhere(self._ranks == get_rank())
        return [int(i) for i in found[0]] if len(found) else None

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """Return this process's rank in the group along a dimension; errors as of `get_group`."""
        return get_rank(self._groups[self._chosen(mesh_dim)])

    def get_group(self, mesh_dim: int | str | None = None) -> Any:
        """Return this process's group along a dimension, given by number or name.

        RuntimeError if there are several dimensions and none is given; KeyError for a name that
        there is not.
        """
        return self._groups[
            self._chosen(
                mesh_dim,
                "If you want to get the list of all the ProcessGroups in the DeviceMesh,"
                "please use `get_all_groups()` instead.",
            )
        ]

    def _chosen(self, mesh_dim: int | str | None, *advice: str) -> int:
        """The number of a dimension, which is the only one for None."""
        if mesh_dim is not None:
            return self._dim(mesh_dim)
        if self.ndim > 1:
            raise RuntimeError(
                f"Found the DeviceMesh have {self.ndim} dimensions",
                "Optional kwarg `mesh_dim` needs to be specified when device_mesh.ndim > 1.",
                *advice,
            )
        return 0

    def get_all_groups(self) -> list[Any]:
        """Return this process's groups along all dimensions."""
        return list(self._groups)

    def _flatten(
        self, mesh_dim_name: str | None = None, backend_override: Any = None
    ) -> DeviceMesh:
        """Return the one-dimensional mesh of this one's ranks; called by all ranks of the job.

        The mesh that this one is a part of knows it by its name, by default the dimensions' names.
        """
        root, dims = (self, range(self.ndim)) if self._part_of is None else self._part_of
        name = mesh_dim_name or "_".join(self.mesh_dim_names or map(str, dims))
        if name not in root._flat:
            size = int(np.prod([root._ranks.shape[dim] for dim in dims]))
            rows = np.moveaxis(root._ranks, list(dims), range(-len(dims), 0)).reshape(-1, size)
            ranks, groups = self._ranks.reshape(-1), [root._group_of(rows.tolist())]
            names = (name,)
            flat = DeviceMesh(self.device_type, ranks, mesh_dim_names=names, _groups=groups)
            root._flat[name] = flat
        return root._flat[name]

    def __enter__(self) -> DeviceMesh:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is bound to a mesh that would have to be undone."""

    def __getitem__(self, mesh_dim_names: str | tuple[str, ...]) -> DeviceMesh:
        names = (mesh_dim_names,) if isinstance(mesh_dim_names, str) else tuple(mesh_dim_names)
        if len(names) == 1 and names[0] in self._flat:
            return self._flat[names[0]]
        dims = [self._dim(name) for name in names]
        at = self.get_coordinate() or [0] * self.ndim
        index = tuple(slice(None) if i in dims else at[i] for i in range(self.ndim))
        kept = sorted(dims)
        part = self._ranks[index].transpose([kept.index(dim) for dim in dims])
        groups = [self._groups[dim] for dim in dims]
        sliced = DeviceMesh(self.device_type, part, mesh_dim_names=names, _groups=groups)
        sliced._part_of = (self, dims)
        return sliced

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DeviceMesh)
            and self.device_type == other.device_type
            and self.mesh_dim_names == other.mesh_dim_names
            and np.array_equal(self._ranks, other._ranks)
        )

    def __hash__(self) -> int:
        return hash((self.device_type, self.mesh_dim_names, self._ranks.tobytes()))

    def __repr__(self) -> str:
        if self.mesh_dim_names is None:
            return f"DeviceMesh('{self.device_type}', {self._ranks.tolist()})"
        sizes = ", ".join(
            f"{name}={n}" for name, n in zip(self.mesh_dim_names, self.shape, strict=True)
        )
        return f"DeviceMesh(({sizes}), '{self.device_type}')"

    def _dim(self, mesh_dim: int | str) -> int:
        if isinstance(mesh_dim, int):
            return mesh_dim
        if self.mesh_dim_names is None:
            raise KeyError("No `mesh_dim_names` found.")
        if mesh_dim not in self.mesh_dim_names:
            raise KeyError(
                f"Invalid mesh_dim_names {(mesh_dim,)} specified. Valid mesh_dim_names are "
                f"{list(self.mesh_dim_names)}."
            )
        return self.mesh_dim_names.index(mesh_dim)

    def _make_groups(self) -> list[Any]:
        groups = []
        for dim in range(self.ndim):
            rows = np.moveaxis(self._ranks, dim, -1).reshape(-1, self.shape[dim])
            groups.append(self._group_of(rows.tolist()))
        return groups

    @staticmethod
    def _group_of(rows: list[list[int]]) -> Any:
        """Make a group of each row; returns this rank's, None if it is in none."""
        own, mine = get_rank(), None
        for ranks in rows:
            group = new_group(ranks, sort_ranks=False)
            mine = group if own in ranks else mine
        return mine


def init_device_mesh(
    device_type: str,
    mesh_shape: tuple[int, ...],
    *,
    mesh_dim_names: tuple[str, ...] | None = None,
    backend_override: Any = None,
) -> DeviceMesh:
    """Make a mesh of the first ranks of the job in row-major order.

    RuntimeError if names are double, do not fit the shape, or the shape is larger than the job.
    """
    if mesh_dim_names is not None:
        if len(set(mesh_dim_names)) != len(mesh_dim_names):
            raise RuntimeError(
                "Each mesh_dim_name must be unique. Found repeated mesh_dim_name in "
                f"mesh_dim_names {mesh_dim_names}"
            )
        if len(mesh_dim_names) != len(mesh_shape):
            raise RuntimeError(
                "mesh_shape and mesh_dim_names should have same length! Found "
                f"len(mesh_dim_names): {len(mesh_dim_names)} and len(mesh_shape):{len(mesh_shape)}."
            )
    if device_type and not device_type.isalpha():
        raise RuntimeError(
            f"Device type with index is not supported but got {device_type}. ",
            "If you maintained a 'torch.device' object, it's recommended to pass in 'device.type'.",
        )
    ranks = np.arange(int(np.prod(mesh_shape))).reshape(mesh_shape)
    return DeviceMesh(device_type, ranks, mesh_dim_names=mesh_dim_names)
