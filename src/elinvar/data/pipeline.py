"""Pipelines: from files or arrays to batches, as an immutable chain of stages."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import DataError, DTypeError, StateError, ValueRangeError, fail
from elinvar.data.checks import function_of, order_text, seed_of, whole
from elinvar.data.plan import (
    Cut,
    OrderStage,
    Plan,
    Repeat,
    Shard,
    Shuffle,
    length_of,
    plan_of,
)
from elinvar.data.reader import Base, Reader, Skipped
from elinvar.data.run import Run, results
from elinvar.data.source import MixtureSource, Source
from elinvar.data.stages import Augment, Batch, Bucket, Filter, Map, Pack, Stage, Window
from elinvar.data.streams import StreamBase, StreamSource
from elinvar.data.threads import Threads
from elinvar.data.workers import Pool, start_method

Stages = tuple[Stage, ...]


@dataclass(frozen=True)
class Options:
    """How a pipeline runs; nothing here changes what comes out.

    Attributes:
        workers: processes; 0 for none.
        method: how processes are started; None for the best of this system.
        prefetch: batches that are kept ready.
        skip: pass over samples that cannot be read.
        most: how many of them are too many.
    """

    workers: int = 0
    method: str | None = None
    prefetch: int | None = None
    skip: bool = False
    most: int | None = None


class Pipeline:
    """A chain of stages over a source of samples. Each method gives a new pipeline.

    A pass over the pipeline is one epoch, and the next pass is the next epoch. Which samples come
    when is a function of the seeds and the epoch; which random numbers a sample meets is one of
    seeds, epoch and the sample's index. Neither depends on `workers` and `prefetch`.

    `state_dict()` says where the newest pass stands, after what it handed out last;
    `load_state_dict()` goes on from there, on another machine and with other workers, too.

    Pipelines begin with `el.data.from_arrays`, `image_folder`, `json_lines` and the like. Where the
    number of batches is known beforehand, a pipeline has `len()`.

    Attributes:
        source: where samples come from.
        epoch: the epoch of the next pass.

    Example:
        >>> import elinvar as el
        >>> import numpy as np
        >>> numbers = el.data.from_arrays(np.arange(6)).map(lambda x: x * x).batch(4)
        >>> [batch.tolist() for batch in numbers]
        [[0, 1, 4, 9], [16, 25]]
    """

    def __init__(
        self,
        source: Source,
        order: tuple[OrderStage, ...] = (),
        stages: tuple[Stage, ...] = (),
        options: Options = Options(),
    ) -> None:
        self.source, self._order, self._stages, self._options = source, order, stages, options
        self.epoch = 0
        self._skipped = Skipped()
        self._place: Any = {"epoch": 0, "batch": 0, "position": 0, "held": []}
        self._resume: Any = None

    # ---- order ---------------------------------------------------------------------------------

    def shuffle(self, seed: int = 0) -> Pipeline:
        """Mix all samples anew in each epoch. The order is that of a `DataLoader` with the seed.

        Args:
            seed: which orders.
        """
        return self._ordered("shuffle", Shuffle(seed_of("shuffle", seed)))

    def shard(self, rank: int, count: int) -> Pipeline:
        """Every `count`-th sample from number `rank` on: the part of one of several processes.

        Stands behind `shuffle` with a common seed, the shards are others in each epoch, and
        together they are all samples. Shards differ by one sample at most.

        Args:
            rank: which shard, from 0.
            count: how many there are.
        """
        whole("shard", "count", count, 1)
        if not isinstance(rank, int) or not 0 <= rank < count:
            fail(ValueRangeError, "shard", f"rank must be in 0 … {count - 1}, received {rank!r}")
        return self._ordered("shard", Shard(rank, count))

    def repeat(self, count: int) -> Pipeline:
        """All samples `count` times in one epoch, with an order and random numbers for each time.

        Args:
            count: 1 or more. For training over many epochs nothing needs to be repeated: the next
                pass is the next epoch.
        """
        return self._ordered("repeat", Repeat(whole("repeat", "count", count, 1)))

    def take(self, count: int) -> Pipeline:
        """The first `count` elements: samples, or batches behind `batch`."""
        return self._window("take", 0, whole("take", "count", count, 0))

    def skip(self, count: int) -> Pipeline:
        """All but the first `count` elements: samples, or batches behind `batch`."""
        return self._window("skip", whole("skip", "count", count, 0), None)

    def mix(
        self,
        *others: Pipeline,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        stop: str = "first",
    ) -> Pipeline:
        """This pipeline and others, interleaved at random in exact proportions.

        Args:
            others: pipelines whose samples can be read by number: no filters, no batches.
            weights: the share of each; equal shares without.
            seed: which interleaving.
            stop: `"first"`: the epoch ends before a sample of any part would come a second time;
                `"all"`: it goes on until all samples of all parts came.

        Example:
            >>> import elinvar as el
            >>> import numpy as np
            >>> a, b = el.data.from_arrays(np.zeros(8)), el.data.from_arrays(np.ones(8))
            >>> mixed = a.mix(b, weights=[3, 1]).batch(20)
            >>> [int(batch.sum()) for batch in mixed], mixed.num_samples
            ([2], 10)
        """
        parts = (self, *others)
        shares = [1.0] * len(parts) if weights is None else [float(x) for x in weights]
        if len(shares) != len(parts):
            text = f"{len(shares)} weights for {len(parts)} pipelines"
            fail(ValueRangeError, "mix", text)
        if not all(0 < share < float("inf") for share in shares):
            fail(ValueRangeError, "mix", f"weights must be positive, received {shares}")
        if stop not in ("first", "all"):
            fail(ValueRangeError, "mix", f"stop must be 'first' or 'all', not {stop!r}")
        for part in parts:
            if not isinstance(part, Pipeline):
                text = f"expected pipelines, received {type(part).__name__}"
                fail(DTypeError, "mix", text)
            if not part._by_number:
                text = f"{part._describe()} cannot be read by number"
                fail(ValueRangeError, "mix", text, "filter, batch and pack behind mix")
        return pipeline(MixtureSource(list(parts), shares, seed_of("mix", seed), stop))

    # ---- samples -------------------------------------------------------------------------------

    def map(self, function: Callable[..., Any], seed: int | None = None) -> Pipeline:
        """Apply a function to each sample.

        Args:
            function: sample → sample; with a seed (sample, generator) → sample.
            seed: gives a `numpy.random.Generator` that is a function of the seed, the epoch and
                the sample's index.

        Example:
            >>> import elinvar as el
            >>> import numpy as np
            >>> zeros = el.data.from_arrays(np.zeros(3))
            >>> noise = zeros.map(lambda x, rng: x + rng.normal(), seed=1)
            >>> len(set(noise)), set(noise) == set(noise)  # another epoch has other numbers
            (3, False)
        """
        if self.is_batched:
            text = "there are no samples any more behind batch"
            fail(ValueRangeError, "map", text, "use .map_batches(…), or put map before batch")
        return self._mapped("map", function, seed, False)

    def map_batches(self, function: Callable[..., Any], seed: int | None = None) -> Pipeline:
        """Apply a function to each batch, which is a container of numpy arrays.

        Args:
            function: batch → batch; with a seed (batch, generator) → batch.
            seed: gives a `numpy.random.Generator` that is a function of the seed, the epoch and
                the index of the batch's first sample.
        """
        if not self.is_batched:
            fail(ValueRangeError, "map_batches", "there are no batches", "put .batch(n) before")
        return self._mapped("map_batches", function, seed, True)

    def augment(self, *transforms: Any, seed: int = 0, field: Any = None) -> Pipeline:
        """Apply transforms of `el.data.transforms` to one field of each sample or batch.

        Each sample's random numbers are functions of the seed, the epoch and its index, so that the
        result is the same before and behind `batch`; behind it is faster.

        Args:
            transforms: applied in this order.
            seed: which random numbers.
            field: the part of a tuple or the key of a dict. Without: a tuple's first part, the
                entry called `image`, or else the first; or the sample itself.
        """
        for transform in transforms:
            if not callable(transform) and not hasattr(transform, "mix"):
                text = f"expected transforms, received {type(transform).__name__}"
                fail(DTypeError, "augment", text)
            if hasattr(transform, "mix") and not self.is_batched:
                text = f"{type(transform).__name__} mixes the samples of a batch"
                fail(ValueRangeError, "augment", text, "put .batch(n) before")
        seed = seed_of("augment", seed)
        stage = Augment(tuple(transforms), seed, self._stage_number, field, self.is_batched)
        return self._with(stage)

    def filter(self, predicate: Callable[[Any], Any]) -> Pipeline:
        """Keep the samples (behind `batch`, the batches) that a function says yes to."""
        return self._with(Filter(function_of("filter", predicate)))

    # ---- batches -------------------------------------------------------------------------------

    def batch(self, size: int, drop_last: bool = False, *, pad: float | None = None) -> Pipeline:
        """Put samples together: arrays are stacked, numbers become arrays, texts lists.

        Args:
            size: samples in a batch.
            drop_last: leave out the last batch where it is smaller.
            pad: a value that fills arrays of different lengths up to the longest of the batch.
        """
        self._no_batches("batch")
        return self._with(Batch(whole("batch", "size", size, 1), bool(drop_last), pad))

    def bucket(
        self,
        key: Callable[[Any], int],
        edges: Sequence[int],
        batch_size: int | Sequence[int],
        *,
        drop_last: bool = False,
        pad: float = 0,
        pad_to: str = "longest",
    ) -> Pipeline:
        """Batches of samples of similar length.

        Args:
            key: sample → its length.
            edges: growing; bucket i takes lengths up to `edges[i]` that no bucket before takes.
            batch_size: for all buckets, or one for each.
            drop_last: leave out what does not fill a batch at the end.
            pad: fills arrays up.
            pad_to: `"longest"` of the batch, or the bucket's `"edge"`, so that shapes are few.

        Raises:
            DataError: a sample is longer than the last edge.
        """
        self._no_batches("bucket")
        found = [whole("bucket", "edges", edge, 0) for edge in edges]
        if not found or sorted(set(found)) != found:
            fail(ValueRangeError, "bucket", f"edges must grow, received {found}")
        sizes = [batch_size] * len(found) if isinstance(batch_size, int) else list(batch_size)
        if len(sizes) != len(found):
            text = f"{len(sizes)} batch sizes for {len(found)} edges"
            fail(ValueRangeError, "bucket", text)
        for size in sizes:
            whole("bucket", "batch_size", size, 1)
        if pad_to not in ("longest", "edge"):
            text = f"pad_to must be 'longest' or 'edge', not {pad_to!r}"
            fail(ValueRangeError, "bucket", text)
        function = function_of("bucket", key)
        stage = Bucket(function, tuple(found), tuple(sizes), drop_last, pad, pad_to == "edge")
        return self._with(stage)

    def pack(
        self,
        length: int,
        *,
        split: bool = True,
        pad: float | None = None,
        segments: bool = False,
    ) -> Pipeline:
        """Rows of one length, from sequences one after the other; `batch` comes behind.

        Args:
            length: of a row.
            split: let a sequence go on in the next row. Otherwise a row is filled up where the next
                sequence does not fit, which needs `pad`; longer ones are cut.
            pad: fills rows up. Without it what does not fill a row at the end is left out.
            segments: add `segments`, which numbers the sequences of a row from 1 (0: filled up),
                and `positions` within them; the row itself is called `tokens`.

        Example:
            >>> import elinvar as el
            >>> import numpy as np
            >>> texts = el.data.from_sequence([np.arange(3), np.arange(4), np.arange(5)])
            >>> [row.tolist() for row in texts.pack(5)]
            [[0, 1, 2, 0, 1], [2, 3, 0, 1, 2]]
        """
        self._no_batches("pack")
        if not split and pad is None:
            fail(ValueRangeError, "pack", "split=False needs pad", "such as pad=0")
        return self._with(Pack(whole("pack", "length", length, 1), split, pad, segments))

    # ---- how it runs ---------------------------------------------------------------------------

    def workers(self, count: int, start: str | None = None) -> Pipeline:
        """Read and transform in so many processes or threads. What comes out is the same.

        Args:
            count: 0 for none.
            start: `"fork"` (closures work; the default on Linux) or `"spawn"`; or `"thread"`: no
                processes but threads, for work that Python lets run side by side, such as decoding
                images. Functions must then be such that several threads can be in them.
        """
        whole("workers", "count", count, 0)
        if start not in (None, "fork", "spawn", "thread"):
            text = f"start must be 'fork', 'spawn' or 'thread', not {start!r}"
            fail(ValueRangeError, "workers", text)
        if count and isinstance(self.source, StreamSource):
            text = "a stream cannot be read by several processes"
            fail(ValueRangeError, "workers", text, "use .prefetch(k)")
        return self._with_options(workers=count, method=start)

    def prefetch(self, count: int) -> Pipeline:
        """Keep so many batches ready: in a thread, or beside those that workers are making."""
        return self._with_options(prefetch=whole("prefetch", "count", count, 0))

    def on_error(self, action: str, most: int | None = None) -> Pipeline:
        """What becomes of samples that cannot be read or transformed.

        Args:
            action: `"raise"`, or `"skip"`: pass over them; a warning at the end of the epoch counts
                them, and `skipped` names them.
            most: with `"skip"`: more than so many are an error.
        """
        if action not in ("raise", "skip"):
            text = f"action must be 'raise' or 'skip', not {action!r}"
            fail(ValueRangeError, "on_error", text)
        if action == "skip" and isinstance(self.source, StreamSource):
            text = "samples of a stream cannot be passed over"
            fail(ValueRangeError, "on_error", text, "leave them out in the function that makes it")
        return self._with_options(skip=action == "skip", most=most)

    # ---- where it stands -----------------------------------------------------------------------

    @property
    def num_samples(self) -> int | None:
        """The samples of an epoch before any filter; None for streams."""
        return None if isinstance(self.source, StreamSource) else self.plan_length()

    @property
    def skipped(self) -> list[str]:
        """Texts about samples that the newest pass went over (`on_error`), the first hundred."""
        return self._skipped.texts

    @property
    def skipped_count(self) -> int:
        """How many samples the newest pass went over."""
        return self._skipped.count

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass the given epoch."""
        self.epoch = whole("set_epoch", "epoch", epoch, 0)
        self._place = {"epoch": epoch, "batch": 0, "position": 0, "held": []}
        self._resume = None

    def state_dict(self) -> dict[str, Any]:
        """Where the newest pass stands, after what it handed out last.

        The size does not depend on how far that is: a few numbers, and for `pack` and `bucket`
        the numbers of the samples that they hold.
        """
        place = self._place
        if isinstance(place, tuple):
            epoch, run = place
            place = {"epoch": epoch, **run.state()}
        return {**place, "chain": self._describe(), "samples": self.num_samples}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Make the next pass go on from a saved place, in constant time.

        Raises:
            StateError: the place is of another pipeline.
        """
        own = {"chain": self._describe(), "samples": self.num_samples}
        for name, value in own.items():
            if state_dict.get(name) != value:
                text = f"the state was saved with {name} {state_dict.get(name)}, here it is {value}"
                fail(StateError, "data", text)
        self.set_epoch(int(state_dict["epoch"]))
        self._place = {key: value for key, value in state_dict.items() if key not in own}
        self._resume = dict(self._place)

    if TYPE_CHECKING:  # `SizedPipeline` has it; which of the two it is, types do not say

        def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        state, self._resume = self._resume, None
        return self._pass(epoch, state)

    def __repr__(self) -> str:
        options = self._options
        text = self._describe()
        text += f".workers({options.workers})" if options.workers else ""
        return text + (f".prefetch({options.prefetch})" if options.prefetch else "")

    # ---- what parts of mixtures are asked ------------------------------------------------------

    def plan(self, epoch: int) -> Plan:
        """The samples of an epoch in their order."""
        return plan_of(self.source, self._order, epoch)

    def plan_length(self) -> int:
        """The number of samples in an epoch."""
        return length_of(self.source, self._order)

    def load(self, index: int, epoch: int) -> Any:
        """One sample by its number in the source, taken through maps and augmentations."""
        return Reader(self.source, self._stages).sample(index, epoch)

    # ---- inside --------------------------------------------------------------------------------

    @property
    def _by_number(self) -> bool:
        """Whether samples can still be read by their number."""
        stages = all(isinstance(stage, Map | Augment) for stage in self._stages)
        return stages and not self.is_batched and not isinstance(self.source, StreamSource)

    @property
    def is_batched(self) -> bool:
        """Whether its elements are batches, and not single samples."""
        return any(isinstance(stage, Batch | Bucket) for stage in self._stages)

    @property
    def _stage_number(self) -> int:
        """Tells the random numbers of the next stage from those of others with the same seed."""
        return sum(isinstance(stage, Map | Augment) for stage in self._stages)

    def _parts(self) -> tuple[Stages, Batch | None, Stages, Stages]:
        """Stages on samples; a batch that is decided beforehand; stages on it; the tail."""
        stages, number = self._stages, 0
        if isinstance(self.source, StreamSource):
            return (), None, (), stages
        while number < len(stages) and isinstance(stages[number], Map | Augment | Filter):
            number += 1
        samples, rest = stages[:number], stages[number:]
        if not rest or not isinstance(rest[0], Batch) or self._options.skip:
            return samples, None, (), rest
        if any(isinstance(stage, Filter) for stage in samples):
            return samples, None, (), rest
        number = 1
        while number < len(rest) and isinstance(rest[number], Map | Augment):
            number += 1
        return samples, rest[0], rest[1:number], rest[number:]

    def _pass(self, epoch: int, state: Any) -> Iterator[Any]:
        options = self._options
        samples, batch, after, tail = self._parts()
        base: Any
        if isinstance(self.source, StreamSource):
            base = StreamBase(self.source, epoch, state)
        else:
            plan = self.plan(epoch)
            base = Base(Reader(self.source, samples), plan, batch, after, options.skip)
        depth = options.prefetch or 0
        pool: Pool | Threads | None = None
        skipped = self._skipped = base.skipped
        if options.workers:
            ready = options.workers if options.prefetch is None else max(1, options.prefetch)
            final = base.positional and not tail
            if options.method == "thread":
                pool = Threads(base, options.workers, ready, final)
            else:
                method = start_method(options.method)
                pool = Pool(base, options.workers, ready, method, final)
            depth = 0
        run = Run(base, tail, state, pool)

        def note(place: Any) -> None:
            self._place = {"epoch": epoch, **place} if isinstance(place, dict) else (epoch, place)
            self._check(skipped)

        yield from results(run, depth, self.is_batched, note)
        self._place = {"epoch": epoch + 1, "batch": 0, "position": 0, "held": []}
        self._check(skipped)
        if skipped.count:
            text = f"[data] {skipped.count} samples could not be read, such as:\n"
            warnings.warn(text + "\n".join(skipped.texts[:3]), stacklevel=2)

    def _check(self, skipped: Skipped) -> None:
        most = self._options.most
        if most is not None and skipped.count > most:
            text = f"more than {most} samples could not be read, such as:\n"
            fail(DataError, "data", text + "\n".join(skipped.texts[:3]))

    def _describe(self) -> str:
        order = [order_text(stage) for stage in self._order]
        parts = [self.source.name, *order, *(stage.describe() for stage in self._stages)]
        return ".".join(parts)

    def _with(self, stage: Stage) -> Pipeline:
        return _made(self.source, self._order, (*self._stages, stage), self._options)

    def _with_options(self, **changes: Any) -> Pipeline:
        return _made(self.source, self._order, self._stages, replace(self._options, **changes))

    def _ordered(self, name: str, stage: OrderStage) -> Pipeline:
        if not self._by_number:
            text = f"{name} cannot stand behind {self._describe()}"
            hint = f"put {name} before filter, batch, bucket and pack"
            if isinstance(self.source, StreamSource):
                hint = "a stream comes in its own order"
            fail(ValueRangeError, name, text, hint)
        return _made(self.source, (*self._order, stage), self._stages, self._options)

    def _window(self, name: str, start: int, stop: int | None) -> Pipeline:
        return (
            self._ordered(name, Cut(start, stop))
            if self._by_number
            else self._with(Window(start, stop))
        )

    def _mapped(self, name: str, function: Any, seed: int | None, on_batches: bool) -> Pipeline:
        seed = None if seed is None else seed_of(name, seed)
        return self._with(Map(function_of(name, function), seed, self._stage_number, on_batches))

    def _no_batches(self, name: str) -> None:
        if self.is_batched:
            fail(ValueRangeError, name, f"there are batches already: {self._describe()}")


class SizedPipeline(Pipeline):
    """A pipeline whose number of elements is known beforehand."""

    def __len__(self) -> int:
        """The number of batches (or samples, where there is no batch) in an epoch."""
        found = _length(self.source, self._order, self._stages, self._options)
        assert found is not None
        return found


def _made(
    source: Source, order: tuple[OrderStage, ...], stages: tuple[Stage, ...], options: Options
) -> Pipeline:
    known = _length(source, order, stages, options) is not None
    return (SizedPipeline if known else Pipeline)(source, order, stages, options)


def pipeline(source: Source) -> Pipeline:
    """A pipeline without any stage over a source."""
    return _made(source, (), (), Options())


def _length(
    source: Source, order: Sequence[OrderStage], stages: Sequence[Stage], options: Options
) -> int | None:
    if isinstance(source, StreamSource) or options.skip:
        return None
    count = length_of(source, order)
    for stage in stages:
        if isinstance(stage, Batch):
            count = count // stage.size if stage.drop_last else -(-count // stage.size)
        elif isinstance(stage, Window):
            count = max(0, (count if stage.stop is None else min(count, stage.stop)) - stage.start)
        elif not isinstance(stage, Map | Augment):
            return None
    return count
