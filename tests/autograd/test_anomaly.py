from __future__ import annotations

import pytest

import disttorch as torch


def bad(x):
    return (x.sqrt() * 0).sum()


def test_the_line_that_made_the_nan_is_reported():
    x = torch.tensor([-1.0], requires_grad=True)
    with (
        pytest.warns(UserWarning) as caught,
        pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values in its 0th output"),
        torch.autograd.set_detect_anomaly(True),
    ):
        bad(x).backward()
    text = str(caught[0].message)
    assert "Error detected in SqrtBackward0" in text
    assert "return (x.sqrt() * 0).sum()" in text


def test_an_error_in_backward_is_placed_too():
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            raise KeyError("mine")

    x = torch.ones(1, requires_grad=True)
    with (
        pytest.warns(UserWarning, match="Error detected in FailsBackward"),
        pytest.raises(KeyError, match="mine"),
        torch.autograd.set_detect_anomaly(True),
    ):
        Fails.apply(x).backward()


def test_nan_is_let_through_otherwise():
    x = torch.tensor([-1.0], requires_grad=True)
    bad(x).backward()
    assert x.grad.isnan().all()
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        bad(x).backward()


def test_the_mode_ends_with_its_context():
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        assert torch.is_anomaly_enabled()
    assert not torch.is_anomaly_enabled()
