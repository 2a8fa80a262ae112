"""oneDNN of the `fast` extra, driven through ctypes: convolutions at the speed of PyTorch's."""
