"""Random tensors: torch's numbers for torch's seeds, and its refusals.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.manual_seed(5) and torch.rand(2,3)",
        "float32",
        [[0.8302519, 0.1261109, 0.9074697], [0.819927, 0.9201034, 0.1166452]],
    ),
    (
        "torch.manual_seed(5) and torch.randn(17)",
        "float32",
        [
            1.84233,
            1.222025,
            -0.3364494,
            -0.9650602,
            -0.1296627,
            -0.6017656,
            0.1449986,
            -0.1498272,
            2.614577,
            0.7792338,
            -0.05833946,
            -2.030495,
            1.482932,
            0.4940381,
            0.2492188,
            1.747031,
            0.744777,
        ],
    ),
    (
        "torch.manual_seed(5) and torch.randn(3,dtype=torch.float64)",
        "float64",
        [-0.4867808, -0.6038216, -0.5580962],
    ),
    ("torch.manual_seed(5) and torch.randint(0,10,(5,))", "int64", [1, 4, 7, 5, 6]),
    ("torch.manual_seed(5) and torch.randint(10,(5,),dtype=torch.int32)", "int32", [1, 4, 7, 5, 6]),
    ("torch.manual_seed(5) and torch.randint(high=3,size=(2,))", "int64", [2, 0]),
    ("torch.manual_seed(5) and torch.randperm(10)", "int64", [1, 4, 9, 6, 3, 5, 0, 2, 8, 7]),
    (
        "torch.manual_seed(5) and torch.rand_like(x)",
        "float32",
        [[0.8302519, 0.1261109, 0.9074697], [0.819927, 0.9201034, 0.1166452]],
    ),
    (
        "torch.manual_seed(5) and torch.randn_like(x.double())",
        "float64",
        [[-0.4867808, -0.6038216, -0.5580962], [0.6675243, -0.1974151, 1.942784]],
    ),
    (
        "torch.manual_seed(5) and torch.randint_like(x,5)",
        "float32",
        [[1.0, 4.0, 2.0], [0.0, 1.0, 0.0]],
    ),
    (
        "torch.manual_seed(5) and torch.normal(2.,3.,(4,))",
        "float32",
        [0.5396578, 0.1885352, 0.3257113, 4.002573],
    ),
    (
        "torch.manual_seed(5) and torch.normal(torch.zeros(3),torch.ones(3)*2)",
        "float32",
        [-0.9735615, -1.207643, -1.116192],
    ),
    (
        "torch.manual_seed(5) and torch.normal(2.0,torch.ones(3))",
        "float32",
        [1.513219, 1.396178, 1.441904],
    ),
    (
        "torch.manual_seed(5) and torch.normal(torch.arange(3.))",
        "float32",
        [-0.4867808, 0.3961784, 1.441904],
    ),
    (
        "torch.manual_seed(5) and torch.bernoulli(torch.full((5,),.5))",
        "float32",
        [0.0, 1.0, 0.0, 0.0, 0.0],
    ),
    (
        "torch.manual_seed(5) and torch.bernoulli(x,.3)",
        "float32",
        [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
    ),
    (
        "torch.manual_seed(5) and torch.multinomial(torch.ones(2,5),3)",
        "int64",
        [[1, 4, 3], [4, 1, 2]],
    ),
    (
        "torch.manual_seed(5) and torch.multinomial(torch.ones(5),8,True)",
        "int64",
        [3, 1, 1, 1, 1, 4, 2, 3],
    ),
    (
        "torch.manual_seed(5) and torch.poisson(torch.full((4,),3.))",
        "float32",
        [3.0, 5.0, 3.0, 1.0],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).uniform_(-1,2)",
        "float32",
        [1.490756, -0.6216673, 1.722409, 1.459781, 1.76031],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).uniform_(to=2)",
        "float32",
        [1.660504, 0.2522218, 1.814939, 1.639854, 1.840207],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).normal_(1,2)",
        "float32",
        [0.0264385, -0.2076432, -0.1161925, 2.335049, 0.6051698],
    ),
    ("torch.manual_seed(5) and torch.zeros(5).random_(10)", "float32", [1.0, 4.0, 7.0, 5.0, 6.0]),
    ("torch.manual_seed(5) and torch.zeros(5).random_(3,10)", "float32", [4.0, 8.0, 5.0, 6.0, 9.0]),
    (
        "torch.manual_seed(5) and torch.zeros(5,dtype=torch.int64).random_()",
        "int64",
        [
            4095051218741643470,
            6838803925648402109,
            3813295331020233846,
            7722008223506294857,
            9009596224835060452,
        ],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).bernoulli_(.5)",
        "float32",
        [0.0, 1.0, 1.0, 1.0, 1.0],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).bernoulli_(torch.full((5,),.5))",
        "float32",
        [0.0, 1.0, 0.0, 0.0, 0.0],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).exponential_(2.)",
        "float32",
        [0.5136321, 0.150389, 0.2237905, 0.189265, 0.1547029],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).geometric_(.3)",
        "float32",
        [2.0, 4.0, 3.0, 4.0, 4.0],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).cauchy_()",
        "float32",
        [0.4783196, -0.9404947, -0.4673924, -0.6562811, -0.9035349],
    ),
    (
        "torch.manual_seed(5) and torch.zeros(5).log_normal_()",
        "float32",
        [1.026791, 0.8124969, 0.8903039, 10.32996, 1.831563],
    ),
    (
        "torch.rand(3,generator=torch.Generator().manual_seed(3))",
        "float32",
        [0.00426352, 0.1055694, 0.2858425],
    ),
)

ERRORS = (
    (
        "torch.randint(5,2)",
        TypeError,
        "randint(): argument 'size' (position 2) must be tuple of ints, not int",
    ),
    (
        "torch.randint(5,5,(2,))",
        RuntimeError,
        "random_ expects 'from' to be less than 'to', but got from=5 >= to=5",
    ),
    (
        "torch.randperm(-1)",
        RuntimeError,
        "Trying to create tensor with negative dimension -1: [-1]",
    ),
    ("torch.normal(0.,-1.,(2,))", RuntimeError, "normal expects std >= 0.0, but found std -1"),
    (
        "torch.zeros(2).uniform_(1,0)",
        RuntimeError,
        "uniform_ expects to return a [from, to) range, but found from=1 > to=0",
    ),
    (
        "torch.bernoulli(torch.tensor([2.]))",
        RuntimeError,
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error "
        "message be improved?  If so, please report an enhancement request to PyTorch.)",
    ),
    (
        "torch.zeros(2).bernoulli_(2.)",
        RuntimeError,
        "bernoulli_ expects p to be in [0, 1], but got p=2",
    ),
    (
        "torch.multinomial(torch.tensor([0.,0.]),1)",
        RuntimeError,
        "invalid multinomial distribution (sum of probabilities <= 0)",
    ),
    (
        "torch.multinomial(torch.tensor([1,2]),2)",
        RuntimeError,
        "multinomial only supports floating-point dtypes for input, got: Long",
    ),
    (
        "torch.zeros(2).exponential_(-1)",
        RuntimeError,
        "exponential_ expects lambda > 0.0, but found lambda=-1",
    ),
    (
        "torch.zeros(2,dtype=torch.int32).uniform_()",
        NotImplementedError,
        "\"check_uniform_bounds\" not implemented for 'Int'",
    ),
    (
        "torch.rand(2,dtype=torch.int32)",
        NotImplementedError,
        "\"check_uniform_bounds\" not implemented for 'Int'",
    ),
    (
        "torch.randn(2,dtype=torch.int32)",
        NotImplementedError,
        "\"normal_kernel_cpu\" not implemented for 'Int'",
    ),
    (
        "torch.zeros(2).random_(5,3)",
        RuntimeError,
        "random_ expects 'from' to be less than 'to', but got from=5 >= to=3",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


def test_filling_in_place_drops_the_history():
    x = torch.ones(3, requires_grad=True)
    y = (x * 2).uniform_()
    (y * 3).sum().backward()
    assert x.grad is None or x.grad.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.normal_()
    with torch.no_grad():
        x.normal_()


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="uniform_"):
        torch.zeros(2).uniform_(high=3, middle=1)


@pytest.mark.parametrize(
    ("call", "given"),
    (
        (torch.rand, ""),
        (torch.randn, ""),
        (lambda: torch.randint(5), "int"),
        (lambda: torch.randint(0, 5, 2), "int, int, int"),
        (lambda: torch.normal(0, 1), "int, int"),
        (lambda: torch.normal(0.0, 1.0, 2), "float, float, int"),
    ),
)
def test_no_size_is_none_of_the_signatures(call, given):
    with pytest.raises(TypeError) as error:
        call()
    text = str(error.value)
    assert f"() received an invalid combination of arguments - got ({given}), but expected" in text
    assert "tuple of ints size, *, torch.Generator generator" in text
