from __future__ import annotations

import io
import pathlib
import pickle
import struct

import numpy as np
import pytest

import disttorch
from disttorch import serialization
from disttorch.nn.parameter import Parameter
from disttorch.serialization.archive import ArchiveWriter

# Written by torch 2.13: a model, its Adam state, every dtype, views and odd values.
BY_TORCH = pathlib.Path(__file__).with_name("saved_by_torch.pt")


@pytest.fixture(scope="module")
def by_torch():
    return serialization.load(BY_TORCH)


def saved(obj):
    stream = io.BytesIO()
    serialization.save(obj, stream)
    stream.seek(0)
    return stream


def archived(**records):
    """A checkpoint put together by hand: `pickled` and storages s0, s1, ..."""
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, "archive")
    writer.write("data.pkl", records.pop("pickled"))
    for name, data in records.items():
        writer.write(name.replace("s", "data/") if name[0] == "s" else name, data)
    writer.close()
    stream.seek(0)
    return stream


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *{"epoch": 3, "loss": 0.5, "name": "résumé", "raw": b"\x00\xff"}.items(),
        *{"complex": 1 - 2j, "set": {1, 2}, "none": None, "flag": True}.items(),
        *{"tuple": (1, [2]), "size": disttorch.Size([1, 2])}.items(),
        *{"dtype": disttorch.bfloat16, "device": disttorch.device("cuda", 1)}.items(),
    ],
)
def test_plain_values_of_torchs_file(by_torch, name, expected):
    assert by_torch[name] == expected
    assert type(by_torch[name]) is type(expected)


def test_state_dicts_of_torchs_file(by_torch):
    model, optimizer = by_torch["model"], by_torch["optimizer"]
    assert list(model) == [
        *("0.weight", "0.bias", "1.weight", "1.bias"),
        *("1.running_mean", "1.running_var", "1.num_batches_tracked"),
    ]
    assert model["0.weight"].shape == (3, 2)
    assert model["1.num_batches_tracked"].tolist() == 1
    assert model._metadata["1"] == {"version": 2}
    assert optimizer["param_groups"][0]["betas"] == (0.9, 0.999)
    assert optimizer["state"][0]["step"].tolist() == 1.0
    assert optimizer["state"][0]["exp_avg"].shape == (3, 2)


@pytest.mark.parametrize(
    "name",
    [
        *("float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16"),
        *("uint32", "uint64", "bool", "complex64", "complex128"),
    ],
)
def test_dtypes_of_torchs_file(by_torch, name):
    loaded = by_torch["dtypes"][name]
    assert loaded.dtype is getattr(disttorch, name)
    assert loaded.tolist() == [1, 0]


def test_tensors_of_torchs_file(by_torch):
    assert isinstance(by_torch["parameter"], Parameter)
    assert not by_torch["parameter"].requires_grad
    assert by_torch["leaf"].requires_grad
    assert (by_torch["marked"].note, by_torch["noted"].group) == ("kept", 1)
    assert by_torch["scalar"].tolist() == 7
    assert by_torch["empty"].shape == (0, 3)
    assert by_torch["conj"].tolist() == [1 - 2j]


def test_views_of_torchs_file_share_memory():
    part, turned, base = serialization.load(BY_TORCH)["views"]
    base._array[1] = 99
    assert part.tolist() == [99, 2]
    assert turned.tolist() == [[0, 3], [99, 4], [2, 5]]


def test_without_trust_and_with_trust_give_the_same():
    trusted = serialization.load(BY_TORCH, weights_only=False)
    assert repr(trusted) == repr(serialization.load(BY_TORCH, weights_only=True))


def test_code_runs_only_with_trust():
    stream = saved(pathlib.PurePosixPath("a/b"))
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL pathlib"):
        serialization.load(stream)
    stream.seek(0)
    assert serialization.load(stream, weights_only=False) == pathlib.PurePosixPath("a/b")


def test_torchs_classes_are_found_under_our_name():
    stream = archived(pickled=b"\x80\x02ctorch.nn.parameter\nParameter\n.")
    assert serialization.load(stream, weights_only=False) is Parameter
    stream = archived(pickled=b"\x80\x02ctorch.random\nfork_rng\n.")
    assert serialization.load(stream, weights_only=False) is disttorch.random.fork_rng
    stream = archived(pickled=b"\x80\x02ctorch.nowhere\nNothing\n.")
    with pytest.raises(AttributeError, match=r"the file needs torch\.nowhere\.Nothing"):
        serialization.load(stream, weights_only=False)


