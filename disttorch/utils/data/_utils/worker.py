"""PyTorch's path of what a worker can ask."""
