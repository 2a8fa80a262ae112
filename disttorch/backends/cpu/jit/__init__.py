"""Numba kernels of the `fast` extra: pointwise operators, rows, running sums, optimiser steps."""
