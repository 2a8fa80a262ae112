import pytest

import disttorch as torch
from disttorch.utils import data

DATASETS = {
    "stack": lambda t, d: list(d.StackDataset([1, 2], "ab")),
    "stack by name": lambda t, d: d.StackDataset(x=[1, 2], y="ab")[1],
    "stack of both": lambda t, d: d.StackDataset([1], x=[1]),
    "stack of none": lambda t, d: d.StackDataset(),
    "stack unequal": lambda t, d: d.StackDataset([1], [1, 2]),
    "concatenated": lambda t, d: [d.ConcatDataset([[1, 2], [], "ab"])[i] for i in (0, 2, -1, -4)],
    "concatenated, too far": lambda t, d: d.ConcatDataset([[1]])[-2],
    "concatenated, none": lambda t, d: d.ConcatDataset([]),
    "subset": lambda t, d: d.Subset("abcd", [3, 0]).__getitems__([1, 0]),
    "tensors unequal": lambda t, d: d.TensorDataset(t.ones(1), t.ones(2)),
    "tensors": lambda t, d: [x.tolist() for x in d.TensorDataset(t.ones(3, 2), t.ones(3))[-1]],
    "tensors sliced": lambda t, d: [x.tolist() for x in d.TensorDataset(t.ones(3))[1:]],
    "tensors, too far": lambda t, d: d.TensorDataset(t.ones(3))[3],
    "abstract": lambda t, d: d.Dataset()[0],
}


def outcome(make, torch, data):
    try:
        return make(torch, data)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parity
@pytest.mark.parametrize("name", DATASETS)
def test_samples_and_errors_are_torchs(name):
    reference = pytest.importorskip("torch", reason="torch is not installed")
    import torch.utils.data as reference_data

    expected = outcome(DATASETS[name], reference, reference_data)
    assert outcome(DATASETS[name], torch, data) == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_subsets_of_a_kind_of_their_own_are_asked_themselves(workers):
    class Doubled(data.Subset):
        def __getitem__(self, index):
            return 2 * super().__getitem__(index)

    loader = data.DataLoader(Doubled([1, 2, 3], [2, 0]), 2, num_workers=workers)
    assert [b.tolist() for b in loader] == [[6, 2]]


def test_first_releases_named_the_tensors():
    x, y = torch.arange(3), torch.arange(3) * 2
    for made in (
        data.TensorDataset(data_tensor=x, target_tensor=y),
        data.TensorDataset(x, target_tensor=y),
    ):
        assert [t.tolist() for t in made[1]] == [1, 2]
        assert made.data_tensor is x
        assert made.target_tensor is y
    with pytest.raises(TypeError, match="unexpected keyword argument 'targets'"):
        data.TensorDataset(x, targets=y)


def test_stacks_fetch_batches_at_once():
    class Many(list):
        def __getitems__(self, indices):
            return [10 * self[i] for i in indices]

    assert data.StackDataset(Many([1, 2, 3]), [4, 5, 6]).__getitems__([2, 0]) == [(30, 6), (10, 4)]
    named = data.StackDataset(a=Many([1, 2]), b=[3, 4])
    assert named.__getitems__([1]) == [{"a": 20, "b": 4}]


def test_stacks_refuse_datasets_that_lose_samples():
    class Losing(list):
        def __getitems__(self, indices):
            return []

    with pytest.raises(ValueError, match=r"size mismatch\. Expected 2, got 0"):
        data.StackDataset(Losing([1, 2])).__getitems__([0, 1])


def test_chains_are_of_streams():
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        len(data.ChainDataset([[1]]))


def test_the_former_spelling_of_cumulative():
    with pytest.warns(DeprecationWarning, match="renamed to `cumulative_sizes`"):
        assert data.ConcatDataset([[1], [2, 3]]).cummulative_sizes == [1, 3]
