"""Every distribution against PyTorch: over a table of parameters, all that it says of itself."""

import importlib
import itertools
import re
import warnings

import numpy as np
import pytest

import disttorch

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

POSITIVE = np.array([0.3, 1.0, 2.5, 7.0])
REAL = np.array([-1.5, 0.0, 0.7, 3.0])
SHARE = np.array([0.1, 0.5, 0.4995, 0.9])
ROWS = np.array([[0.2, 0.3, 0.5], [0.7, 0.1, 0.2]])
MATRIX = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 1.5]])
LOWER = np.linalg.cholesky(MATRIX)
COLUMNS = np.array([[0.5, 0.1], [-0.3, 0.2], [0.4, 0.9]])

# name: (constructor of (distributions, tensors), parameters). One name may come with several.
TABLE = {
    "Normal": (lambda D, a, b: D.Normal(a, b), (REAL, POSITIVE)),
    "Laplace": (lambda D, a, b: D.Laplace(a, b), (REAL, POSITIVE)),
    "Cauchy": (lambda D, a, b: D.Cauchy(a, b), (REAL, POSITIVE)),
    "Uniform": (lambda D, a, b: D.Uniform(a, a + b), (REAL, POSITIVE)),
    "StudentT": (lambda D, a, b, c: D.StudentT(a, b, c), (POSITIVE, REAL, POSITIVE)),
    "GeneralizedPareto": (
        lambda D, a, b, c: D.GeneralizedPareto(a, b, c),
        # float64 is more than PyTorch's own log_prob can take.
        tuple(a.astype(np.float32) for a in (REAL, POSITIVE, np.array([-0.4, 0.0, 0.3, 0.8]))),
    ),
    "VonMises": (lambda D, a, b: D.VonMises(a, b), (REAL, POSITIVE)),
    "Exponential": (lambda D, a: D.Exponential(a), (POSITIVE,)),
    "Gamma": (lambda D, a, b: D.Gamma(a, b), (POSITIVE, POSITIVE[::-1].copy())),
    "Chi2": (lambda D, a: D.Chi2(a), (POSITIVE,)),
    "Dirichlet": (lambda D, a: D.Dirichlet(a), (ROWS * 5,)),
    "Dirichlet low": (lambda D, a: D.Dirichlet(a), (ROWS,)),
    "Beta": (lambda D, a, b: D.Beta(a, b), (POSITIVE, POSITIVE[::-1].copy())),
    "FisherSnedecor": (lambda D, a, b: D.FisherSnedecor(a, b), (POSITIVE, POSITIVE * 2)),
    "Bernoulli": (lambda D, a: D.Bernoulli(a), (SHARE,)),
    "Bernoulli logits": (lambda D, a: D.Bernoulli(logits=a), (REAL,)),
    "Geometric": (lambda D, a: D.Geometric(a), (SHARE,)),
    "Geometric logits": (lambda D, a: D.Geometric(logits=a), (REAL,)),
    "Binomial": (lambda D, a: D.Binomial(5, a), (SHARE,)),
    "Binomial logits": (lambda D, a: D.Binomial(40, logits=a), (REAL,)),
    "NegativeBinomial": (lambda D, a, b: D.NegativeBinomial(a, b), (POSITIVE, SHARE)),
    "NegativeBinomial logits": (
        lambda D, a, b: D.NegativeBinomial(a, logits=b),
        (POSITIVE, REAL),
    ),
    "Poisson": (lambda D, a: D.Poisson(a), (POSITIVE * 4,)),
    "Categorical": (lambda D, a: D.Categorical(a), (ROWS,)),
    "Categorical logits": (lambda D, a: D.Categorical(logits=a), (ROWS,)),
    "OneHotCategorical": (lambda D, a: D.OneHotCategorical(a), (ROWS,)),
    "OneHotCategoricalStraightThrough": (
        lambda D, a: D.OneHotCategoricalStraightThrough(a),
        (ROWS,),
    ),
    "Multinomial": (lambda D, a: D.Multinomial(6, a), (ROWS,)),
    "Multinomial logits": (lambda D, a: D.Multinomial(6, logits=a), (ROWS[0],)),
    "ContinuousBernoulli": (lambda D, a: D.ContinuousBernoulli(a), (SHARE,)),
    "ContinuousBernoulli logits": (lambda D, a: D.ContinuousBernoulli(logits=a), (REAL,)),
    "LogNormal": (lambda D, a, b: D.LogNormal(a, b), (REAL, POSITIVE / 4)),
    "HalfNormal": (lambda D, a: D.HalfNormal(a), (POSITIVE,)),
    "HalfCauchy": (lambda D, a: D.HalfCauchy(a), (POSITIVE,)),
    "Gumbel": (lambda D, a, b: D.Gumbel(a, b), (REAL, POSITIVE)),
    "Weibull": (lambda D, a, b: D.Weibull(a, b), (POSITIVE, POSITIVE + 0.5)),
    "Pareto": (lambda D, a, b: D.Pareto(a, b), (POSITIVE, POSITIVE)),
    "Kumaraswamy": (lambda D, a, b: D.Kumaraswamy(a, b), (POSITIVE, POSITIVE)),
    "InverseGamma": (lambda D, a, b: D.InverseGamma(a, b), (POSITIVE, POSITIVE)),
    "LogisticNormal": (lambda D, a, b: D.LogisticNormal(a, b), (REAL, POSITIVE)),
    "RelaxedBernoulli": (lambda D, a, b: D.RelaxedBernoulli(a, b), (np.array(0.7), SHARE)),
    "RelaxedOneHotCategorical": (
        lambda D, a, b: D.RelaxedOneHotCategorical(a, b),
        (np.array(0.7), ROWS),
    ),
    "MultivariateNormal": (
        lambda D, a, b: D.MultivariateNormal(a, b @ b.mT),
        (ROWS, LOWER),
    ),
    "MultivariateNormal precision": (
        lambda D, a, b: D.MultivariateNormal(a, precision_matrix=b @ b.mT),
        (ROWS[0], LOWER),
    ),
    "MultivariateNormal scale_tril": (
        lambda D, a, b: D.MultivariateNormal(a, scale_tril=b.tril()),
        (ROWS, np.stack([LOWER, LOWER * 2])),
    ),
    "LowRankMultivariateNormal": (
        lambda D, a, b, c: D.LowRankMultivariateNormal(a, b, c),
        (ROWS, COLUMNS, np.array([0.5, 1.0, 0.3])),
    ),
    "Wishart": (lambda D, a, b: D.Wishart(a, b @ b.mT), (np.array(4.5), LOWER)),
    "LKJCholesky": (lambda D, a: D.LKJCholesky(3, a), (np.array([0.8, 2.0]),)),
    "Independent": (
        lambda D, a, b: D.Independent(D.Normal(a, b), 1),
        (np.stack([REAL, REAL]), POSITIVE),
    ),
    "MixtureSameFamily": (
        lambda D, a, b, c: D.MixtureSameFamily(D.Categorical(a), D.Normal(b, c)),
        (np.array([0.1, 0.2, 0.3, 0.4]), REAL, POSITIVE),
    ),
    "MixtureSameFamily of vectors": (
        lambda D, a, b: D.MixtureSameFamily(
            D.Categorical(a), D.Independent(D.Normal(b, b.exp()), 1)
        ),
        (np.array([0.4, 0.6]), ROWS),
    ),
    "TransformedDistribution": (
        lambda D, a, b: D.TransformedDistribution(
            D.Normal(a, b),
            [
                D.transforms.AffineTransform(1.0, -0.5),
                D.transforms.SigmoidTransform(),
                D.transforms.TanhTransform(),
            ],
        ),
        (REAL, POSITIVE / 5),
    ),
}
# PyTorch takes regular matrices for singular ones and draws all samples anew.
OTHER_SAMPLES = ("Wishart",)


