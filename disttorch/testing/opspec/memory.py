"""Public names about tensors and their memory, which no row can test: there are no numbers."""

from __future__ import annotations

from disttorch.ops import absent, create_buffer, create_legacy, elementwise_python, facts, memory
from disttorch.testing.opspec.spec import OpSpec

SPECS: tuple[OpSpec, ...] = ()
EXEMPT = {
    **dict.fromkeys(absent.__all__, "raises (tests/ops/test_absent.py)"),
    **dict.fromkeys(create_buffer.__all__, "no tensors go in (tests/ops/test_create_buffer.py)"),
    **dict.fromkeys(create_legacy.__all__, "makes a tensor (tests/ops/test_create_legacy.py)"),
    **dict.fromkeys(elementwise_python.__all__, "in place (tests/ops/test_elementwise_python.py)"),
    **dict.fromkeys(facts.__all__, "a question (tests/ops/test_facts.py)"),
    **dict.fromkeys(memory.__all__, "about memory (tests/ops/test_memory.py)"),
    **dict.fromkeys(("as_strided_", "swapdims_"), "in place (tests/ops/test_shape_region.py)"),
    **dict.fromkeys(
        ("empty_permuted", "new_empty_strided"),
        "makes a tensor from sizes (tests/ops/test_create_fill.py)",
    ),
}
