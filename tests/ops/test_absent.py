from __future__ import annotations

import pytest

import disttorch as torch


@pytest.mark.parametrize("name", ["to_sparse", "dequantize", "to_mkldnn", "chalf"])
def test_kinds_that_are_not_here_say_so(name):
    with pytest.raises(NotImplementedError, match=rf"Tensor\.{name}: there are no \S+ tensors"):
        getattr(torch.ones(2), name)()


@pytest.mark.parametrize("name", ["coalesce", "indices", "values"])
def test_dense_tensors_are_not_sparse(name):
    with pytest.raises(RuntimeError, match=f"{name} expected sparse"):
        getattr(torch.ones(2), name)()
