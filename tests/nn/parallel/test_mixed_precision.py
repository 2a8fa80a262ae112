"""A wrapped model that computes in 16 bits and is updated in 32."""

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.nn.parallel.distributed import _MixedPrecision
from tests.comm.ranks import run_ranks


class Seen(nn.Module):
    """Notes the dtypes that reach it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(3))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x, extra):
        y = self.layer(x) * self.scale
        self.dtypes = [str(t.dtype) for t in (x, *extra["more"], self.layer.weight, self.scale, y)]
        return y


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtypes_of_a_step(dtype):
    how = _MixedPrecision(param_dtype=dtype, buffer_dtype=dtype)

    def body(group):
        torch.manual_seed(0)
        inner = Seen()
        model = DistributedDataParallel(inner, process_group=group, mixed_precision=how)
        whole = torch.tensor([1, 2])
        y = model(torch.full((2, 4), 1.0 + group.rank), {"more": [torch.ones(2), whole]})
        y.float().sum().backward()
        weight = inner.layer.weight
        return inner.dtypes, str(weight.dtype), str(weight.grad.dtype), weight.grad.tolist()

    short = str(dtype)
    for dtypes, own, grad, values in run_ranks(2, body):
        assert dtypes == [short, short, "torch.int64", short, short, short]
        assert (own, grad) == ("torch.float32", "torch.float32")
        assert values == [[3.0] * 4] * 3  # the mean of 2 and 4


def test_gradients_are_rounded_to_the_dtype_that_they_travel_in():
    def body(group):
        inner = nn.Linear(1, 1, bias=False)
        how = _MixedPrecision(reduce_dtype=torch.bfloat16)
        model = DistributedDataParallel(inner, process_group=group, mixed_precision=how)
        x = torch.full((1, 1), 1.001)
        y = model(x)
        y.sum().backward()
        return str(y.dtype), inner.weight.grad.item()

    assert run_ranks(2, body) == [("torch.float32", 1.0)] * 2


def test_training_follows_that_in_full_precision():
    x = np.random.RandomState(0).standard_normal((2, 16, 6)).astype(np.float32)

    def body(group):
        found = []
        for how in (None, _MixedPrecision(param_dtype=torch.bfloat16)):
            torch.manual_seed(1)
            inner = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
            model = DistributedDataParallel(inner, process_group=group, mixed_precision=how)
            optimizer = optim.Adam(model.parameters(), lr=0.01)
            mine = torch.from_numpy(x[group.rank])
            for _ in range(20):
                optimizer.zero_grad()
                loss = (model(mine).float() - mine[:, :1]).square().mean()
                loss.backward()
                optimizer.step()
            found.append(loss.item())
        return found

    for full, mixed in run_ranks(2, body):
        assert abs(full - mixed) < 0.05 * full
