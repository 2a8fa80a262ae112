"""`disttorch.backends.mkl`: what scripts ask before they use it."""


def is_available() -> bool:
    """Return False: there is no Intel's MKL; products are OpenBLAS's."""
    return False
