"""Samples and batches by number: the part of a pipeline that runs anywhere, in any order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elinvar.core.errors import DataError, ElinvarError, ShapeError, fail
from elinvar.data.gathering import gathered, plain
from elinvar.data.plan import Plan
from elinvar.data.source import ArraySource, Source
from elinvar.data.stages import Augment, Batch, Filter, Map, Stage
from elinvar.tensor.storage import gathered_rows


class Dropped:
    """What a filter refused, or what could not be read."""


DROPPED = Dropped()
Told = Callable[[int], None]


class SampleFailed(DataError):
    """A sample could not be read or transformed."""


class Skipped:
    """Samples that were passed over.

    Attributes:
        count: how many.
        texts: about the first hundred of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.texts: list[str] = []
        self._lock = threading.Lock()

    def add(self, count: int, texts: Sequence[str]) -> None:
        """Count more of them."""
        with self._lock:
            self.count += count
            self.texts += texts[: max(0, 100 - len(self.texts))]

    def __getstate__(self) -> Any:
        return self.count, self.texts

    def __setstate__(self, state: Any) -> None:
        self.count, self.texts = state
        self._lock = threading.Lock()


def told_by(error: BaseException) -> str:
    """What an error says, for the text of another: ours without the name of the operation."""
    text = str(error)
    if isinstance(error, ElinvarError):
        return text.partition("] ")[2] if text.startswith("[") else text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Reader:
    """Reads samples of a source and takes them through the stages before the first grouping.

    Args:
        source: where samples come from.
        stages: maps, augmentations and filters.
        told: called with the index of each sample before it is read.
    """

    def __init__(self, source: Source, stages: Sequence[Stage], told: Told | None = None) -> None:
        self.source, self.stages, self.told = source, tuple(stages), told

    def sample(self, index: int, epoch: int) -> Any:
        """One sample, or `DROPPED`.

        Raises:
            SampleFailed: reading or a stage raised; the text names the sample and where it is from.
        """
        if self.told is not None:
            self.told(index)
        what = "reading"
        try:
            element = self.source.load(index, epoch)
            for stage in self.stages:
                what = stage.describe()
                if isinstance(stage, Map):
                    element = stage.apply(element, index, epoch)
                elif isinstance(stage, Augment):
                    element = stage.apply(element, [index], epoch)
                elif isinstance(stage, Filter) and not stage.function(element):
                    return DROPPED
        except Exception as error:
            raise self.failure(index, what, error) from error
        return element

    def failure(self, index: int, what: str, error: BaseException) -> SampleFailed:
        """The error that names a sample."""
        where = f"sample {index} of {self.source.name}"
        detail = self.source.describe(index)
        if detail:
            where += f" ({detail})"
        return SampleFailed(f"[data] {what} failed for {where}: {told_by(error)}")

    def batch(self, plan: Plan, stage: Batch, after: Sequence[Stage]) -> Any:
        """The samples of a part of a plan together, taken through the stages after the batch."""
        if self.source.takes_batches and not self.stages:
            try:
                element = self.source.take(plan.indices, plan.epochs)
            except (SampleFailed, ShapeError):
                raise
            except Exception as error:
                self._find(plan)  # names the one sample that cannot be read
                raise DataError(f"[data] reading of a batch failed: {error}") from error
        else:
            indices = (
                list(plan.indices) if isinstance(plan.indices, range) else (plan.indices.tolist())
            )
            samples = self._samples(indices, plan)
            try:
                element = gathered(samples, stage.pad)
            except ElinvarError as error:
                self._differing(error, indices, samples)
                raise
        return after_batch(element, after, plan.indices, plan.epochs)

    def _samples(self, indices: list[int], plan: Plan) -> list[Any]:
        """`sample` for each, with little around plain functions."""
        if not all(isinstance(stage, Map) and stage.seed is None for stage in self.stages):
            places = [plan.at(number) for number in range(len(plan))]
            return [self.sample(index, epoch) for index, epoch in places]
        epochs = plan.epochs
        each = [epochs] * len(indices) if isinstance(epochs, int) else epochs.tolist()
        stages = [(stage, stage.function) for stage in self.stages if isinstance(stage, Map)]
        load, told, index, found = self.source.load, self.told, -1, []
        ready = self._list(plan) if self.source.reads_lists else None
        what: Map | None = None
        try:
            for place, (index, epoch) in enumerate(zip(indices, each)):
                what = None
                if told is not None:
                    told(index)
                element = load(index, epoch) if ready is None else ready[place]
                for what, function in stages:  # noqa: B007 (for the error below)
                    element = function(element)
                found.append(element)
        except Exception as error:
            name = "reading" if what is None else what.describe()
            raise self.failure(index, name, error) from error
        return found

    def _list(self, plan: Plan) -> list[Any] | None:
        """The samples of a plan at once; None where that fails, and the one is to be named."""
        try:
            found: list[Any] = self.source.take(plan.indices, plan.epochs)
        except Exception:
            return None
        return found

    def _find(self, plan: Plan) -> None:
        for number in range(len(plan)):
            self.sample(*plan.at(number))

    def _differing(self, error: ElinvarError, indices: list[int], samples: list[Any]) -> None:
        """Raise the error again with the names of the first two samples that do not fit."""
        for index, sample in zip(indices[1:], samples[1:]):
            try:
                gathered([samples[0], sample])
            except ElinvarError:
                names = [self.source.describe(i) or f"sample {i}" for i in (indices[0], index)]
                raise type(error)(f"{error}\n  between {names[0]} and {names[1]}") from None

    def rows(self, plan: Plan) -> Any:
        """A batch as tensors, straight from arrays in memory."""
        assert isinstance(self.source, ArraySource)
        columns, structure = self.source.columns()
        return gathered_rows(columns, structure, plan.indices)