def made(t, name):
    """The distribution, with parameters that ask for gradients."""
    make, arrays = TABLE[name]
    parameters = [t.from_numpy(a.copy()).requires_grad_() for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(t.distributions, *parameters), parameters


def attempt(compute):
    try:
        return compute()
    except (NotImplementedError, AttributeError, ValueError) as error:
        return type(error).__name__


def equal(got, want, what, rtol=1e-6):
    if isinstance(want, str) or not isinstance(want, torch.Tensor):
        assert got == want, (what, got, want)
        return
    assert str(got.dtype) == str(want.dtype), what
    a, b = got.detach().numpy(), want.detach().numpy()
    atol = 1e-8 if want.dtype is torch.float64 else 1e-5
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=what)


def values_of(theirs):
    torch.manual_seed(3)
    return theirs.sample((5,))


@pytest.mark.parametrize("name", TABLE)
def test_facts(name):
    (theirs, _), (ours, _) = made(torch, name), made(disttorch, name)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert repr(ours) == repr(theirs)
    assert ours.has_rsample == theirs.has_rsample
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    # Random numbers may be the details of PyTorch's text of a region: tensors print alike.
    assert type(ours.support).__name__ == type(theirs.support).__name__
    assert ours.support.event_dim == theirs.support.event_dim
    assert ours.support.is_discrete == theirs.support.is_discrete
    for fact in ("mean", "mode", "variance", "stddev"):
        equal(
            attempt(lambda f=fact: getattr(ours, f)),
            attempt(lambda f=fact: getattr(theirs, f)),
            fact,
        )
    for call in ("entropy", "perplexity", "enumerate_support"):
        equal(
            attempt(lambda c=call: getattr(ours, c)()),
            attempt(lambda c=call: getattr(theirs, c)()),
            call,
        )


