"""The data pipes over streams: wrapping, mapping, filtering, shuffling, batching, joining."""

from __future__ import annotations

import copy
import fnmatch
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from disttorch.utils.data.collate import default_collate
from disttorch.utils.data.datapipes.datapipe import DataChunk, IterDataPipe
from disttorch.utils.data.datapipes.decorators import functional_datapipe
from disttorch.utils.data.datapipes.random_order import RandomOrder
from disttorch.utils.data.datapipes.split import Demultiplexer, Forker
from disttorch.utils.data.sampler import SequentialSampler

__all__ = [
    "Batcher",
    "Collator",
    "Concater",
    "Demultiplexer",
    "FileLister",
    "FileOpener",
    "Filter",
    "Forker",
    "Grouper",
    "IterableWrapper",
    "Mapper",
    "Multiplexer",
    "Sampler",
    "ShardingFilter",
    "Shuffler",
    "StreamReader",
    "UnBatcher",
    "Zipper",
]


def length_of(pipe: Any, datapipe: Any) -> int:
    """``len(datapipe)``; TypeError with PyTorch's text about `pipe` if it has none."""
    try:
        return len(datapipe)
    except (TypeError, AttributeError):
        raise TypeError(f"{type(pipe).__name__} instance doesn't have valid length") from None


class IterableWrapper(IterDataPipe[Any]):
    """What an iterable yields; of a copy of it, so that it can be iterated over again."""

    def __init__(self, iterable: Iterable[Any], deepcopy: bool = True) -> None:
        self.iterable = iterable
        self.deepcopy = deepcopy

    def __iter__(self) -> Iterator[Any]:
        source = self.iterable
        if self.deepcopy:
            try:
                source = copy.deepcopy(source)
            except TypeError:  # such as a generator, which can be read once
                pass
        yield from source

    def __len__(self) -> int:
        return length_of(self, self.iterable)


@functional_datapipe("map")
class Mapper(IterDataPipe[Any]):
    """`fn` of every sample, or of its columns `input_col`, put at `output_col` (-1: appended)."""

    def __init__(
        self, datapipe: Any, fn: Callable[..., Any], input_col: Any = None, output_col: Any = None
    ) -> None:
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        if isinstance(output_col, (list, tuple)):
            if len(output_col) > 1:
                raise ValueError("`output_col` must be a single-element list or tuple")
            output_col = output_col[0]
        self.datapipe, self.fn = datapipe, fn
        self.input_col, self.output_col = input_col, output_col

    def _apply(self, data: Any) -> Any:
        if self.input_col is None:
            return self.fn(data)
        several = isinstance(self.input_col, (list, tuple))
        columns = list(self.input_col) if several else [self.input_col]
        result = self.fn(*(data[c] for c in columns))
        changed = list(data) if isinstance(data, tuple) else data
        if self.output_col is None:
            changed[columns[0]] = result
            for column in sorted(columns[1:], reverse=True):
                del changed[column]
        elif self.output_col == -1:
            changed.append(result)
        else:
            changed[self.output_col] = result
        return tuple(changed) if isinstance(data, tuple) else changed

    def __iter__(self) -> Iterator[Any]:
        return map(self._apply, self.datapipe)

    def __len__(self) -> int:
        return length_of(self, self.datapipe)


