"""`disttorch.distributions`: probability distributions over batches of events, as in PyTorch."""

from disttorch.distributions import (
    constraint_registry,
    constraints,
    kl,
    kl_pairs,
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
