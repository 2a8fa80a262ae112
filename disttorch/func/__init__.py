"""`disttorch.func`: functions of functions - derivatives, batching, modules without state."""

from disttorch.func.jacobians import hessian, jacfwd, jacrev
from disttorch.func.stateful import functional_call, stack_module_state
from disttorch.func.transforms import functionalize, grad, grad_and_value, jvp, linearize, vjp
from disttorch.func.vmap import vmap
