"""What a Trainer accepts as data, and which part of a batch is what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from elinvar.core import tree
from elinvar.core.errors import DataError, DTypeError, fail
from elinvar.data.images import ImageFolder
from elinvar.data.loader import DataLoader, Dataset
from elinvar.data.pipeline import Pipeline
from elinvar.data.source import ArraySource
from elinvar.tensor.manipulation import concat
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.tensor import Tensor

TARGETS = ("target", "targets", "label", "labels", "y")


class Parts(NamedTuple):
    """A batch taken apart: the model is called with `inputs` and `named`."""

    inputs: tuple[Any, ...]
    named: dict[str, Any]
    target: Any


def parts(batch: Any, has_target: bool = True) -> Parts:
    """Take a batch apart.

    Of a tuple or list the last part is the target, and the others are the model's arguments. Of a
    dict the entry called `target`, `label` or `y` is the target (also in the plural), and the
    others are arguments by name. What is neither is the model's one argument.

    Args:
        batch: what a loader gave.
        has_target: whether there must be a target.

    Raises:
        DataError: there is no target, but one is needed.
    """
    if isinstance(batch, Mapping):
        key = next((name for name in TARGETS if name in batch), None)
        named = {name: value for name, value in batch.items() if name != key}
        if key is None and has_target:
            text = f"a batch has no target; its keys are {', '.join(map(str, batch))}"
            fail(DataError, "Trainer", text, f"call the target one of {', '.join(TARGETS)}")
        return Parts((), named, None if key is None else batch[key])
    if isinstance(batch, tuple | list):
        if len(batch) == 1 and has_target or not batch:
            text = f"a batch has {len(batch)} part, so there is no target"
            fail(DataError, "Trainer", text, "give batches of (inputs, target)")
        if len(batch) == 1:
            return Parts(tuple(batch), {}, None)
        return Parts(tuple(batch[:-1]), {}, batch[-1])
    if has_target:
        text = f"a batch is one {type(batch).__name__}, so there is no target"
        hint = "give batches of (inputs, target); arrays go in a tuple: (x, y)"
        fail(DataError, "Trainer", text, hint)
    return Parts((batch,), {}, None)


def tensors(batch: Any) -> Any:
    """The batch with tensors instead of NumPy arrays."""
    if type(batch) is tuple and all(isinstance(part, Tensor) for part in batch):
        return batch  # as our own loaders give it
    return tree.map_tree(_tensor, batch)


def _tensor(leaf: Any) -> Any:
    """Arrays of NumPy and of other libraries as tensors; all else as it is."""
    if isinstance(leaf, np.ndarray):
        return from_numpy(leaf)
    if not isinstance(leaf, Tensor) and hasattr(leaf, "__array__") and hasattr(leaf, "shape"):
        return from_numpy(np.asarray(leaf))
    return leaf


def sample_count(batch: Any) -> Any:
    """How many samples a batch has: the first axis of its first tensor. In a trace for all sizes
    it is a name."""
    leaf = batch[0] if type(batch) is tuple and batch else None
    if not isinstance(leaf, Tensor):
        leaf = next((x for x in tree.flatten(batch)[0] if isinstance(x, Tensor) and x.ndim), None)
    return leaf.shape[0] if leaf is not None and leaf.ndim else 1


def feed(data: Any, batch_size: int, shuffle: bool, seed: int, argument: str) -> Iterable[Any]:
    """What gives the batches: a loader or pipeline as it is, a loader made for arrays.

    Raises:
        DTypeError: the data are of no known kind.
        DataError: there is not one sample.
    """
    if isinstance(data, str | bytes) or not (
        isinstance(data, Iterable | Dataset | Tensor | np.ndarray)
    ):
        text = f"expected arrays in a tuple, a DataLoader or a pipeline for `{argument}`"
        fail(DTypeError, "Trainer", f"{text}, received {type(data).__name__}")
    gives_batches = isinstance(data, list) or hasattr(data, "state_dict")
    if isinstance(data, tuple | dict | np.ndarray | Tensor) or (
        isinstance(data, Dataset) and not gives_batches
    ):
        data = DataLoader(data, batch_size, shuffle, seed=seed)
    rows = isinstance(data, Pipeline) and isinstance(data.source, ArraySource | ImageFolder)
    if rows and not data.is_batched:
        text = f"`{argument}` is a pipeline that gives single samples, not batches"
        fail(DataError, "Trainer", text, f"write .batch({batch_size}) behind its last stage")
    if hasattr(data, "__len__") and len(data) == 0:
        samples = getattr(data, "num_samples", 0)
        text = f"`{argument}` has no batch"
        hint = "is the folder or the filter empty?"
        if samples:
            text += f": {samples} samples, fewer than the batch size, and drop_last=True"
            hint = "take a smaller batch_size, or drop_last=False"
        fail(DataError, "Trainer", text, hint)
    return data


def place_of(source: Any) -> Any:
    """Where a loader or pipeline stands; None where it does not say."""
    return source.state_dict() if hasattr(source, "state_dict") else None


def joined(found: list[Any]) -> Any:
    """Outputs of batches, put together along the first axis."""
    if len(found) == 1:
        return found[0]
    flat = [tree.flatten(output) for output in found]
    whole = [concat([leaves[i] for leaves, _ in flat], axis=0) for i in range(len(flat[0][0]))]
    return tree.unflatten(flat[0][1], whole)
