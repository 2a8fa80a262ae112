"""Arguments that should be Tensors and are not: PyTorch's words."""

import pytest

import disttorch as torch

X = torch.ones(3)

TEXTS = (
    (lambda: torch.sum([1, 2]), "sum(): argument 'input' (position 1) must be Tensor, not list"),
    (lambda: torch.sum(input=[1]), "sum(): argument 'input' (position 1) must be Tensor, not list"),
    (lambda: torch.exp(1.5), "exp(): argument 'input' (position 1) must be Tensor, not float"),
    (lambda: torch.sin_([1]), "sin_(): argument 'input' (position 1) must be Tensor, not list"),
    (
        lambda: torch.gather(X, 0, [1]),
        "gather(): argument 'index' (position 3) must be Tensor, not list",
    ),
    (
        lambda: torch.maximum(X, 2),
        "maximum(): argument 'other' (position 2) must be Tensor, not int",
    ),
    (lambda: X.maximum(2), "maximum(): argument 'other' (position 1) must be Tensor, not int"),
    (
        lambda: torch.logical_and(1, X),
        "logical_and(): argument 'input' (position 1) must be Tensor, not int",
    ),
    (
        lambda: torch.lt(2, X),
        "lt() received an invalid combination of arguments - got (int, Tensor), but expected one "
        "of:\n * (Tensor input, Tensor other, *, Tensor out = None)\n * (Tensor input, Number "
        "other, *, Tensor out = None)",
    ),
)


EITHER = (
    " * (Tensor {0}, Tensor {1}, *, Tensor out = None)\n"
    " * (Number {2}, Tensor {1}, *, Tensor out = None)\n"
    " * (Tensor {0}, Number {1}, *, Tensor out = None)"
)
NUMBERS = (
    ("special_chebyshev_polynomial_t", torch.special.chebyshev_polynomial_t, ("x", "n", "x")),
    ("special_hermite_polynomial_he", torch.special.hermite_polynomial_he, ("x", "n", "x")),
    ("special_xlog1py", torch.special.xlog1py, ("input", "other", "self")),
    ("special_zeta", torch.special.zeta, ("input", "other", "self")),
    ("float_power", torch.float_power, ("input", "exponent", "self")),
)


@pytest.mark.parametrize(("name", "function", "names"), NUMBERS, ids=[n for n, *_ in NUMBERS])
def test_two_numbers_are_no_operands(name, function, names):
    with pytest.raises(TypeError) as error:
        function(2, 3)
    assert str(error.value) == (
        f"{name}() received an invalid combination of arguments - got (int, int), but expected one "
        f"of:\n{EITHER.format(*names)}"
    )


STEPS = "Tensor start, Tensor end, int steps, *, Tensor out = None"
FORMS = (
    ("rsub", lambda: torch.rsub(2, X), "int, Tensor", "Tensor other, *, Number alpha = 1)"),
    ("rsub", lambda: torch.rsub(2, 3), "int, int", "Tensor input, Number other, Number alpha = 1)"),
    ("linspace", lambda: torch.linspace(0, 3, 1.0), "int, int, float", STEPS),
    ("logspace", lambda: torch.logspace(0, 3, 1.0), "int, int, float", "int steps, float base"),
)


@pytest.mark.parametrize(("name", "call", "given", "form"), FORMS)
def test_no_such_form(name, call, given, form):
    with pytest.raises(TypeError) as error:
        call()
    first, *forms = str(error.value).split("\n")
    assert first == (
        f"{name}() received an invalid combination of arguments - got ({given}), but expected one "
        "of:"
    )
    assert any(form in f for f in forms)


@pytest.mark.parametrize("name", ["__radd__", "__rmul__", "__rand__", "__ror__", "__rxor__"])
@pytest.mark.parametrize("other", [X, 3])
def test_reflected_operators_are_for_tensors(name, other):
    text = f"descriptor '{name}' for 'torch._C.TensorBase' objects doesn't apply to a 'int' object"
    with pytest.raises(TypeError, match=text):
        getattr(torch.Tensor, name)(2, other)


def test_reflected_division_of_a_number():
    with pytest.raises(AttributeError, match="'int' object has no attribute 'reciprocal'"):
        torch.Tensor.__rdiv__(2, X)
    assert (2 / X).tolist() == [2, 2, 2]


@pytest.mark.parametrize(("call", "text"), TEXTS, ids=[t[:25] for _, t in TEXTS])
def test_texts(call, text):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value) == text


def test_other_attribute_errors_stay():
    class Odd:
        @property
        def mean(self):
            raise AttributeError("of the user's own")

    with pytest.raises(AttributeError, match="of the user's own"):
        torch.sum(X, Odd().mean)


def test_python_operators_take_numbers_on_either_side():
    assert (2 < X).tolist() == [False] * 3
    assert torch.eq(X, 1).all()
