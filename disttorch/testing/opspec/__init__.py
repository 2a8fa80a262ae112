"""The table of operator tests: one file a family, as in `disttorch/ops`, each with `SPECS`.

`tests/testing/opspec/test_table.py` runs every row (`-k NAME` runs those of one name). To add one,
append it to `SPECS` in the family's file here (a new file is found by itself)::

    from disttorch.testing.opspec.spec import OpSpec, floats, sample

    SPECS = (
        OpSpec("hypot", ref=np.hypot, samples=binary(), integers="refused"),
        OpSpec("cat", ref=lambda xs, dim=0: np.concatenate(xs, dim),
               samples=(sample([floats(2, 3), floats(1, 3)], dim=0),
                        sample([floats(0), floats(2)])),
               skip={"0-d": "0-d tensors cannot be joined"}),
    )

What a row gives: the name of the public operator (or `op`, a function of tensors), a NumPy
reference, and samples of its arguments, where `floats(2, 3)`, `ints`, `bools`, `complexes`,
`distinct` and `array` describe tensors (`spec.py`) and everything else is passed as it is. The
floating ones require grad. `elementwise()` and `binary()` make the usual samples of shapes.

What every row is put through: forward against the reference (values, shape, dtype) on contiguous
and on strided inputs and in float32; inputs unmodified; `gradcheck` and `gradgradcheck`; the
in-place variant and the method if they are public; integer and bool inputs if `integers` or
`bools` name the result's dtype; the fake device (values and gradients equal those on the CPU).
Samples must include a 0-d and a zero-size tensor. `skip` leaves out a check, with the reason.
"""

from disttorch.testing.opspec.spec import OpSpec, Sample
from disttorch.testing.opspec.table import EXEMPT, all_specs, names_with_rows