TENSOR_ON = (
    "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n{type}Storage\n"
    "X\x01\x00\x00\x000X{length}{where}K\x02tQK\x00K\x02\x85K\x01\x85\x89}}tR."
)


def pickled_tensor(where="cpu", kind="Float"):
    """The pickle of a tensor (2,) whose storage 0 is on `where`."""
    length = struct.pack("<I", len(where)).decode("latin1")
    return b"\x80\x02" + TENSOR_ON.format(type=kind, length=length, where=where).encode("latin1")


def test_the_other_byte_order_is_swapped():
    for kind, code in (("Float", ">f4"), ("Double", ">f8"), ("Short", ">i2"), ("Byte", "u1")):
        data = np.array([1, 2], code).tobytes()
        stream = archived(pickled=pickled_tensor(kind=kind), s0=data, byteorder=b"big")
        assert serialization.load(stream).tolist() == [1, 2]
    data = np.array([1 + 2j, 3], ">c8").tobytes()
    stream = archived(pickled=pickled_tensor(kind="ComplexFloat"), s0=data, byteorder=b"big")
    assert serialization.load(stream).tolist() == [1 + 2j, 3]


ON_CUDA = {"pickled": pickled_tensor("cuda:0"), "s0": np.array([1, 2], "f4").tobytes()}


@pytest.mark.parametrize(
    "map_location",
    [
        "cpu",
        disttorch.device("cpu"),
        {"cuda:0": "cpu"},
        lambda storage, location: storage,
        lambda storage, location: storage.cpu() if location == "cuda:0" else None,
    ],
)
def test_map_location_moves_tensors_to_the_cpu(map_location):
    loaded = serialization.load(archived(**ON_CUDA), map_location)
    assert loaded.tolist() == [1, 2]
    assert loaded.device.type == "cpu"


@pytest.mark.parametrize(
    ("map_location", "text"),
    [
        (None, "Attempting to deserialize object on a CUDA device but torch.cuda.is_available()"),
        ("cuda:1", "Attempting to deserialize object on a CUDA device but"),
        ({"cpu": "cpu"}, "Attempting to deserialize object on a CUDA device but"),
        ("abacus", "(tagged with abacus)"),
    ],
)
def test_names_a_device_that_is_missing(map_location, text):
    if disttorch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(RuntimeError) as caught:
        serialization.load(archived(**ON_CUDA), map_location)
    assert text in str(caught.value)


def test_a_storage_too_small_for_its_tensor_is_refused():
    stream = archived(pickled=pickled_tensor(), s0=b"\x00" * 7)
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 7"):
        serialization.load(stream)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", EOFError, "is empty"),
        (b"hello", pickle.UnpicklingError, "is no checkpoint in the zip format"),
        (BY_TORCH.read_bytes()[:3000], RuntimeError, "is corrupt or was cut short"),
        (BY_TORCH.read_bytes()[:-1], RuntimeError, "is corrupt or was cut short"),
    ],
)
@pytest.mark.parametrize("as_path", [True, False])
def test_says_what_is_wrong_with_a_file(data, error, text, as_path, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    with pytest.raises(error) as caught:
        serialization.load(path if as_path else io.BytesIO(data))
    assert text in str(caught.value)
    assert ("x.pt" if as_path else "the stream") in str(caught.value)


def test_a_changed_byte_is_noticed(tmp_path):
    data = bytearray(BY_TORCH.read_bytes())
    data[data.index(struct.pack("<3f", 0, 1, 2))] ^= 1
    with pytest.raises(RuntimeError, match="Bad CRC-32"):
        serialization.load(io.BytesIO(bytes(data)))


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        ("/nowhere/x.pt", FileNotFoundError, "/nowhere/x.pt"),
        ("/", IsADirectoryError, "/"),
        (5, AttributeError, "You can only torch.load from a file that is seekable"),
    ],
)
def test_refuses_bad_sources(source, error, text):
    with pytest.raises(error) as caught:
        serialization.load(source)
    assert text in str(caught.value)


@pytest.mark.parity
def test_loads_what_torch_writes_now():
    torch = pytest.importorskip("torch", reason="torch not installed")
    state = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.LSTM(4, 5)).state_dict()
    stream = io.BytesIO()
    torch.save({"model": state, "momentum": [torch.rand(3, 2).t(), None]}, stream)
    stream.seek(0)
    loaded = serialization.load(stream)
    assert list(loaded["model"]) == list(state)
    for ours, theirs in [*zip(loaded["model"].values(), state.values(), strict=True)]:
        assert np.array_equal(ours.numpy(), theirs.numpy())
    assert loaded["momentum"][0].stride() == (1, 2)
