"""Ranks in a grid."""

import pytest

import disttorch as torch
import disttorch.distributed as dist
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks


def body(group):
    _World.group = dist.GroupMember.WORLD = group
    mesh = dist.init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    sums = []
    for name in ("dp", "tp"):
        t = torch.tensor([float(group.rank)])
        dist.all_reduce(t, group=mesh.get_group(name))
        sums.append(t.item())
    flipped = mesh["tp", "dp"]
    with pytest.raises(RuntimeError, match="`mesh_dim` needs to be specified"):
        mesh.get_group()
    with pytest.raises(KeyError, match="Invalid mesh_dim_names"):
        mesh["pp"]
    line = dist.DeviceMesh.from_group(mesh.get_group("tp"), "cpu")
    return {
        "sums": sums,
        "coordinate": mesh.get_coordinate(),
        "local": [mesh.get_local_rank(0), mesh["tp"].get_local_rank()],
        "slice": mesh["dp"].mesh.tolist(),
        "flipped": flipped.mesh.tolist(),
        "line": (line.mesh.tolist(), line.ndim, line.size()),
        "repr": repr(mesh),
        "equal": dist.DeviceMesh.from_group(mesh.get_group("tp"), "cpu") == line != flipped,
    }


def test_a_mesh_of_four():
    results = run_ranks(4, body)
    assert [r["sums"] for r in results] == [[2.0, 1.0], [4.0, 1.0], [2.0, 5.0], [4.0, 5.0]]
    assert [r["coordinate"] for r in results] == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert [r["local"] for r in results] == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert [r["slice"] for r in results] == [[0, 2], [1, 3], [0, 2], [1, 3]]
    assert results[0]["flipped"] == [[0, 2], [1, 3]]
    assert results[2]["line"] == ([2, 3], 1, 2)
    assert results[0]["repr"] == "DeviceMesh((dp=2, tp=2), 'cpu')"
    assert all(r["equal"] for r in results)
