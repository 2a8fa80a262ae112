"""What a checkpoint holds and who writes it, without ranks or files."""

import pytest

import disttorch as torch
from disttorch.serialization.sharded.contents import flatten, item_of, unflatten, writers


def test_nested_states_are_flattened_and_made_again():
    ones = torch.ones(1)
    state = {"a": {"b": ones, 3: 1.5}, "list": [ones, {"x": "y"}], "plain": [1, 2], "none": {}}
    places = flatten(state)
    assert {name: p.path for name, p in places.items()} == {
        "a.b": ("a", "b"),
        "a.3": ("a", "3"),
        "list.0": ("list", 0),
        "list.1.x": ("list", 1, "x"),
        "plain": ("plain",),
    }
    places["a.3"].put(2.5)  # under its own key, not under its text
    assert state["a"] == {"b": ones, 3: 2.5}
    values = {name: p.value for name, p in places.items()}
    paths = {name: p.path for name, p in places.items()}
    assert unflatten(values, paths) == {
        "a": {"b": ones, "3": 2.5},
        "list": [ones, {"x": "y"}],
        "plain": [1, 2],
    }
    assert unflatten({"l.1": 7}, {"l.1": ("l", 1)}) == {"l": [None, 7]}
    with pytest.raises(ValueError, match=r"duplicated flatten key a\.b"):
        flatten({"a": {"b": 1}, "a.b": 2})


def items(**values):
    return {name: item_of((name,), value) for name, value in values.items()}


def test_what_several_ranks_have_is_shared_out_by_size():
    large, small = torch.ones(8), torch.ones(2)
    both = items(a=small, b=large, c=small, step=1)
    first, second = {**both, **items(first=small)}, {**both, **items(second=2)}
    assert writers([first, second]) == {
        "b": 0, "a": 1, "c": 1, "first": 0, "step": 0, "second": 1,
    }  # fmt: skip


@pytest.mark.parametrize("other", [torch.ones(3), torch.ones(2, dtype=torch.float64), 1])
def test_one_name_is_one_tensor(other):
    with pytest.raises(ValueError, match=r"'a' is a tensor of torch.float32 \(2,\) on rank 0 and"):
        writers([items(a=torch.ones(2)), items(a=other)])
