"""PyTorch's path of the functions that average parameters."""

from disttorch.distributed.algorithms.model_averaging.parameters import (
    average_parameters,
    average_parameters_or_parameter_groups,
    get_params_to_average,
)

__all__ = [
    "average_parameters",
    "average_parameters_or_parameter_groups",
    "get_params_to_average",
]
