"""`disttorch.distributions`: probability distributions over batches of events, as in PyTorch.

PyTorch has a module for each family; here families share modules, and `_OLD_NAMES` says which.
"""

import sys

from disttorch.distributions import (
    categorical,
    composed,
    constraint_registry,
    constraints,
    continuous,
    discrete,
    distribution,
    gamma,
    kl,
    kl_pairs,
    matrices,
    multivariate,
    transformed,
    transforms,
)
from disttorch.distributions import parameters as utils
from disttorch.distributions.categorical import (
    Categorical,
    Multinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from disttorch.distributions.composed import (
    Independent,
    MixtureSameFamily,
    TransformedDistribution,
)
from disttorch.distributions.constraint_registry import biject_to, transform_to
from disttorch.distributions.continuous import (
    Cauchy,
    GeneralizedPareto,
    Laplace,
    Normal,
    StudentT,
    Uniform,
    VonMises,
)
from disttorch.distributions.continuous_bernoulli import ContinuousBernoulli
from disttorch.distributions.discrete import (
    Bernoulli,
    Binomial,
    Geometric,
    NegativeBinomial,
    Poisson,
)
from disttorch.distributions.distribution import Distribution, ExponentialFamily
from disttorch.distributions.gamma import Beta, Chi2, Dirichlet, Exponential, FisherSnedecor, Gamma
from disttorch.distributions.kl import kl_divergence, register_kl
from disttorch.distributions.matrices import LKJCholesky, Wishart
from disttorch.distributions.multivariate import LowRankMultivariateNormal, MultivariateNormal
from disttorch.distributions.transformed import (
    ExpRelaxedCategorical,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    Kumaraswamy,
    LogisticNormal,
    LogitRelaxedBernoulli,
    LogNormal,
    Pareto,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
    Weibull,
)
from disttorch.distributions.transforms import *  # noqa: F403 - PyTorch shows them here too

_OLD_NAMES = {
    categorical: ("multinomial", "one_hot_categorical"),
    composed: ("independent", "mixture_same_family", "transformed_distribution"),
    continuous: (
        *("cauchy", "generalized_pareto", "laplace", "normal", "studentT", "uniform"),
        "von_mises",
    ),
    discrete: ("bernoulli", "binomial", "geometric", "negative_binomial", "poisson"),
    distribution: ("exp_family",),
    gamma: ("beta", "chi2", "dirichlet", "exponential", "fishersnedecor"),
    matrices: ("lkj_cholesky", "wishart"),
    multivariate: ("lowrank_multivariate_normal", "multivariate_normal"),
    transformed: (
        *("gumbel", "half_cauchy", "half_normal", "inverse_gamma", "kumaraswamy", "log_normal"),
        *("logistic_normal", "pareto", "relaxed_bernoulli", "relaxed_categorical", "weibull"),
    ),
    utils: ("utils",),
}
# So that `from torch.distributions.normal import Normal` finds it.
for _module, _names in _OLD_NAMES.items():
    for _name in _names:
        sys.modules[f"{__name__}.{_name}"] = globals()[_name] = _module
