"""`Generator`: the mt19937 stream of torch's CPU generator, its seeds and its saved state.

NumPy's MT19937 with legacy seeding and torch's generator yield the same 32-bit words for the same
seed; this module hands those words out and reads and writes torch's own 5056-byte state, so that
a state saved by either library continues in the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from disttorch.backends.cpu.jit.twister import memory_of, twister_kernel
from disttorch.device import device as Device
from disttorch.random.block import FEW_WORDS, Block, Place

_DEFAULT_SEED = 67280421310721
_STATE_WORDS = 624
_LOW_53 = np.uint64((1 << 53) - 1)
# torch's CPUGeneratorImplState, padded as a C compiler pads it on 64-bit machines.
_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("words", "<u8", (_STATE_WORDS,)),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i4"),
        ("padding", "<i4"),
        ("next_float_normal", "<f4"),
        ("float_normal_is_valid", "?"),
        ("tail_padding", "V3"),
    ]
)


class _StateType:
    """How a state (1-d uint8 ndarray) is handed to users; Tensor's wrapper once it is bound."""

    wrap: Callable[[np.ndarray], Any] = staticmethod(lambda state: state)


def bind_state_type(wrap: Callable[[np.ndarray], Any]) -> None:
    """Make `get_state()` return ``wrap(uint8 ndarray)``.

    Called once, when `disttorch` is imported, with Tensor's wrapper: this module lies below
    Tensor and must not import it.
    """
    _StateType.wrap = staticmethod(wrap)


def _state_bytes(new_state: Any) -> np.ndarray:
    """Return a state given by a user as a 1-d uint8 ndarray; TypeError if it is something else."""
    if not hasattr(new_state, "__array__"):
        raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
    array = np.asarray(new_state)
    if array.dtype != np.uint8:
        raise TypeError("RNG state must be a torch.ByteTensor")
    return np.ascontiguousarray(array).reshape(-1)


def _checked_seed(value: int) -> int:
    """Map a seed to 0 .. 2**64 - 1, negatives from the top, as torch does; ValueError outside."""
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError("Overflow when unpacking long long")
    return value % (1 << 64)


def _nondeterministic_seed() -> int:
    """Return 64 bits from the operating system; torch also keeps the highest bit clear."""
    return int.from_bytes(os.urandom(8), "little") >> 1


