"""The modules of linear algebra and Fourier transforms: one line in the table of families."""

from disttorch.ops import (
    fft,
    fft_frequency,
    fft_short_time,
    fft_window,
    linalg_cholesky,
    linalg_covariance,
    linalg_det,
    linalg_eig,
    linalg_ldl,
    linalg_lowrank,
    linalg_lstsq,
    linalg_lu,
    linalg_norm,
    linalg_power,
    linalg_products,
    linalg_qr,
    linalg_solve,
    linalg_svd,
    linalg_triangular,
)

MODULES = (
    *(fft, fft_frequency, fft_short_time, fft_window),
    *(linalg_cholesky, linalg_covariance, linalg_det, linalg_eig, linalg_ldl, linalg_lowrank),
    *(linalg_lstsq, linalg_lu, linalg_norm),
    *(linalg_power, linalg_products, linalg_qr, linalg_solve, linalg_svd, linalg_triangular),
)
