"""`disttorch.backends.mps`: what scripts ask before they use it."""


def is_available() -> bool:
    """Return False: there is no Apple's GPU."""
    return False


def is_built() -> bool:
    """Return False."""
    return False
