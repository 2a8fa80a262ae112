"""What the tables of expressions in this folder need: evaluate one, compare its result."""

import numpy as np
import pytest

import disttorch


def plain(value):
    """Tensors as (dtype name, nested lists); tuples of them as lists; sizes as tuples."""
    if isinstance(value, disttorch.Tensor):
        return value.tolist()
    if isinstance(value, disttorch.Size):
        return tuple(value)
    if isinstance(value, tuple):
        tensors = any(isinstance(v, disttorch.Tensor) for v in value)
        return [plain(v) for v in value] if tensors else value
    return value


def same(found, expected):
    """Equality of nested lists of numbers, to float32 rounding; NaN equals NaN."""
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(same(a, b) for a, b in zip(found, expected, strict=True))
        )
    if isinstance(expected, (float, complex)):
        return type(found) is type(expected) and bool(
            np.isclose(found, expected, rtol=1e-6, atol=1e-7, equal_nan=True)
        )
    return type(found) is type(expected) and found == expected


@pytest.fixture
def evaluate():
    """Evaluate an expression in which `torch` is disttorch and `x` is 0 .. 5 as (2, 3) floats."""

    def run(expression):
        x = disttorch.arange(6.0).view(2, 3)
        return eval(expression, {"torch": disttorch, "np": np, "x": x})

    return run


@pytest.fixture
def check(evaluate):
    """Check an expression's values and, if given, the dtype of all tensors in its result."""

    def run(expression, dtype, expected):
        result = evaluate(expression)
        assert same(plain(result), expected), f"{expression}: {plain(result)}"
        tensors = result if isinstance(result, tuple) else (result,)
        if dtype is not None:
            assert {str(t.dtype) for t in tensors} == {f"torch.{dtype}"}

    return run


@pytest.fixture
def check_error(evaluate):
    """Check that an expression raises just this error with just this text."""

    def run(expression, error, text):
        with pytest.raises(error) as caught:
            evaluate(expression)
        assert type(caught.value) is error
        assert str(caught.value) == text

    return run
