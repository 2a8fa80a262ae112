"""The CPU backend: NumPy arrays."""
