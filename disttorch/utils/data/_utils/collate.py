"""PyTorch's path of the collating functions."""