class Generator:
    """A stream of random numbers on `device`, equal to torch's for the same seed on the CPU.

    The engine is made at the first draw, so that merely importing disttorch stays cheap. One
    request for words is atomic; threads that share a generator interleave their requests.
    """

    def __init__(self, device: Any = "cpu") -> None:
        where = Device(device)
        if where.type != "cpu":
            raise RuntimeError(f"Device type {where.type.upper()} is not supported for Generator")
        self._device = where
        self._bits: np.random.MT19937 | None = None
        self._initial_seed = _DEFAULT_SEED
        self._block: Block | None = None
        self._place: Place | None = None
        self._words_drawn = False
        # Second half of the last Box-Muller pair of the scalar path, which torch also keeps.
        self.next_normal: float | None = None

    @property
    def device(self) -> Device:
        """Device whose numbers this generator yields."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` (-2**63 .. 2**64 - 1) and return self; ValueError outside."""
        if not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self._initial_seed = _checked_seed(int(seed))
        self._bits = self._block = None
        self._words_drawn = False
        self.next_normal = None
        return self

    def seed(self) -> int:
        """Start a stream from a seed of the operating system's and return that seed."""
        self.manual_seed(_nondeterministic_seed())
        return self._initial_seed

    def initial_seed(self) -> int:
        """Return the seed that the stream was started with, 0 .. 2**64 - 1."""
        return self._initial_seed

    def _engine(self) -> np.random.MT19937:
        """Return the bit generator, made and seeded at the first call after a new seed."""
        if self._bits is None:
            self._bits = np.random.MT19937(0)
            # RandomState's public `seed` is the door to the reference seeding that torch uses.
            np.random.RandomState(self._bits).seed(self._initial_seed & 0xFFFFFFFF)
        return self._bits

    def few(self, n: int) -> tuple[Block, int] | None:
        """Draw the next `n` 32-bit words, at least one, as a block and where in it they start.

        None, and nothing is drawn, where these words are many.
        """
        if n > FEW_WORDS:
            return None
        self._words_drawn = True
        block = self._block
        start = -1 if block is None else block.take(n)
        if start < 0:
            engine = self._engine()
            if self._place is None or self._place.engine is not engine:
                self._place = Place(engine)
            block = self._block = Block(self._place, n)
            start = block.first
        return block, start  # type: ignore[return-value]

    def words(self, n: int) -> np.ndarray:
        """Return the next `n` 32-bit words, as uint64 (n,)."""
        if n:
            self._words_drawn = True
        return (self._bits or self._engine()).random_raw(n)

    def words64(self, n: int) -> np.ndarray:
        """Return the next `n` 64-bit words, uint64 (n,); the first 32 bits drawn are the high."""
        pairs = self.words(2 * n)
        return (pairs[::2] << np.uint64(32)) | pairs[1::2]

    def units(self, out: np.ndarray) -> bool:
        """Fill contiguous float32 `out` with words' low 24 bits over 2^24, or return False.

        False where no kernel does it: the caller has to.
        """
        kernel = twister_kernel("units", out.size)
        return kernel is not None and self._draw(kernel, out)

    def below(self, limit: int, out: np.ndarray) -> None:
        """Fill contiguous bools with whether 64-bit words' low 53 bits are below `limit`."""
        if few := self.few(2 * out.size) if out.size else None:
            block, start = few
            np.less(block.wide(start, out.size), np.uint64(limit), out=out)
            return
        kernel = twister_kernel("below", out.size)
        if kernel is None:
            np.less(self.words64(out.size) & _LOW_53, np.uint64(limit), out=out)
        else:
            self._draw(kernel, np.uint64(limit), out)

    def _draw(self, kernel: Callable[..., None], *arguments: Any) -> bool:
        """Let a kernel go on from the engine's state."""
        engine = self._engine()
        self._words_drawn = True
        with engine.lock:
            kernel(*memory_of(engine), *arguments)
        return True

    def skip(self, n: int) -> None:
        """Drop the next `n` 32-bit words."""
        self._words_drawn = self._words_drawn or n > 0
        self._engine().random_raw(n, output=False)

    def get_state(self) -> Any:
        """Return the state in torch's layout: a ByteTensor (5056,)."""
        engine = self._engine().state["state"]
        record = np.zeros((), _STATE)
        record["seed"], record["seeded"] = self._initial_seed, 1
        record["words"] = engine["key"]
        # A stream that no word was drawn from stands before its first block in torch's reckoning.
        record["next"] = engine["pos"] if self._words_drawn else 0
        record["left"] = _STATE_WORDS + 1 - engine["pos"]
        if self.next_normal is not None:
            record["normal_is_valid"], record["normal_y"] = 1, self.next_normal
        return _StateType.wrap(np.frombuffer(bytearray(record.tobytes()), np.uint8))

    def set_state(self, new_state: Any) -> None:
        """Continue from a state that `get_state` (here or torch's) returned: uint8 (5056,).

        Raises TypeError if it is no ByteTensor, RuntimeError for a wrong size or a broken state.
        """
        raw = _state_bytes(new_state)
        if raw.size != _STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_STATE.itemsize} but found the input "
                f"RNG state size to be {raw.size}"
            )
        record = raw.view(_STATE)[0]
        left = int(record["left"])
        if not record["seeded"] or not 0 < left <= _STATE_WORDS or record["next"] > _STATE_WORDS:
            raise RuntimeError("Invalid mt19937 state")
        self._initial_seed = int(record["seed"])
        self._words_drawn = bool(record["next"])
        key, pos = record["words"].astype(np.uint32), _STATE_WORDS + 1 - left
        self._engine().state = {"bit_generator": "MT19937", "state": {"key": key, "pos": pos}}
        self.next_normal = float(record["normal_y"]) if record["normal_is_valid"] else None

    def clone_state(self) -> Generator:
        """Return a new generator that continues from this one's state, on its own."""
        other = Generator(self._device)
        other.set_state(self.get_state())
        return other

    def get_offset(self) -> int:
        """Refuse, with RuntimeError: only CUDA's counter-based generators have an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def set_offset(self, offset: int) -> None:
        """Refuse, with RuntimeError: only CUDA's counter-based generators have an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (str(self._device), np.asarray(self.get_state()).tobytes())


def _rebuild(where: str, state: bytes) -> Generator:
    """Undo `Generator.__reduce__`."""
    generator = Generator(where)
    generator.set_state(np.frombuffer(state, np.uint8))
    return generator


default_generator = Generator().manual_seed(_nondeterministic_seed())


def manual_seed(seed: int) -> Generator:
    """Seed the default generator (-2**63 .. 2**64 - 1) and return it; ValueError outside."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the operating system and return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """Return the seed of the default generator, 0 .. 2**64 - 1."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """Return the default generator's state: a ByteTensor (5056,), torch's layout."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Set the default generator's state to one that `get_rng_state` returned.

    Raises TypeError if it is no ByteTensor, RuntimeError for a wrong size or a broken state.
    """
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, device_type: str = "cuda"
) -> Iterator[None]:
    """Run a block on a copy of the random state: draws inside leave the outer stream as it was.

    `devices` and `device_type` are accepted for PyTorch's signature; the CPU state is always kept.
    """
    if not enabled:
        yield
        return
    state = np.array(get_rng_state())
    try:
        yield
    finally:
        set_rng_state(state)
