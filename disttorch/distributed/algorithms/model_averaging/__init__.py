"""Averaging models instead of gradients: `averagers`, `hierarchical_model_averager`, `utils`."""
