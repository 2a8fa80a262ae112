"""torch.special: special functions under the names that SciPy gave them.

Bessel functions, zeta, the inverse of the normal distribution and the incomplete gamma functions
are computed by SciPy (``pip install 'disttorch[special]'``), everything else needs NumPy alone.
"""

from disttorch.ops.pointwise import exp2, expm1, log1p
from disttorch.ops.pointwise_bessel import i0, i0e, i1, i1e
from disttorch.ops.pointwise_gamma import igamma as gammainc
from disttorch.ops.pointwise_gamma import igammac as gammaincc
from disttorch.ops.pointwise_gamma import mvlgamma as multigammaln
from disttorch.ops.pointwise_round import round
from disttorch.ops.pointwise_special import (
    digamma,
    erf,
    erfc,
    erfinv,
    expit,
    logit,
    polygamma,
    xlogy,
)
from disttorch.ops.pointwise_special import digamma as psi
from disttorch.ops.pointwise_special import lgamma as gammaln
from disttorch.ops.pointwise_trig import sinc
from disttorch.ops.reduce_norm import logsumexp
from disttorch.ops.softmax import log_softmax, softmax
from disttorch.special.bessel import (
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    modified_bessel_i0,
    modified_bessel_i1,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)
from disttorch.special.normal import entr, erfcx, log_ndtr, ndtr, ndtri, xlog1py, zeta
from disttorch.special.polynomial import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)
