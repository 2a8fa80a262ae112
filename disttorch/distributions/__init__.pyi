"""Written by `python -m tests.stubs`; do not edit."""

from typing import Any
from disttorch.tensor import Tensor
from disttorch.distributions import categorical as categorical
from disttorch.distributions import composed as composed
from disttorch.distributions import constraint_registry as constraint_registry
from disttorch.distributions import constraints as constraints
from disttorch.distributions import continuous as continuous
from disttorch.distributions import continuous_bernoulli as continuous_bernoulli
from disttorch.distributions import discrete as discrete
from disttorch.distributions import distribution as distribution
from disttorch.distributions import gamma as gamma
from disttorch.distributions import gamma_sampling as gamma_sampling
from disttorch.distributions import kl as kl
from disttorch.distributions import kl_pairs as kl_pairs
from disttorch.distributions import matrices as matrices
from disttorch.distributions import multivariate as multivariate
from disttorch.distributions import parameters as parameters
from disttorch.distributions import parameters as utils
from disttorch.distributions import transform as transform
from disttorch.distributions import transformed as transformed
from disttorch.distributions import transforms as transforms
from disttorch.distributions import transforms_scalar as transforms_scalar
from disttorch.distributions import transforms_vector as transforms_vector
from disttorch.distributions.categorical import Categorical as Categorical
from disttorch.distributions.categorical import Multinomial as Multinomial
from disttorch.distributions.categorical import OneHotCategorical as OneHotCategorical
from disttorch.distributions.categorical import OneHotCategoricalStraightThrough as OneHotCategoricalStraightThrough
from disttorch.distributions.composed import Independent as Independent
from disttorch.distributions.composed import MixtureSameFamily as MixtureSameFamily
from disttorch.distributions.composed import TransformedDistribution as TransformedDistribution
from disttorch.distributions.constraint_registry import biject_to as biject_to
from disttorch.distributions.constraint_registry import transform_to as transform_to
from disttorch.distributions.continuous import Cauchy as Cauchy
from disttorch.distributions.continuous import GeneralizedPareto as GeneralizedPareto
from disttorch.distributions.continuous import Laplace as Laplace
from disttorch.distributions.continuous import Normal as Normal
from disttorch.distributions.continuous import StudentT as StudentT
from disttorch.distributions.continuous import Uniform as Uniform
from disttorch.distributions.continuous import VonMises as VonMises
from disttorch.distributions.continuous_bernoulli import ContinuousBernoulli as ContinuousBernoulli
from disttorch.distributions.discrete import Bernoulli as Bernoulli
from disttorch.distributions.discrete import Binomial as Binomial
from disttorch.distributions.discrete import Geometric as Geometric
from disttorch.distributions.discrete import NegativeBinomial as NegativeBinomial
from disttorch.distributions.discrete import Poisson as Poisson
from disttorch.distributions.distribution import Distribution as Distribution
from disttorch.distributions.distribution import ExponentialFamily as ExponentialFamily
from disttorch.distributions.gamma import Beta as Beta
from disttorch.distributions.gamma import Chi2 as Chi2
from disttorch.distributions.gamma import Dirichlet as Dirichlet
from disttorch.distributions.gamma import Exponential as Exponential
from disttorch.distributions.gamma import FisherSnedecor as FisherSnedecor
from disttorch.distributions.gamma import Gamma as Gamma
from disttorch.distributions.kl import kl_divergence as kl_divergence
from disttorch.distributions.kl import register_kl as register_kl
from disttorch.distributions.matrices import LKJCholesky as LKJCholesky
from disttorch.distributions.matrices import Wishart as Wishart
from disttorch.distributions.multivariate import LowRankMultivariateNormal as LowRankMultivariateNormal
from disttorch.distributions.multivariate import MultivariateNormal as MultivariateNormal
from disttorch.distributions.transform import ComposeTransform as ComposeTransform
from disttorch.distributions.transform import IndependentTransform as IndependentTransform
from disttorch.distributions.transform import Transform as Transform
from disttorch.distributions.transformed import ExpRelaxedCategorical as ExpRelaxedCategorical
from disttorch.distributions.transformed import Gumbel as Gumbel
from disttorch.distributions.transformed import HalfCauchy as HalfCauchy
from disttorch.distributions.transformed import HalfNormal as HalfNormal
from disttorch.distributions.transformed import InverseGamma as InverseGamma
from disttorch.distributions.transformed import Kumaraswamy as Kumaraswamy
from disttorch.distributions.transformed import LogNormal as LogNormal
from disttorch.distributions.transformed import LogisticNormal as LogisticNormal
from disttorch.distributions.transformed import LogitRelaxedBernoulli as LogitRelaxedBernoulli
from disttorch.distributions.transformed import Pareto as Pareto
from disttorch.distributions.transformed import RelaxedBernoulli as RelaxedBernoulli
from disttorch.distributions.transformed import RelaxedOneHotCategorical as RelaxedOneHotCategorical
from disttorch.distributions.transformed import Weibull as Weibull
from disttorch.distributions.transforms_scalar import AbsTransform as AbsTransform
from disttorch.distributions.transforms_scalar import AffineTransform as AffineTransform
from disttorch.distributions.transforms_scalar import CumulativeDistributionTransform as CumulativeDistributionTransform
from disttorch.distributions.transforms_scalar import ExpTransform as ExpTransform
from disttorch.distributions.transforms_scalar import PowerTransform as PowerTransform
from disttorch.distributions.transforms_scalar import SigmoidTransform as SigmoidTransform
from disttorch.distributions.transforms_scalar import SoftplusTransform as SoftplusTransform
from disttorch.distributions.transforms_scalar import TanhTransform as TanhTransform
from disttorch.distributions.transforms_vector import CatTransform as CatTransform
from disttorch.distributions.transforms_vector import CorrCholeskyTransform as CorrCholeskyTransform
from disttorch.distributions.transforms_vector import LowerCholeskyTransform as LowerCholeskyTransform
from disttorch.distributions.transforms_vector import PositiveDefiniteTransform as PositiveDefiniteTransform
from disttorch.distributions.transforms_vector import ReshapeTransform as ReshapeTransform
from disttorch.distributions.transforms_vector import SoftmaxTransform as SoftmaxTransform
from disttorch.distributions.transforms_vector import StackTransform as StackTransform
from disttorch.distributions.transforms_vector import StickBreakingTransform as StickBreakingTransform

bernoulli: Any
beta: Any
binomial: Any
cauchy: Any
chi2: Any
dirichlet: Any
exp_family: Any
exponential: Any
fishersnedecor: Any
generalized_pareto: Any
geometric: Any
gumbel: Any
half_cauchy: Any
half_normal: Any
def identity_transform(x: Tensor) -> Tensor: ...
independent: Any
inverse_gamma: Any
kumaraswamy: Any
laplace: Any
lkj_cholesky: Any
log_normal: Any
logistic_normal: Any
lowrank_multivariate_normal: Any
mixture_same_family: Any
multinomial: Any
multivariate_normal: Any
negative_binomial: Any
normal: Any
one_hot_categorical: Any
pareto: Any
poisson: Any
relaxed_bernoulli: Any
relaxed_categorical: Any
studentT: Any
transformed_distribution: Any
uniform: Any
von_mises: Any
weibull: Any
wishart: Any
