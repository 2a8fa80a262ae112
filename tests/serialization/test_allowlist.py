from __future__ import annotations

import collections
import io
import os
import pickle

import pytest

import disttorch
from disttorch import serialization
from disttorch.serialization.allowlist import WeightsUnpickler, check_state


class Settings:
    """A user's plain class."""

    def __init__(self, rate):
        self.rate = rate

    def __eq__(self, other):
        return self.__dict__ == other.__dict__

    __hash__ = None


class Stateful(Settings):
    """A user's class with a say in its state."""

    def __getstate__(self):
        return {"scaled": self.rate * 10}

    def __setstate__(self, state):
        self.rate = state["scaled"] / 10


class Runs:
    """Would run a program when it is unpickled."""

    def __reduce__(self):
        return os.system, ("false",)


def load_pickle(data):
    known = {("torch", "float32"): disttorch.float32}
    return WeightsUnpickler(io.BytesIO(data), known, lambda saved_id: saved_id).load()


@pytest.fixture(autouse=True)
def nothing_declared():
    serialization.clear_safe_globals()
    yield
    serialization.clear_safe_globals()


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (Runs(), f"unsupported GLOBAL {os.name}.system whose module {os.name} is blocked"),
        (range(3), "Unsupported global: GLOBAL range was not an allowed global by default"),
        (eval, "Unsupported global: GLOBAL eval was not"),
        (collections.defaultdict(list), "add_safe_globals([collections.defaultdict])"),
        (os.path.join, "Unsupported global: GLOBAL posixpath.join was not"),
    ],
)
def test_refuses_globals_by_name(obj, text):
    with pytest.raises(pickle.UnpicklingError) as caught:
        load_pickle(pickle.dumps(obj, 2))
    assert text in str(caught.value)


@pytest.mark.parametrize("cls", [Settings, Stateful])
@pytest.mark.parametrize("protocol", [2, 4])
def test_declared_classes_are_loaded(cls, protocol):
    data = pickle.dumps(cls(0.5), protocol)
    with pytest.raises(pickle.UnpicklingError, match=f"GLOBAL .*{cls.__name__} was not an allowed"):
        load_pickle(data)
    with serialization.safe_globals([cls]):
        assert serialization.get_safe_globals() == [cls]
        assert load_pickle(data) == cls(0.5)
    assert serialization.get_safe_globals() == []
    serialization.add_safe_globals([(cls, f"{cls.__module__}.{cls.__qualname__}")])
    assert load_pickle(data) == cls(0.5)


def test_declared_names_stand_for_other_objects():
    serialization.add_safe_globals([(Settings, "elsewhere.Old")])
    assert load_pickle(b"\x80\x02celsewhere\nOld\n.") is Settings


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x80\x02K\x01)R.", "unrecognized function 1"),
        (b"\x80\x02ctorch\nfloat32\n)R.", "unrecognized function torch.float32"),
        (b"\x80\x02K\x01)\x81.", "unrecognized class 1"),
        (b"\x80\x02c_codecs\nencode\n)\x81.", "unrecognized class <function"),
        (b"\x80\x02]}b.", "Can only build Tensor, Parameter, OrderedDict or types allowlisted"),
        (b"\x80\x02ctorch\nfloat32\nN}X\x04\x00\x00\x00nameK\x01s\x86b.", "Can only build Tensor"),
        (b"(S'a'\nios\nsystem\n.", "Unsupported operand"),
        (b"\x80\x02(cbuiltins\nset\no.", "Unsupported operand"),
        (b"\x80\x02\x82\x01.", "Unsupported operand"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.", "not 'hex'"),
    ],
)
def test_refuses_instructions_that_make_objects_unchecked(data, text):
    with pytest.raises(pickle.UnpicklingError) as caught:
        load_pickle(data)
    assert text in str(caught.value)


def test_attributes_from_a_file_cannot_replace_a_tensors_own():
    check_state({"note": 1, "_metadata": 2})
    for name in ("_array", "_grad_fn", "backward", "__class__"):
        with pytest.raises(pickle.UnpicklingError, match=f"sets the attribute '{name}'"):
            check_state({name: 1})


def test_load_explains_the_choice():
    stream = io.BytesIO()
    serialization.save(Settings(1), stream)
    stream.seek(0)
    with pytest.raises(pickle.UnpicklingError) as caught:
        serialization.load(stream)
    assert "Weights only load failed" in str(caught.value)
    assert "Do it only if you got the file from a trusted source." in str(caught.value)
    assert "add_safe_globals" in str(caught.value)


@pytest.mark.parametrize("position", range(0, 60, 3))
def test_a_damaged_pickle_raises_one_kind_of_error(position):
    stream = io.BytesIO()
    data = bytearray(pickle.dumps({"a": [1, 2.5, "text"], "b": (None, True, {"c": b"x"})}, 2))
    data[position % len(data)] ^= 0x5A
    writer = serialization.archive.ArchiveWriter(stream, "x")
    writer.write("data.pkl", bytes(data))
    writer.close()
    stream.seek(0)
    try:
        serialization.load(stream)
    except pickle.UnpicklingError as error:
        assert str(error)
