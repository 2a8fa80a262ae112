"""Embedding: rows without gradient, norms, error texts. Values: testing/opspec/embedding.py."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.nn import functional as F


def gradient(index, **kwargs):
    w = torch.ones(4, 2, requires_grad=True)
    F.embedding(torch.tensor(index), w, **kwargs).sum().backward()
    return w.grad[:, 0].tolist()


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, [1, 3, 0, 1]),
        ({"padding_idx": 1}, [1, 0, 0, 1]),
        ({"padding_idx": -1}, [1, 3, 0, 0]),
        ({"scale_grad_by_freq": True}, [1, 1, 0, 1]),
        ({"scale_grad_by_freq": True, "padding_idx": 0}, [0, 1, 0, 1]),
        ({"sparse": True}, [1, 3, 0, 1]),
    ],
)
def test_gradient_of_rows(kwargs, expected):
    assert gradient([1, 0, 1, 3, 1], **kwargs) == pytest.approx(expected)


def test_second_derivative_skips_the_padding_row():
    w = torch.tensor([[1.0], [2.0]], requires_grad=True)
    y = F.embedding(torch.tensor([0, 1]), w, padding_idx=0)
    (g,) = torch.autograd.grad((y * y).sum(), w, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), w)
    assert g.tolist() == [[0], [4]]
    assert h.tolist() == [[0], [2]]


def test_rows_are_scaled_down_to_the_largest_norm():
    w = torch.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]])
    y = F.embedding(torch.tensor([0, 1]), w, max_norm=1.0)
    np.testing.assert_allclose(y.numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(w[2].numpy(), [6, 8])
    assert w._version == 1


ERRORS = (
    ("F.embedding(L(0, 5), ones(5, 3))", IndexError, "index out of range in self"),
    ("F.embedding(L(0, -1), ones(5, 3))", IndexError, "index out of range in self"),
    (
        *("F.embedding(L(0, 1).float(), ones(5, 3))", RuntimeError),
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
        "Long, Int; but got torch.FloatTensor instead (while checking arguments for embedding)",
    ),
    ("F.embedding(L(0), ones(5))", RuntimeError, "'weight' must be 2-D"),
    (
        *("F.embedding(L(0), ones(5, 3), padding_idx=5)", AssertionError),
        "Padding_idx must be within num_embeddings",
    ),
    ("F.one_hot(L(0, 3), 2)", RuntimeError, "Class values must be smaller than num_classes."),
    ("F.one_hot(L(0, -3))", RuntimeError, "Class values must be non-negative."),
    (
        *("F.one_hot(L(0).int())", RuntimeError),
        "one_hot is only applicable to index tensor of type LongTensor.",
    ),
    (
        *("F.one_hot(ones(0).long())", RuntimeError),
        "Can not infer total number of classes from empty tensor.",
    ),
)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_refuses(expression, error, text):
    names = {"F": F, "ones": torch.ones, "L": lambda *v: torch.tensor(v)}
    with pytest.raises(error) as caught:
        eval(expression, names)
    assert str(caught.value) == text
