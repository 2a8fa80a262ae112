"""Weights divided by their largest singular value, by a hook before `forward`."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.grad_mode import no_grad
from disttorch.nn.functional.distance import normalize
from disttorch.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from disttorch.nn.modules.module import Module
from disttorch.nn.parameter import Parameter, UninitializedParameter
from disttorch.ops.create_random import randn
from disttorch.tensor import Tensor

_TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


def output_dim(module: Module, dim: int | None) -> int:
    """The dimension that counts as rows of the weight matrix."""
    if dim is not None:
        return dim
    return 1 if isinstance(module, _TRANSPOSED) else 0


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight as a matrix whose rows are the indices of `dim`."""
    others = [d for d in range(weight.dim()) if d != dim]
    rows = weight.permute(dim, *others) if dim != 0 else weight
    return rows.reshape(rows.size(0), -1)


def unit_vector(n: int, like: Tensor, eps: float) -> Tensor:
    """A random direction."""
    return normalize(randn(n, dtype=like.dtype, device=like.device), dim=0, eps=eps)


class SpectralNorm:
    """The hook: computes `name` from `name_orig` and the singular vectors `name_u`, `name_v`."""

    _version = 1

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """Return the normalised weight; with `do_power_iteration` the vectors are improved."""
        weight, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(normalize(matrix.t().mv(u), dim=0, eps=self.eps))
                    u.copy_(normalize(matrix.mv(v), dim=0, eps=self.eps))
                # The next call overwrites the buffers; the graph of this one keeps these values.
                u, v = u.clone(), v.clone()
        return weight / u.dot(matrix.mv(v))

    @staticmethod
    def apply(
        module: Module, name: str, n_power_iterations: int, dim: int, eps: float
    ) -> SpectralNorm:
        """Set aside the parameter, register buffers and hooks."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two spectral_norm hooks on the same parameter {name}"
                )
        hook = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters. Make "
                "sure to run the dummy forward before applying spectral normalization"
            )
        with no_grad():
            height, width = as_matrix(weight, dim).shape
            u, v = (unit_vector(n, weight, eps) for n in (height, width))
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, weight.data)
        module.register_buffer(f"{name}_u", u)
        module.register_buffer(f"{name}_v", v)
        module.register_forward_pre_hook(hook)
        module._register_state_dict_hook(SpectralNormStateDictHook(hook))
        return hook

    def remove(self, module: Module) -> None:
        """Make the current weight an ordinary parameter."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for attribute in (self.name, *(f"{self.name}_{part}" for part in ("u", "v", "orig"))):
            delattr(module, attribute)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        """Set the normalised weight; called before each forward."""
        setattr(module, self.name, self.compute_weight(module, module.training))


class SpectralNormStateDictHook:
    """Writes the version of the layout into a state dict's metadata."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(self, module: Module, state_dict: Any, prefix: str, local_metadata: Any) -> None:
        """Write the version; called after the state was collected."""
        versions = local_metadata.setdefault("spectral_norm", {})
        key = f"{self.fn.name}.version"
        if key in versions:
            raise RuntimeError(f"Unexpected key in metadata['spectral_norm']: {key}")
        versions[key] = self.fn._version


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a parameter by its largest singular value, estimated by power iterations.

    Each forward in training mode makes `n_power_iterations`. `dim` holds the matrix's rows: 0, for
    transposed convolutions 1.
    """
    SpectralNorm.apply(module, name, n_power_iterations, output_dim(module, dim), eps)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undo `spectral_norm`; raises ValueError if there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for key, hook in list(module._state_dict_hooks.items()):
        if isinstance(hook, SpectralNormStateDictHook) and hook.fn.name == name:
            del module._state_dict_hooks[key]
    return module
