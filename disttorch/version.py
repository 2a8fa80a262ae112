"""The version, in a file that packaging reads without importing disttorch."""

__version__ = "0.1.0"