def after_batch(element: Any, stages: Sequence[Stage], indices: Any, epochs: Any) -> Any:
    """A batch taken through maps and augmentations; the first sample's number is the batch's."""
    for stage in stages:
        if not isinstance(stage, Map | Augment):
            fail(DataError, "data", f"{stage.describe()} cannot stand here")
        try:
            if isinstance(stage, Map):
                epoch = epochs if isinstance(epochs, int) else int(epochs[0])
                element = stage.apply(element, int(indices[0]), epoch)
            else:
                element = stage.apply(element, np.asarray(indices), epochs)
        except Exception as error:
            numbers = ", ".join(str(int(i)) for i in indices[:4])
            more = ", …" if len(indices) > 4 else ""
            text = f"[data] {stage.describe()} failed for the batch of samples {numbers}{more}"
            raise SampleFailed(f"{text}: {told_by(error)}") from error
    return element


class Base:
    """Elements by number: samples, or batches where these are decided before data are read.

    Attributes:
        count: how many.
        positional: whether an element is a whole batch.
    """

    def __init__(
        self, reader: Reader, plan: Plan, batch: Batch | None, after: Sequence[Stage], skip: bool
    ) -> None:
        self.reader, self.plan, self.skip = reader, plan, skip
        self._batch, self._after = batch, tuple(after)
        self.skipped = Skipped()
        self.count = len(plan)
        if batch is not None:
            size = batch.size
            self.count = len(plan) // size if batch.drop_last else -(-len(plan) // size)
        self._in_memory = (
            batch is not None
            and not after
            and not reader.stages
            and batch.pad is None
            and isinstance(reader.source, ArraySource)
            and reader.source.numeric
        )

    @property
    def positional(self) -> bool:
        """Whether an element is a whole batch."""
        return self._batch is not None

    def load(self, number: int, for_transport: bool = False) -> Any:
        """The element with a number, or `DROPPED`."""
        if self._batch is None:
            element = self._sample(number)
        else:
            start = number * self._batch.size
            part = self.plan.part(start, start + self._batch.size)
            if self._in_memory and not for_transport:
                return self.reader.rows(part)
            if self.reader.told is not None:
                self.reader.told(part.at(0)[0])
            element = self.reader.batch(part, self._batch, self._after)
        return plain(element) if for_transport else element

    def _sample(self, number: int) -> Any:
        if not self.skip:
            return self.reader.sample(*self.plan.at(number))
        try:
            return self.reader.sample(*self.plan.at(number))
        except SampleFailed as error:
            self.skipped.add(1, [str(error)])
            return DROPPED

    def identity(self, number: int) -> tuple[int, int]:
        """Index and epoch of the (first) sample of an element."""
        return self.plan.at(number if self._batch is None else number * self._batch.size)
