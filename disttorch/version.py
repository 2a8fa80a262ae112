"""The version, in a file that packaging reads without importing disttorch."""

__version__ = "0.1.0"
# As in a CPU build of PyTorch, where scripts look for what a build is tied to: nothing here is.
cuda = hip = xpu = None
debug = False
