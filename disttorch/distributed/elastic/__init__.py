"""PyTorch's paths for scripts that are started by a launcher: `disttorch-launch` here."""
