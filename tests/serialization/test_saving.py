from __future__ import annotations

import io
import os
import pathlib
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import disttorch
from disttorch import serialization
from disttorch.dtype import ALL
from disttorch.nn.parameter import Parameter


def tensor(array):
    return disttorch.Tensor._wrap(np.asarray(array))


def saved(obj, **options):
    stream = io.BytesIO()
    serialization.save(obj, stream, **options)
    stream.seek(0)
    return stream


class Marked(disttorch.Tensor):
    """A user's subclass."""


def test_writes_torchs_records(tmp_path):
    serialization.save({"w": tensor(np.ones(3, "f4"))}, tmp_path / "model.v1.pt")
    with zipfile.ZipFile(tmp_path / "model.v1.pt") as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    pickled = records.pop("model.v1/data.pkl")
    assert records == {
        "model.v1/.format_version": b"1",
        "model.v1/.storage_alignment": b"64",
        "model.v1/byteorder": b"little",
        "model.v1/data/0": np.ones(3, "f4").tobytes(),
        "model.v1/version": b"3\n",
    }
    assert b"ctorch._utils\n_rebuild_tensor_v2\n" in pickled
    assert b"ctorch\nFloatStorage\n" in pickled
    assert b"disttorch" not in pickled


def test_shared_memory_is_written_once_and_stays_shared():
    base = np.arange(1000.0)
    stream = saved([tensor(base), tensor(base[10:20]), tensor(base.reshape(10, 100).T)])
    assert len(stream.getvalue()) < 2 * base.nbytes
    whole, part, turned = serialization.load(stream)
    whole._array[10] = -1
    assert part._array[0] == -1
    assert turned._array[10, 0] == -1
    again = serialization.load(saved([part, turned]))
    again[0]._array[0] = -2
    assert again[1]._array[10, 0] == -2


def test_memory_seen_as_two_dtypes_is_written_twice():
    numbers = np.ones(2, "f4")
    first, second = serialization.load(saved([tensor(numbers), tensor(numbers.view("i4"))]))
    assert first.tolist() == [1.0, 1.0]
    assert second.tolist() == [0x3F800000] * 2


VALUES = {
    "numbers": [1, -(1 << 70), 0.1, 1 - 2j, True, None],
    "text and bytes": {"naïve": b"\x00\xff", "empty": ""},
    "containers": (1, [2, {3}], {"a": (4,)}, OrderedDict(b=5), bytearray(b"x")),
    "size": disttorch.Size([1, 2]),
    "dtypes": [disttorch.float32, disttorch.bool, disttorch.uint64],
    "devices": [disttorch.device("cpu"), disttorch.device("cuda", 1)],
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", VALUES)
def test_values_come_back(name, protocol):
    again = serialization.load(saved(VALUES[name], pickle_protocol=protocol))
    assert again == VALUES[name]
    assert type(again) is type(VALUES[name])


@pytest.mark.parametrize("protocol", [2, 5])
def test_tensors_come_back_as_what_they_were(protocol):
    parameter, noted = Parameter(tensor(np.ones(2, "f4"))), Parameter(tensor(np.ones(2)))
    noted.group = "head"
    noted_plain, subclass = tensor(np.ones(1)), Marked._wrap(np.ones(2))
    noted_plain.note = {"by": "hand"}
    leaf = tensor(np.ones(2)).requires_grad_()
    stream = saved([parameter, noted, noted_plain, leaf, subclass], pickle_protocol=protocol)
    with serialization.safe_globals([Marked]):
        loaded = serialization.load(stream)
    kinds = [type(t) for t in loaded]
    assert kinds == [Parameter, Parameter, disttorch.Tensor, disttorch.Tensor, Marked]
    assert [t.requires_grad for t in loaded] == [True, True, False, True, False]
    assert (loaded[1].group, loaded[2].note) == ("head", {"by": "hand"})


def test_one_object_stays_one_object():
    weight = Parameter(tensor(np.ones(2, "f4")))
    first, second = serialization.load(saved({"a": weight, "b": weight})).values()
    assert first is second


def test_a_state_dict_keeps_its_metadata():
    state = OrderedDict(w=tensor(np.ones(2, "f4")))
    state._metadata = OrderedDict({"": {"version": 1}})
    assert serialization.load(saved(state))._metadata == state._metadata


def test_a_failed_save_keeps_the_old_checkpoint(tmp_path):
    path = tmp_path / "x.pt"
    serialization.save({"epoch": 1}, path)
    with pytest.raises((pickle.PicklingError, AttributeError), match="pickle"):
        serialization.save({"epoch": 2, "bad": lambda: None}, path)
    assert serialization.load(path) == {"epoch": 1}
    assert os.listdir(tmp_path) == ["x.pt"]


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        (lambda folder: 5, AttributeError, "expected 'f' to be string, path, or a file-like"),
        (lambda folder: folder, IsADirectoryError, "it is a folder, name a file in it"),
        (lambda folder: str(folder / "no" / "x"), RuntimeError, "Parent directory"),
    ],
)
def test_refuses_bad_targets(target, error, text, tmp_path):
    with pytest.raises(error) as caught:
        serialization.save(1, target(tmp_path))
    assert text in str(caught.value)


def test_relative_paths_and_streams_that_cannot_seek(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    serialization.save([1], "x")
    assert serialization.load(pathlib.Path("x")) == [1]

    class Pipe:
        def __init__(self):
            self.data = b""

        def write(self, data):
            self.data += bytes(data)

    pipe = Pipe()
    serialization.save([2], pipe)
    assert serialization.load(io.BytesIO(pipe.data)) == [2]


@pytest.mark.parity
def test_torch_loads_it_without_trust():
    torch = pytest.importorskip("torch", reason="torch not installed")
    base = np.arange(6, dtype="f4")
    arrays = {kind.name: np.array([1, 0]).astype(kind.np) for kind in ALL}
    noted = Parameter(tensor(np.ones(2, "f4")))
    noted.group = 1
    stream = saved(
        {
            **VALUES,
            "dtypes": [disttorch.float32],
            "tensors": {name: tensor(array) for name, array in arrays.items()},
            "views": [tensor(base), tensor(base[1:3]), tensor(base.reshape(2, 3).T)],
            "empty": tensor(np.zeros((0, 3), "f4")),
            "parameter": Parameter(tensor(np.ones(2, "f4"))),
            "noted": noted,
        }
    )
    loaded = torch.load(stream, weights_only=True)
    assert loaded["numbers"] == VALUES["numbers"]
    assert loaded["text and bytes"] == VALUES["text and bytes"]
    assert loaded["size"] == torch.Size([1, 2])
    assert loaded["devices"] == [torch.device("cpu"), torch.device("cuda", 1)]
    for name, array in arrays.items():
        assert loaded["tensors"][name].dtype is getattr(torch, name)
        assert loaded["tensors"][name].tolist() == array.tolist()
    loaded["views"][0][1] = 99
    assert loaded["views"][1][0] == loaded["views"][2][1, 0] == 99
    assert loaded["empty"].stride() == (3, 1)
    assert type(loaded["parameter"]) is torch.nn.Parameter
    assert loaded["noted"].group == 1
