"""`disttorch.testing`: comparing tensors, tables of operator tests, a strict fake device."""

from disttorch.testing.close import assert_close
from disttorch.testing.creation import make_tensor
