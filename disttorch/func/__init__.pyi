"""Written by `python -m tests.stubs`; do not edit."""

from disttorch.func import jacobians as jacobians
from disttorch.func import pytree as pytree
from disttorch.func import stateful as stateful
from disttorch.func import transforms as transforms
from disttorch.func.jacobians import hessian as hessian
from disttorch.func.jacobians import jacfwd as jacfwd
from disttorch.func.jacobians import jacrev as jacrev
from disttorch.func.stateful import functional_call as functional_call
from disttorch.func.stateful import stack_module_state as stack_module_state
from disttorch.func.transforms import functionalize as functionalize
from disttorch.func.transforms import grad as grad
from disttorch.func.transforms import grad_and_value as grad_and_value
from disttorch.func.transforms import jvp as jvp
from disttorch.func.transforms import linearize as linearize
from disttorch.func.transforms import vjp as vjp
from disttorch.func.vmap import vmap as vmap