@functional_datapipe("collate")
class Collator(Mapper):
    """Every batch of samples, collated."""

    def __init__(
        self,
        datapipe: Any,
        conversion: Callable[..., Any] | None = default_collate,
        collate_fn: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(datapipe, collate_fn or conversion or default_collate)


@functional_datapipe("filter")
class Filter(IterDataPipe[Any]):
    """The samples for which `filter_fn` (of the columns `input_col`) is true."""

    def __init__(self, datapipe: Any, filter_fn: Callable[..., Any], input_col: Any = None) -> None:
        self.datapipe, self.filter_fn, self.input_col = datapipe, filter_fn, input_col

    def _keeps(self, data: Any) -> bool:
        if self.input_col is None:
            kept = self.filter_fn(data)
        elif isinstance(self.input_col, (list, tuple)):
            kept = self.filter_fn(*(data[c] for c in self.input_col))
        else:
            kept = self.filter_fn(data[self.input_col])
        if not isinstance(kept, bool):
            raise ValueError(
                "Boolean output is required for `filter_fn` of FilterIterDataPipe, got",
                type(kept),
            )
        return kept

    def __iter__(self) -> Iterator[Any]:
        return filter(self._keeps, self.datapipe)


@functional_datapipe("shuffle")
class Shuffler(RandomOrder, IterDataPipe[Any]):
    """Samples in random order, drawn from a buffer of the next `buffer_size`."""

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> None:
        if buffer_size <= 0:
            raise AssertionError("buffer_size should be larger than 0")
        self.datapipe = UnBatcher(datapipe, unbatch_level) if unbatch_level else datapipe
        self.buffer_size = buffer_size
        super().__init__()

    def __iter__(self) -> Iterator[Any]:
        if not self._enabled:
            yield from self.datapipe
            return
        buffer: list[Any] = []
        for sample in self.datapipe:
            if len(buffer) < self.buffer_size:
                buffer.append(sample)
                continue
            i = self._rng.randint(0, len(buffer) - 1)
            drawn, buffer[i] = buffer[i], sample
            yield drawn
        while buffer:
            yield buffer.pop(self._rng.randint(0, len(buffer) - 1))

    def __len__(self) -> int:
        return length_of(self, self.datapipe)


class Sampler(IterDataPipe[Any]):
    """What a sampler of the class `sampler` draws from a stream of known length."""

    def __init__(
        self,
        datapipe: Any,
        sampler: Any = SequentialSampler,
        sampler_args: tuple[Any, ...] | None = None,
        sampler_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.datapipe = datapipe
        options = {**(sampler_kwargs or {}), "data_source": datapipe}
        self.sampler = sampler(*(sampler_args or ()), **options)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return length_of(self, self.sampler)


@functional_datapipe("sharding_filter")
class ShardingFilter(IterDataPipe[Any]):
    """Every n-th sample, n being the number of workers and ranks that read the stream."""

    def __init__(self, source_datapipe: Any, sharding_group_filter: Any = None) -> None:
        self.source_datapipe = source_datapipe
        self.num_of_instances, self.instance_id = 1, 0

    def apply_sharding(
        self, num_of_instances: int, instance_id: int, sharding_group: Any = None
    ) -> None:
        """Keep samples `instance_id`, `instance_id` + `num_of_instances`, ..."""
        if instance_id >= num_of_instances:
            raise ValueError(
                f"instance_id({instance_id}) should be smaller than "
                f"num_of_instances({num_of_instances})"
            )
        self.num_of_instances, self.instance_id = num_of_instances, instance_id

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.source_datapipe, self.instance_id, None, self.num_of_instances)

    def __len__(self) -> int:
        return len(
            range(self.instance_id, length_of(self, self.source_datapipe), self.num_of_instances)
        )


@functional_datapipe("concat")
class Concater(IterDataPipe[Any]):
    """Streams one after the other."""

    def __init__(self, *datapipes: Any) -> None:
        if not datapipes:
            raise ValueError("Expected at least one DataPipe, but got nothing")
        if not all(isinstance(dp, IterDataPipe) for dp in datapipes):
            raise TypeError("Expected all inputs to be `IterDataPipe`")
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datapipes)

    def __len__(self) -> int:
        return sum(length_of(self, dp) for dp in self.datapipes)


@functional_datapipe("mux")
class Multiplexer(IterDataPipe[Any]):
    """One sample of each stream in turn, until the shortest ends."""

    def __init__(self, *datapipes: Any) -> None:
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(zip(*self.datapipes, strict=False))

    def __len__(self) -> int:
        return min(length_of(self, dp) for dp in self.datapipes) * len(self.datapipes)


@functional_datapipe("zip")
class Zipper(IterDataPipe[Any]):
    """Tuples of one sample of each stream, until the shortest ends."""

    def __init__(self, *datapipes: Any) -> None:
        if not all(isinstance(dp, IterDataPipe) for dp in datapipes):
            raise TypeError("All inputs are required to be `IterDataPipe` for `ZipIterDataPipe`.")
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        return zip(*self.datapipes, strict=False)

    def __len__(self) -> int:
        return min(length_of(self, dp) for dp in self.datapipes)


@functional_datapipe("batch")
class Batcher(IterDataPipe[Any]):
    """Chunks of `batch_size` samples."""

    def __init__(
        self,
        datapipe: Any,
        batch_size: int,
        drop_last: bool = False,
        wrapper_class: Callable[[list[Any]], Any] = DataChunk,
    ) -> None:
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        self.datapipe, self.batch_size, self.drop_last = datapipe, batch_size, drop_last
        self.wrapper_class = wrapper_class

    def __iter__(self) -> Iterator[Any]:
        samples = iter(self.datapipe)
        while chunk := list(itertools.islice(samples, self.batch_size)):
            if len(chunk) == self.batch_size or not self.drop_last:
                yield self.wrapper_class(chunk)

    def __len__(self) -> int:
        n = length_of(self, self.datapipe)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


@functional_datapipe("unbatch")
class UnBatcher(IterDataPipe[Any]):
    """The samples of chunks, `unbatch_level` deep; -1 for all levels."""

    def __init__(self, datapipe: Any, unbatch_level: int = 1) -> None:
        self.datapipe, self.unbatch_level = datapipe, unbatch_level

    def _dive(self, element: Any, level: int) -> Iterator[Any]:
        if level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        is_chunk = isinstance(element, (list, DataChunk))
        if level == 0 or (level == -1 and not is_chunk):
            yield element
        elif not is_chunk:
            raise IndexError(
                f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe"
            )
        else:
            for item in element:
                yield from self._dive(item, max(level - 1, -1))

    def __iter__(self) -> Iterator[Any]:
        for element in self.datapipe:
            yield from self._dive(element, self.unbatch_level)


