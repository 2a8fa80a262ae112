"""Running sums, products and extremes: the layout of what they give."""

import pytest

import disttorch as torch

RUNNING = {
    "cumsum": lambda x: x.cumsum(0),
    "cumprod": lambda x: x.cumprod(0),
    "cummax": lambda x: x.cummax(0).values,
    "cummin": lambda x: x.cummin(0).values,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.float16])
@pytest.mark.parametrize("name", RUNNING)
def test_results_are_contiguous_whatever_the_layout(name, dtype):
    x = torch.arange(6).reshape(2, 3).to(dtype)
    y = RUNNING[name](x.t())
    assert y.is_contiguous()
    assert y.tolist() == RUNNING[name](x.t().contiguous()).tolist()
