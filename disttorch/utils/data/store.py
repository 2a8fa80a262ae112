"""Batches put together from workers' answers, out of slots that grow with the batches."""

from __future__ import annotations

import os
import pickle
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.comm.errors import SharedMemoryError
from disttorch.utils.data.messages import Made, Rows, Sized, UseRing, Whole
from disttorch.utils.data.ring import Ring, Slots, aligned
from disttorch.utils.data.rows import (
    Layout,
    OddPartsError,
    fill,
    merge_arrays,
    merge_structures,
)

MAX_LENT = 2  # batches the user may hold in slots; older ones would starve the workers
_ROOM = 1.25  # slots get this much more than the batch that they are made for took
_WORTH_SAYING_NBYTES = 64 << 10  # smaller batches go through a socket as fast
_FURTHER_NBYTES = 8 << 20  # memory of the slots that there are because batches are small
_MAX_KEPT_NBYTES = 256 << 20  # slots up to this are kept for the next pass: new pages take time


@dataclass(frozen=True)
class Stage:
    """Slots' memory and the arrays in them; either may be missing."""

    ring: Ring | None = None
    layout: Layout | None = None


class Store:
    """The slots of a loader: their memory, in stages, since workers may be a stage behind.

    There are `n_slots` and, if batches are small, up to `max_further`.
    """

    def __init__(self, n_slots: int, max_further: int = 0) -> None:
        self._asked = (n_slots, max_further)
        self._pid = os.getpid()
        self.slots = Slots(n_slots)
        self.sized = False  # whether the memory has been asked for
        self.can_use_rows = True  # whether samples have had the shapes of the first ones
        self._stages = [Stage()]
        self._has_warned = False

    @property
    def current(self) -> Stage:
        """What workers are to use from now on."""
        return self._stages[-1]

    def is_for(self, n_slots: int, max_further: int) -> bool:
        """Whether it was made with these numbers, by this process: a fork's memory is shared."""
        return self._asked == (n_slots, max_further) and self._pid == os.getpid()

    @property
    def n_further(self) -> int:
        """How many slots beyond those asked for are to be used: fewer when batches have grown.

        None if the samples' shapes change: the next may be of any size.
        """
        if not self.can_use_rows:
            return 0
        ring = self.current.ring
        n = self.slots.n_slots - self._asked[0]
        return min(n, _FURTHER_NBYTES // ring.slot_nbytes) if ring is not None else n

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the next pass of a loader should have it."""
        ring = self.current.ring
        return ring is not None and ring.nbytes <= _MAX_KEPT_NBYTES

    def begin(self) -> UseRing | None:
        """Forget earlier stages: nobody is behind when workers start. None if nothing is known."""
        self._stages = [self.current]
        self.can_use_rows = True
        return self._message() if self.sized else None

    def _message(self) -> UseRing:
        ring, layout = self.current.ring, self.current.layout
        return UseRing(ring.address if ring is not None else None, layout, len(self._stages) - 1)

    def make(self, size: Sized, n_rows: int) -> UseRing:
        """Make slots for batches like the first, of at most `n_rows` rows if they are of rows.

        Without memory for them batches go through sockets; a warning says so.
        """
        self.sized = True
        layout = None
        if size.leaves is not None:
            layout = Layout(size.leaves, size.structure, n_rows)
        nbytes = layout.nbytes if layout else int(size.nbytes * _ROOM)
        self.slots.add(min(self._asked[1], _FURTHER_NBYTES // max(1, nbytes)))
        self._stages = [self._stage(layout, nbytes)]
        return self._message()

    def _stage(self, layout: Layout | None, nbytes: int) -> Stage:
        try:
            return Stage(Ring(self.slots, nbytes), layout)
        except (SharedMemoryError, OSError, AttributeError) as error:
            warnings.warn(
                f"DataLoader: batches go through sockets, which is slower: {error}", stacklevel=8
            )
            return Stage(None, layout)

    def grow_for(self, answers: list[Any]) -> UseRing | None:
        """Make larger slots if a batch did not fit; what workers are to be told then."""
        ring, layout = self.current.ring, self.current.layout
        if ring is None:
            return None
        if isinstance(answers[0], Whole):
            nbytes = sum(map(aligned, answers[0].sizes))
            if answers[0].buffers is None or nbytes <= ring.slot_nbytes:
                return None
            return self._grown(layout, int(nbytes * _ROOM), nbytes)
        if layout is None or not isinstance(answers[0], Rows):
            return None
        if all(part.arrays is None for part in answers):
            return None
        n_rows = sum(part.n_rows for part in answers)
        if not all(layout.holds(part.arrays) for part in answers):
            # Samples of many shapes: a worker makes a whole batch, whatever its shape.
            self.can_use_rows = False
            return None
        if n_rows <= layout.n_rows:
            return None
        larger = Layout(layout.leaves, layout.structure, n_rows)
        return self._grown(larger, larger.nbytes, larger.nbytes)

    def _grown(self, layout: Layout | None, nbytes: int, batch_nbytes: int) -> UseRing | None:
        assert self.current.ring is not None
        before = self.current.ring.slot_nbytes
        stage = self._stage(layout, max(nbytes, before))
        if stage.ring is None:
            return None
        if not self._has_warned and batch_nbytes >= _WORTH_SAYING_NBYTES:
            self._has_warned = True
            warnings.warn(
                f"DataLoader: a batch of {batch_nbytes / 1e6:.1f} MB did not fit its slot of "
                f"{before / 1e6:.1f} MB of shared memory and went through a socket, which is "
                f"slower; the slots have grown to {stage.ring.slot_nbytes / 1e6:.1f} MB",
                stacklevel=5,
            )
        self._stages.append(stage)
        return self._message()

    # ---- putting together -------------------------------------------------------------------

    def match(self, answers: dict[int, Any]) -> bool:
        """Whether the parts of a batch can be joined; failures need not."""
        parts = [x for x in answers.values() if isinstance(x, Rows)]
        if len(parts) < len(answers):
            return True
        if all(x.structure is None and x.arrays is None for x in parts):
            return True
        try:
            merge_structures(self._structures(parts))
            merge_arrays([self._likes(x) for x in parts])
        except OddPartsError:
            return False
        return True

    def _likes(self, part: Rows) -> list[np.ndarray]:
        """No rows of a part's arrays."""
        if part.arrays is not None:
            return [a[:0] for a in part.arrays]
        layout = self._stages[part.stage].layout
        return layout.empty_arrays() if layout is not None else []

    def put_together(self, slot: int, bounds: list[int], answers: list[Any]) -> Any:
        """Return a batch of all its answers; the slot is lent with it, or free again."""
        first = answers[0]
        if isinstance(first, Made):
            self.slots.give_back(slot)
            return first.value
        return (
            self._whole(slot, first)
            if isinstance(first, Whole)
            else self._rows(slot, bounds, answers)
        )

    def _lend(self, slot: int, stage: int) -> Any:
        """The slot's bytes: lent or, when the user holds many slots already, copied."""
        ring = self._stages[stage].ring
        assert ring is not None
        if self.slots.n_lent < MAX_LENT:
            return ring.lend(slot)
        buffer = bytearray(ring.peek(slot))
        self.slots.give_back(slot)
        return buffer

    def _structures(self, parts: list[Rows]) -> list[Any]:
        """The structures of parts, that which is known put in."""
        layouts = [self._stages[p.stage].layout for p in parts]
        return [
            layout.structure if p.structure is None and layout is not None else p.structure
            for p, layout in zip(parts, layouts, strict=True)
        ]

    def _rows(self, slot: int, bounds: list[int], parts: list[Rows]) -> Any:
        structure = merge_structures(self._structures(parts))
        if all(p.arrays is None and p.stage == parts[0].stage for p in parts):
            layout = self._stages[parts[0].stage].layout
            assert layout is not None
            return fill(structure, layout.arrays(self._lend(slot, parts[0].stage), 0, bounds[-1]))
        arrays = merge_arrays([self._arrays_of(slot, bounds, p) for p in parts])
        self.slots.give_back(slot)
        return fill(structure, arrays)

    def _arrays_of(self, slot: int, bounds: list[int], part: Rows) -> list[np.ndarray]:
        """A part's rows, from its message or the slot."""
        if part.arrays is not None:
            return part.arrays
        stage = self._stages[part.stage]
        assert stage.layout is not None
        assert stage.ring is not None
        return stage.layout.arrays(stage.ring.peek(slot), bounds[part.part], part.n_rows)

    def _whole(self, slot: int, answer: Whole) -> Any:
        if answer.buffers is not None:
            self.slots.give_back(slot)
            return pickle.loads(answer.pickled, buffers=[bytearray(b) for b in answer.buffers])
        if not answer.sizes:
            self.slots.give_back(slot)
            return pickle.loads(answer.pickled)
        memory, offset, buffers = memoryview(self._lend(slot, answer.stage)).cast("B"), 0, []
        for nbytes in answer.sizes:
            buffers.append(memory[offset : offset + nbytes])
            offset += aligned(nbytes)
        return pickle.loads(answer.pickled, buffers=buffers)
