from __future__ import annotations

import copy

import pytest

import disttorch as torch
import disttorch.testing.fake_device


def test_a_storage_is_the_memory_of_all_views():
    x = torch.arange(6).view(2, 3)
    whole, part = x.untyped_storage(), x[1].untyped_storage()
    assert whole.nbytes() == part.nbytes() == 48
    assert whole.data_ptr() == part.data_ptr() == x.data_ptr()
    whole[8] = 7
    assert x[0, 1] == 7
    assert [len(whole), whole.size(), whole.element_size()] == [48, 48, 1]


def test_untyped_storages_hold_bytes():
    s = torch.UntypedStorage([1, 2, 3])
    assert [s.tolist(), s[1], s[-1], s[:2].tolist()] == [[1, 2, 3], 2, 3, [1, 2]]
    assert s.resize_(5).tolist() == [1, 2, 3, 0, 0]
    assert s.fill_(9).tolist() == [9] * 5
    assert s.copy_(torch.UntypedStorage(b"abcde")).tolist() == list(b"abcde")
    assert repr(torch.UntypedStorage(b"a")) == (
        " 97\n[torch.storage.UntypedStorage(device=cpu) of size 1]"
    )
    with pytest.raises(IndexError, match="out of range for storage of size 5"):
        s[5]
    with pytest.raises(RuntimeError, match="not resizable"):
        torch.ones(2).untyped_storage().resize_(100)


def test_typed_storages_hold_elements():
    s = torch.FloatStorage([1, 2])
    assert isinstance(s, torch.FloatStorage)
    assert not isinstance(s, torch.LongStorage)
    assert [s.tolist(), s.size(), s.nbytes(), s.type()] == [[1, 2], 2, 8, "torch.FloatStorage"]
    assert s.double().dtype is torch.float64
    assert torch.Tensor(s).tolist() == [1, 2]
    assert repr(s).splitlines()[-1].startswith("[torch.storage.TypedStorage(dtype=torch.float32")
    with pytest.raises(RuntimeError, match="slices are only supported"):
        s[:1]
    with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
        x = torch.zeros(2)
        x.storage()[1] = 5
    assert x.tolist() == [0, 5]


def test_copies_are_deep_and_casts_are_copies():
    s = torch.FloatStorage([1, 2])
    other = copy.deepcopy([s, s])
    assert other[0] is other[1]
    other[0][0] = 7
    s.clone()[0] = 8
    assert s.tolist() == [1, 2]


def test_on_another_device():
    x = torch.ones(2).to("fake")
    assert x.untyped_storage().device == x.device
    assert x.untyped_storage().cpu().tolist() == x.cpu().untyped_storage().tolist()


def test_kinds():
    assert torch.is_storage(torch.UntypedStorage(1))
    assert torch.is_storage(torch.DoubleStorage(1))
    assert not torch.is_storage(torch.ones(1))
    assert torch.ones(1).storage_type() is torch.FloatStorage
