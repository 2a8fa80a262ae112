import collections

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import default_collate, default_collate_fn_map, default_convert

Point = collections.namedtuple("Point", "x y")


class Bag(dict):
    """A mapping with something beside its items."""

    label = "none"


def bag(**items):
    made = Bag(items)
    made.label = "kept"
    return made


BATCHES = [
    [1, 2],
    [True, False],
    [1, 2.5],
    [1.5, 2],
    [np.float32(1), np.float32(2)],
    [np.int16(1), np.int16(2)],
    [np.bool_(True), np.bool_(False)],
    [np.ones(2, np.float32), np.zeros(2, np.float32)],
    [np.array(3), np.array(4)],
    ["a", "b"],
    [b"a", b"b"],
    [{"a": 1, "b": [2, "x"]}, {"a": 3, "b": [4, "y"]}],
    [(1, "a"), (2, "b")],
    [Point(1, 2.0), Point(3, 4.0)],
    [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
    [collections.defaultdict(int, a=1), collections.defaultdict(int, a=2)],
    [[], []],
    [(), ()],
    [collections.deque([1, 2]), collections.deque([3, 4])],
    [range(2), range(2)],
    [[1], [1, 2]],
    [np.ones(2), np.ones(3)],
    [None, None],
    [object(), object()],
    [np.array(["a"]), np.array(["b"])],
    [{"a": 1}, {"b": 1}],
    [1 << 70, 2],
]


def plain(value):
    """Types and values, comparable between the libraries."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return "tensor", str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return type(value), {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, collections.deque)):
        return type(value), [plain(v) for v in value]
    return value


def outcome(function, batch):
    try:
        return plain(function(batch))
    except Exception as error:
        return type(error), str(error).replace("disttorch", "torch")


@pytest.mark.parity
@pytest.mark.parametrize("batch", BATCHES, ids=range(len(BATCHES)))
@pytest.mark.parametrize("name", ["default_collate", "default_convert"])
def test_results_and_errors_are_torchs(name, batch):
    reference = pytest.importorskip("torch.utils.data", reason="torch is not installed")
    ours = {"default_collate": default_collate, "default_convert": default_convert}[name]
    assert outcome(ours, batch) == outcome(getattr(reference, name), batch)


def test_mappings_keep_what_they_have_beside_their_items():
    assert default_collate([bag(a=1), bag(a=2)]).label == "kept"
    assert default_convert(bag(a=np.ones(2))).label == "kept"


def test_gradients_flow_through_a_batch():
    x = torch.ones(2, requires_grad=True)
    default_collate([x, 2 * x]).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_users_can_add_types(monkeypatch):
    class Odd:
        pass

    def count(batch, *, collate_fn_map):
        return len(batch)

    monkeypatch.setitem(default_collate_fn_map, Odd, count)
    assert default_collate([Odd(), Odd()]) == 2
