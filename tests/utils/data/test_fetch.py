import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Subset, TensorDataset
from disttorch.utils.data.fetch import fetch_samples

N = 20


def tensors():
    return torch.arange(N * 3).reshape(N, 3).float(), torch.arange(N), torch.ones(N) > 0


class Plain(TensorDataset):
    """A subclass, whose samples are fetched one by one."""

    def __getitem__(self, index):
        return super().__getitem__(index)


SAMPLERS = [[[0, 1, 2], [19, 3]], [[-1, -20]], [[5] * 4], [(1, 2)], [torch.tensor([3, 4])]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_batches_taken_at_once_are_those_of_single_samples(workers, sampler):
    found = [
        [(str(t.dtype), t.tolist()) for t in batch]
        for kind in (TensorDataset, Plain)
        for batch in DataLoader(kind(*tensors()), batch_sampler=sampler, num_workers=workers)
    ]
    assert found[: len(found) // 2] == found[len(found) // 2 :]


@pytest.mark.parametrize("workers", [0, 1])
def test_subsets_of_subsets(workers):
    data = Subset(Subset(TensorDataset(*tensors()), range(10, 20)), [3, 0, 9])
    (batch,) = DataLoader(data, 5, num_workers=workers)
    assert batch[1].tolist() == [13, 10, 19]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("index", [N, -N - 1])
def test_indices_out_of_range_are_pytorchs_error(workers, index):
    loader = DataLoader(TensorDataset(*tensors()), batch_sampler=[[0, index]], num_workers=workers)
    try:
        list(loader)
        raise AssertionError("no error")
    except IndexError as error:
        assert f"index {index} is out of bounds for dimension 0 with size {N}" in str(error)


def test_batches_are_copies_and_samples_are_views():
    x = torch.zeros(4, 2)
    data = TensorDataset(x)
    (batch,) = next(iter(DataLoader(data, 4)))
    batch += 1
    assert x.sum().item() == 0
    data[1][0].add_(1)
    assert x.sum().item() == 2
    assert x._version == 1


def test_gradients_flow_to_the_tensors():
    x = torch.ones(3, requires_grad=True)
    (batch,) = next(iter(DataLoader(TensorDataset(x), 2)))
    batch.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1, 1, 0])


@pytest.mark.parametrize("indices", [[3, 7, 5], (7,), range(6, 9)])
def test_errors_carry_the_sample(indices):
    class Bad:
        def __getitem__(self, i):
            if i == 7:
                raise ValueError("seven")
            return i

    with pytest.raises(ValueError, match=r"^seven\n") as caught:
        fetch_samples(Bad(), indices)
    assert caught.value.__notes__ == ["raised by sample 7 of the dataset"]
