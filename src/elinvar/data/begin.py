"""How pipelines begin: one function for each kind of source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from elinvar.core.errors import DTypeError, fail
from elinvar.data.pipeline import Pipeline, pipeline
from elinvar.data.source import ArraySource, SequenceSource
from elinvar.data.streams import StreamSource


def from_arrays(*arrays: Any) -> Pipeline:
    """Arrays in memory, whose first axes count the samples.

    Args:
        arrays: several arrays or tensors, which give tuples; or one array; or one tuple or dict.

    Example:
        >>> import numpy as np
        >>> train = el.data.from_arrays(np.eye(5), np.arange(5)).shuffle(seed=0).batch(2)
        >>> [y.tolist() for x, y in train]
        [[2, 0], [3, 1], [4]]
    """
    return pipeline(ArraySource(arrays[0] if len(arrays) == 1 else tuple(arrays)))


def from_sequence(samples: Any) -> Pipeline:
    """Anything with `len()` and `[index]`: a list of samples, or a data set of your own.

    A method `describe(index)` of it names samples in errors.
    """
    return pipeline(SequenceSource(samples))


def from_stream(make: Callable[[], Iterable[Any]]) -> Pipeline:
    """Samples that can only be read one after the other.

    A saved place is found again by reading from the beginning, so this takes as long as reading
    did; what has a length and samples by number should begin with `from_sequence`.

    Args:
        make: gives an iterator from the beginning, once for each epoch.

    Example:
        >>> numbers = el.data.from_stream(lambda: iter(range(5))).batch(2)
        >>> [batch.tolist() for batch in numbers]
        [[0, 1], [2, 3], [4]]
    """
    if not callable(make):
        text = f"expected a function that gives an iterator, received {type(make).__name__}"
        fail(DTypeError, "from_stream", text, "write from_stream(lambda: iter(…))")
    return pipeline(StreamSource(make))
