"""What happens to samples and batches, stage by stage: frozen records without any state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from elinvar.data.counters import Draws, generator


@dataclass(frozen=True)
class Map:
    """A function of a sample, or of a batch; with a seed it gets a generator, too."""

    function: Callable[..., Any]
    seed: int | None
    stage: int
    on_batches: bool = False

    def apply(self, element: Any, index: int, epoch: int) -> Any:
        """The function's result for the element whose (first) sample has an index and an epoch."""
        if self.seed is None:
            return self.function(element)
        return self.function(element, generator(self.seed, epoch, index, self.stage))

    def describe(self) -> str:
        """The method call that made it, for errors and states."""
        return f"{'map_batches' if self.on_batches else 'map'}({_name(self.function)})"


@dataclass(frozen=True)
class Augment:
    """Transforms of images or sequences, of one sample or a whole batch: the numbers are equal."""

    transforms: tuple[Any, ...]
    seed: int
    stage: int
    field: Any
    on_batches: bool

    def apply(self, element: Any, indices: Any, epochs: Any) -> Any:
        """The element with its field transformed."""
        field = self.field
        if field is None and isinstance(element, tuple | list):
            field = 0
        elif field is None and isinstance(element, dict):
            field = next((name for name in ("image", "images", "x") if name in element), None)
            if field is None:
                field = next(iter(element))
        draws = Draws(self.seed, np.atleast_1d(indices), epochs, self.stage)
        if self.on_batches:
            return self._transformed(element, field, draws)
        rows = self._transformed(_lifted(element, field), field, draws)
        if field is None:
            return rows[0]
        return _with(element, {field: rows[field][0]})

    def _transformed(self, element: Any, field: Any, draws: Draws) -> Any:
        for transform in self.transforms:
            if hasattr(transform, "mix"):
                element = transform.mix(element, field, draws)
                continue
            value = element if field is None else element[field]
            value = transform(np.asarray(value), draws)
            element = value if field is None else _with(element, {field: value})
        return element

    def describe(self) -> str:
        """The method call that made it, for errors and states."""
        names = ", ".join(_name(transform) for transform in self.transforms)
        return f"augment({names}, seed={self.seed})"


def _lifted(element: Any, field: Any) -> Any:
    if field is None:
        return np.asarray(element)[None]
    return _with(element, {field: np.asarray(element[field])[None]})


def _with(container: Any, changes: dict[Any, Any]) -> Any:
    """A copy of a tuple, list or dict with some entries changed."""
    if isinstance(container, dict):
        return {**container, **changes}
    parts = list(container)
    for place, value in changes.items():
        parts[place] = value
    return type(container)(*parts) if hasattr(container, "_fields") else type(container)(parts)


@dataclass(frozen=True)
class Filter:
    """Keep what a function says yes to."""

    function: Callable[[Any], Any]

    def describe(self) -> str:
        """The method call that made it, for errors and states."""
        return f"filter({_name(self.function)})"


@dataclass(frozen=True)
class Batch:
    """So many samples together."""

    size: int
    drop_last: bool
    pad: float | None

    def describe(self) -> str:
        """The method call that made it, for errors and states."""
        return f"batch({self.size}{', drop_last=True' if self.drop_last else ''})"


@dataclass(frozen=True)
class Bucket:
    """Samples of similar length together, filled up to one length."""

    key: Callable[[Any], int]
    edges: tuple[int, ...]
    sizes: tuple[int, ...]
    drop_last: bool
    pad: float
    to_edge: bool

    def describe(self) -> str:
        """The method call that made it, for errors and states."""
        return f"bucket({_name(self.key)}, {list(self.edges)}, {list(self.sizes)})"


@dataclass(frozen=True)
class Pack:
    """Sequences one after the other in rows of one length."""

    length: int
    split: bool
    pad: float | None
    segments: bool

    def describe(self) -> str:
        """The method call that made it, for errors and states."""
        return f"pack({self.length}{'' if self.split else ', split=False'})"


@dataclass(frozen=True)
class Window:
    """Only the elements from one number to another, counted as they come."""

    start: int
    stop: int | None

    def describe(self) -> str:
        """The method call that made it, for errors and states."""
        return f"skip({self.start})" if self.stop is None else f"take({self.stop})"


Stage = Map | Augment | Filter | Batch | Bucket | Pack | Window


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