@pytest.mark.parametrize("name", TABLE)
def test_densities(name):
    (theirs, their_parameters), (ours, our_parameters) = made(torch, name), made(disttorch, name)
    x = values_of(theirs)
    mine = disttorch.from_numpy(x.numpy().copy())
    want, got = theirs.log_prob(x), ours.log_prob(mine)
    equal(got, want, "log_prob")
    if want.requires_grad:
        want.sum().backward()
        got.sum().backward()
        for a, b in zip(our_parameters, their_parameters, strict=True):
            assert (a.grad is None) == (b.grad is None)
            if b.grad is not None:
                equal(a.grad, b.grad, "gradient of log_prob", rtol=1e-5)
    for call, argument in (("cdf", x), ("icdf", torch.tensor([0.1, 0.25, 0.5, 0.9]).double())):
        given = disttorch.from_numpy(argument.numpy().copy())
        expected = attempt(lambda c=call, v=argument: getattr(theirs, c)(v))
        equal(attempt(lambda c=call, v=given: getattr(ours, c)(v)), expected, call)


@pytest.mark.parametrize("name", TABLE)
def test_expanded(name):
    (theirs, _), (ours, _) = made(torch, name), made(disttorch, name)
    shape = (3, *theirs.batch_shape)
    theirs, ours = theirs.expand(torch.Size(shape)), ours.expand(shape)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape) == shape
    x = values_of(theirs)
    equal(ours.log_prob(disttorch.from_numpy(x.numpy().copy())), theirs.log_prob(x), "log_prob")
    equal(attempt(lambda: ours.mean), attempt(lambda: theirs.mean), "mean")
    assert tuple(ours.sample((2,)).shape) == tuple(theirs.sample((2,)).shape)


@pytest.mark.parametrize("name", [name for name in TABLE if name not in OTHER_SAMPLES])
@pytest.mark.parametrize("shape", [(), (7, 3)])
def test_same_seed_same_samples(name, shape):
    results = []
    for t in (torch, disttorch):
        t.manual_seed(11)
        distribution, parameters = made(t, name)
        draw = distribution.rsample if distribution.has_rsample else distribution.sample
        results.append((draw(shape), distribution.sample(), parameters))
    (want, want_next, theirs), (got, got_next, ours) = results
    equal(got, want, "rsample", rtol=1e-5)
    equal(got_next, want_next, "sample", rtol=1e-5)
    assert got.requires_grad == want.requires_grad
    # Gradients of gamma draws are approximations in PyTorch, those of shares another estimate.
    implicit = ("Gamma", "Chi2", "Dirichlet", "Beta", "Fisher", "Student", "Wishart", "LKJ")
    if want.requires_grad and not any(part in name for part in implicit):
        want.sum().backward()
        got.sum().backward()
        for a, b in zip(ours, theirs, strict=True):
            if b.grad is not None:
                equal(a.grad, b.grad, "gradient of rsample", rtol=1e-5)


@pytest.mark.parametrize("concentration", [0.05, 0.7, 3.0, 40.0, 79.0, 81.0, 500.0, 5e4])
def test_gradients_of_gamma_draws(concentration):
    """PyTorch approximates to three digits; ours are exact up to a concentration of 80."""
    grads = []
    for t in (torch, disttorch):
        t.manual_seed(0)
        a = t.full((200,), concentration, dtype=t.float64).requires_grad_()
        t.distributions.Gamma(a, 1.0).rsample().sum().backward()
        grads.append(a.grad.numpy())
    np.testing.assert_allclose(grads[1], grads[0], rtol=2e-3)