@functional_datapipe("groupby")
class Grouper(IterDataPipe[Any]):
    """Chunks of samples with the same key, from a buffer of `buffer_size`."""

    def __init__(
        self,
        datapipe: Any,
        group_key_fn: Callable[[Any], Any],
        *,
        keep_key: bool = False,
        buffer_size: int = 10000,
        group_size: int | None = None,
        guaranteed_group_size: int | None = None,
        drop_remaining: bool = False,
    ) -> None:
        self.datapipe, self.group_key_fn, self.keep_key = datapipe, group_key_fn, keep_key
        if group_size is not None and not 0 < group_size <= buffer_size:
            raise AssertionError("group_size must be > 0 and <= buffer_size")
        self.buffer_size, self.group_size = buffer_size, group_size
        self.guaranteed_group_size = guaranteed_group_size or group_size
        self.drop_remaining = drop_remaining

    def _chunk(self, key: Any, group: list[Any]) -> Any:
        return (key, DataChunk(group)) if self.keep_key else DataChunk(group)

    def _make_room(self, groups: dict[Any, list[Any]]) -> Any:
        """The key of the largest group, which has to go; RuntimeError if it is too small."""
        key = max(groups, key=lambda k: len(groups[k]))
        smallest = self.guaranteed_group_size
        if smallest is not None and len(groups[key]) < smallest and not self.drop_remaining:
            raise RuntimeError("Failed to group items", str(groups[key]))
        return key

    def __iter__(self) -> Iterator[Any]:
        groups: dict[Any, list[Any]] = {}
        for sample in self.datapipe:
            key = self.group_key_fn(sample)
            groups.setdefault(key, []).append(sample)
            if len(groups[key]) == self.group_size:
                yield self._chunk(key, groups.pop(key))
            elif sum(map(len, groups.values())) == self.buffer_size:
                key = self._make_room(groups)
                group = groups.pop(key)
                if self.guaranteed_group_size is None or len(group) >= self.guaranteed_group_size:
                    yield self._chunk(key, group)
        for key, group in groups.items():
            yield self._chunk(key, group)


@functional_datapipe("list_files")
class FileLister(IterDataPipe[str]):
    """Paths of the files below a folder (or folders) whose names match `masks`."""

    def __init__(
        self,
        root: Any = ".",
        masks: str | list[str] = "",
        *,
        recursive: bool = False,
        abspath: bool = False,
        non_deterministic: bool = False,
        length: int = -1,
    ) -> None:
        self.datapipe = [root] if isinstance(root, str) else root
        self.masks = [masks] if isinstance(masks, str) else masks
        self.recursive, self.abspath, self.length = recursive, abspath, length

    def _matches(self, name: str) -> bool:
        masks = [mask for mask in self.masks if mask]
        return not masks or any(fnmatch.fnmatch(name, mask) for mask in masks)

    def __iter__(self) -> Iterator[str]:
        for root in self.datapipe:
            top = os.path.abspath(root) if self.abspath else root
            for folder, folders, names in os.walk(top):
                folders.sort()
                yield from (os.path.join(folder, n) for n in sorted(names) if self._matches(n))
                if not self.recursive:
                    break

    def __len__(self) -> int:
        if self.length < 0:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self.length


@functional_datapipe("open_files")
class FileOpener(IterDataPipe[tuple[str, Any]]):
    """Tuples of a path and the open file."""

    def __init__(
        self,
        datapipe: Iterable[str],
        mode: str = "r",
        encoding: str | None = None,
        length: int = -1,
    ) -> None:
        if mode not in {"b", "t", "rb", "rt", "r"}:
            raise ValueError(f"Invalid mode {mode}")
        if "b" in mode and encoding is not None:
            raise ValueError("binary mode doesn't take an encoding argument")
        self.datapipe, self.encoding = datapipe, encoding
        self.mode = mode if "r" in mode else f"r{mode}"
        self._open = functools.partial(open, mode=self.mode, encoding=encoding)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((path, self._open(path)) for path in self.datapipe)

    def __len__(self) -> int:
        return length_of(self, self.datapipe)


@functional_datapipe("read_from_stream")
class StreamReader(IterDataPipe[tuple[str, Any]]):
    """Tuples of a path and what is in the file, in pieces of `chunk` if given."""

    def __init__(self, datapipe: Iterable[tuple[str, Any]], chunk: int | None = None) -> None:
        self.datapipe, self.chunk = datapipe, chunk

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for path, stream in self.datapipe:
            with stream:
                if self.chunk is None:
                    yield path, stream.read()
                    continue
                while piece := stream.read(self.chunk):
                    yield path, piece
