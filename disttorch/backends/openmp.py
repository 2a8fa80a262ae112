"""`disttorch.backends.openmp`: what scripts ask before they use it."""


def is_available() -> bool:
    """Return False: there is no OpenMP; threads are our own."""
    return False