@pytest.mark.parametrize("name", ["Dirichlet", "Beta"])
def test_gradients_of_shares_are_unbiased(name):
    """The mean gradient of a smooth function of many draws is that of its mean."""
    make, arrays = TABLE[name]
    disttorch.manual_seed(0)
    parameters = [disttorch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    distribution = make(disttorch.distributions, *parameters)
    n = 4000
    drawn = distribution.rsample((n,))
    (drawn**2).sum().div(n).backward()
    got = [p.grad.numpy().copy() for p in parameters]
    for p in parameters:
        p.grad = None
    distribution = make(disttorch.distributions, *parameters)
    (distribution.variance + distribution.mean**2).sum().backward()
    for a, p in zip(got, parameters, strict=True):
        np.testing.assert_allclose(a, p.grad.numpy(), atol=0.02)


def test_wishart_samples_have_its_moments():
    disttorch.manual_seed(0)
    distribution, _ = made(disttorch, "Wishart")
    drawn = distribution.sample((4000,))
    np.testing.assert_allclose(drawn.mean(0).numpy(), distribution.mean.detach().numpy(), atol=0.3)
    spread = drawn.var(0).numpy() / distribution.variance.detach().numpy()
    np.testing.assert_allclose(spread, 1, atol=0.15)


def pairs():
    """All pairs of families of numbers with the same batch, and those of vectors."""
    numbers = [n for n in TABLE if TABLE[n][1][-1].shape == (4,) and "Mixture" not in n]
    vectors = ["MultivariateNormal", "LowRankMultivariateNormal", "MultivariateNormal scale_tril"]
    others = ["Dirichlet", "Categorical", "OneHotCategorical", "Independent", "Wishart"]
    return [*itertools.product(numbers, numbers), *itertools.product(vectors, vectors)] + [
        (name, name) for name in others
    ]


def test_divergences():
    n_formulas = 0
    for p, q in pairs():
        results = []
        for t in (torch, disttorch):
            a, b = made(t, p)[0], made(t, q)[0].expand(made(t, q)[0].batch_shape)
            results.append(attempt(lambda t=t, a=a, b=b: t.distributions.kl_divergence(a, b)))
        equal(results[1], results[0], f"{p}, {q}", rtol=1e-5)
        n_formulas += not isinstance(results[0], str)
    assert n_formulas > 80


REFUSED = {
    "negative scale": lambda D, t: D.Normal(0.0, -1.0),
    "not a parameter": lambda D, t: D.Normal("a", 1.0),
    "nan": lambda D, t: D.Normal(t.tensor([float("nan"), 1.0]), 1.0),
    "both": lambda D, t: D.Bernoulli(0.5, 0.5),
    "none": lambda D, t: D.Categorical(),
    "scalar probs": lambda D, t: D.Categorical(t.tensor(0.5)),
    "scalar logits": lambda D, t: D.Categorical(logits=t.tensor(0.5)),
    "probs": lambda D, t: D.Bernoulli(1.5),
    "negative probs": lambda D, t: D.Categorical(t.tensor([-1.0, 2.0])),
    "geometric zero": lambda D, t: D.Geometric(t.tensor([0.0, 0.5])),
    "outside": lambda D, t: D.Exponential(1.0).log_prob(t.tensor(-1.0)),
    "half": lambda D, t: D.Bernoulli(0.5).log_prob(t.tensor(0.5)),
    "number": lambda D, t: D.Normal(0.0, 1.0).log_prob(1.0),
    "event": lambda D, t: D.Dirichlet(t.ones(3)).log_prob(t.ones(2) / 2),
    "batch": lambda D, t: D.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2)),
    "uniform": lambda D, t: D.Uniform(1.0, 0.0),
    "counts": lambda D, t: D.Multinomial(t.tensor([1, 2]), t.ones(3)),
    "inhomogeneous": lambda D, t: D.Binomial(t.tensor([1, 2]), t.ones(2) / 2).entropy(),
    "mvn none": lambda D, t: D.MultivariateNormal(t.zeros(2)),
    "mvn scalar": lambda D, t: D.MultivariateNormal(t.tensor(0.0), t.eye(2)),
    "mvn matrix": lambda D, t: D.MultivariateNormal(t.zeros(2), t.ones(2)),
    "mvn indefinite": lambda D, t: D.MultivariateNormal(t.zeros(2), -t.eye(2)),
    "low rank": lambda D, t: D.LowRankMultivariateNormal(t.zeros(2), t.ones(3, 1), t.ones(2)),
    "low rank diag": lambda D, t: D.LowRankMultivariateNormal(t.zeros(2), t.ones(2, 1), t.ones(3)),
    "wishart df": lambda D, t: D.Wishart(t.tensor(0.5), t.eye(3)),
    "wishart low": lambda D, t: D.Wishart(t.tensor(2.5), t.eye(3)),
    "lkj": lambda D, t: D.LKJCholesky(1),
    "independent": lambda D, t: D.Independent(D.Normal(0.0, 1.0), 1),
    "mixture": lambda D, t: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)),
    "mixture part": lambda D, t: D.MixtureSameFamily(D.Categorical(t.ones(2)), 3),
    "mixture size": lambda D, t: D.MixtureSameFamily(
        D.Categorical(t.ones(2)), D.Normal(t.zeros(3), 1.0)
    ),
    "transforms": lambda D, t: D.TransformedDistribution(D.Normal(0.0, 1.0), [3]),
    "transform": lambda D, t: D.TransformedDistribution(D.Normal(0.0, 1.0), 3),
    "transform dims": lambda D, t: D.TransformedDistribution(
        D.Normal(0.0, 1.0), D.transforms.StickBreakingTransform()
    ),
    "kl": lambda D, t: D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0)),
    "binomials": lambda D, t: D.kl_divergence(
        D.Binomial(1, t.tensor(0.5)), D.Binomial(2, t.tensor(0.5))
    ),
    "mode": lambda D, t: D.LogisticNormal(0.0, 1.0).mode,
    "cache": lambda D, t: D.transforms.ExpTransform(cache_size=2),
    "reshape": lambda D, t: D.transforms.ReshapeTransform((2,), (3,)),
    "biject": lambda D, t: D.biject_to(D.constraints.boolean),
    "dependent": lambda D, t: D.constraints.dependent.check(t.ones(1)),
    "triangle": lambda D, t: D.utils.vec_to_tril_matrix(t.ones(4)),
    "sample_n": lambda D, t: D.Normal(0.0, 1.0).sample_n(2),
    "continuous bernoulli": lambda D, t: D.ContinuousBernoulli(2.0, validate_args=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_complaints(name):
    found = []
    for t in (torch, disttorch):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                REFUSED[name](t.distributions, t)
            except Exception as error:
                found.append((type(error).__name__, re.sub(r"'[\w.]+\.", "'", str(error))))
    assert len(found) == 2
    assert found[1] == found[0]


TRANSFORMS = {
    "exp": lambda T, t: (T.ExpTransform(), REAL),
    "power": lambda T, t: (T.PowerTransform(t.tensor(2.5).double()), POSITIVE),
    "sigmoid": lambda T, t: (T.SigmoidTransform(), REAL),
    "softplus": lambda T, t: (T.SoftplusTransform(), REAL),
    "tanh": lambda T, t: (T.TanhTransform(), REAL),
    "affine": lambda T, t: (T.AffineTransform(1.0, -2.0), REAL),
    "affine vector": lambda T, t: (T.AffineTransform(0.5, t.ones(3).double() * 3, 1), ROWS),
    "compose": lambda T, t: (T.ComposeTransform([T.ExpTransform(), T.AffineTransform(0, 2)]), REAL),
    "inverse": lambda T, t: (T.ExpTransform().inv, POSITIVE),
    "independent": lambda T, t: (T.IndependentTransform(T.ExpTransform(), 1), ROWS),
    "reshape": lambda T, t: (T.ReshapeTransform((3,), (1, 3)), ROWS),
    "stick breaking": lambda T, t: (T.StickBreakingTransform(), ROWS),
    "corr cholesky": lambda T, t: (T.CorrCholeskyTransform(), ROWS),
    "cat": lambda T, t: (
        T.CatTransform([T.ExpTransform(), T.AffineTransform(1, 2)], dim=1, lengths=[1, 2]),
        ROWS,
    ),
    "stack": lambda T, t: (
        T.StackTransform([T.ExpTransform(), T.TanhTransform(), T.ExpTransform()], dim=1),
        ROWS,
    ),
    "softmax": lambda T, t: (T.SoftmaxTransform(), ROWS),
    "lower cholesky": lambda T, t: (T.LowerCholeskyTransform(), MATRIX),
    "positive definite": lambda T, t: (T.PositiveDefiniteTransform(), MATRIX),
    "abs": lambda T, t: (T.AbsTransform(), REAL),
    "cdf": lambda T, t: (
        T.CumulativeDistributionTransform(t.distributions.Normal(0.0, 1.0)),
        REAL,
    ),
}


def transformed(t, name):
    make = TRANSFORMS[name]
    transform, array = make(t.distributions.transforms, t)
    x = t.from_numpy(array.copy())
    y = transform(x)
    results = [y, transform.inv(y), attempt(lambda: transform.log_abs_det_jacobian(x, y))]
    shapes = [tuple(transform.forward_shape(x.shape)), tuple(transform.inverse_shape(y.shape))]
    facts = [attempt(lambda: transform.bijective), attempt(lambda: transform.event_dim)]
    same = make(t.distributions.transforms, t)[0]
    texts = [repr(transform), transform == same, transform.inv.inv is transform]
    cached = make(t.distributions.transforms, t)[0].with_cache()
    texts += [cached.inv(cached(x)) is x, type(attempt(lambda: transform.domain)).__name__]
    return [*results, *shapes, *facts, *texts]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    for i, (got, want) in enumerate(
        zip(transformed(disttorch, name), transformed(torch, name), strict=True)
    ):
        equal(got, want, f"{name} {i}")


REGIONS = {
    "real": lambda c: c.real,
    "positive": lambda c: c.positive,
    "nonnegative": lambda c: c.nonnegative,
    "unit_interval": lambda c: c.unit_interval,
    "greater_than": lambda c: c.greater_than(1.0),
    "less_than": lambda c: c.less_than(1.0),
    "interval": lambda c: c.interval(-1.0, 2.0),
    "half_open_interval": lambda c: c.half_open_interval(0.0, 1.0),
    "simplex": lambda c: c.simplex,
    "real_vector": lambda c: c.real_vector,
    "lower_cholesky": lambda c: c.lower_cholesky,
    "positive_definite": lambda c: c.positive_definite,
    "corr_cholesky": lambda c: c.corr_cholesky,
    "cat": lambda c: c.cat([c.positive, c.unit_interval], -1, [1, 2]),
    "stack": lambda c: c.stack([c.positive, c.unit_interval, c.real], -1),
    "boolean": lambda c: c.boolean,
    "one_hot": lambda c: c.one_hot,
    "integers": lambda c: c.integer_interval(0, 3),
    "counts": lambda c: c.nonnegative_integer,
    "square": lambda c: c.square,
    "symmetric": lambda c: c.symmetric,
    "multinomial": lambda c: c.multinomial(2),
    "semidefinite": lambda c: c.positive_semidefinite,
    "lower_triangular": lambda c: c.lower_triangular,
}


@pytest.mark.parametrize("name", REGIONS)
def test_regions(name):
    results = []
    for t in (torch, disttorch):
        region = REGIONS[name](t.distributions.constraints)
        seen = [repr(region), region.event_dim, region.is_discrete]
        for array in (MATRIX, LOWER, np.eye(3), ROWS, np.array([[0.0, 1.0, 2.0], [0.5, 0.5, 0.0]])):
            seen.append(attempt(lambda r=region, t=t, a=array: r.check(t.from_numpy(a))))
        for registry in (t.distributions.biject_to, t.distributions.transform_to):
            free = t.from_numpy(MATRIX)
            seen.append(attempt(lambda f=registry, r=region, x=free: f(r)(x)))
        results.append(seen)
    for i, (got, want) in enumerate(zip(results[1], results[0], strict=True)):
        if isinstance(want, torch.Tensor):
            equal(got, want, f"{name} {i}")
        elif i:
            assert got == want, (name, i)
        else:
            # PyTorch's text of bounded regions, whichever of two equal spellings of their number.
            assert got.split("(")[0] == want.split("(")[0]


def test_every_module():
    """Each family is where PyTorch has it, too."""
    for name in torch.distributions.__all__:
        there = getattr(torch.distributions, name).__module__ if name[0].isupper() else ""
        if there:
            here = importlib.import_module(there.replace("torch.", "disttorch.", 1))
            assert getattr(here, name) is getattr(disttorch.distributions, name)


def test_every_name():
    theirs, ours = set(torch.distributions.__all__), set(dir(disttorch.distributions))
    assert not theirs - ours
    assert not set(torch.distributions.constraints.__all__) - set(
        dir(disttorch.distributions.constraints)
    )
    assert not set(torch.distributions.transforms.__all__) - set(
        dir(disttorch.distributions.transforms)
    )
